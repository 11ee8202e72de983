"""Features and anomaly scores need no PyTorch."""

import subprocess
import sys
from pathlib import Path

from shell import ENVIRONMENT

CODE = """
import sys
import numpy as np
import aecodec
from aecodec.applications.anomaly import AnomalyProfile
from aecodec.applications.latent_maps import LatentReader, channel_order

pictures = [np.full((40, 40, 3), 100 + 5 * number, np.uint8) for number in range(4)]
pictures.append(aecodec.compress(pictures[0], tune="psnr"))
assert aecodec.features(pictures).shape == (5, 960)
codec = aecodec.Codec()
maps = [LatentReader(codec).read(each) for each in pictures]
order = channel_order(codec.decoder(maps[0].model_id).prior)
AnomalyProfile.fit(maps, order).score(maps[0])
assert "torch" not in sys.modules
"""


def test_neither_loads_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
