"""What the engine costs beside pictures: the manifest and its ledger, and the driver's commands."""

from pathlib import Path

import pytest

from aecodec.datasets.manifest import Manifest
from aecodec.datasets.stores import store_of
from benchmarks.scale_engine import BLOCK, ledger_costs, listing, manifest_costs


@pytest.mark.slow
def test_the_manifest_is_that_of_a_run_and_is_read_to_go_on(tmp_path: Path) -> None:
    manifest = Manifest(store_of(str(tmp_path)))
    seconds, part_bytes = manifest_costs(manifest)
    parts = list((tmp_path / manifest.folder).glob("*.parquet"))
    assert part_bytes == sum(part.stat().st_size for part in parts) / len(parts)
    assert 100 < part_bytes / BLOCK < 2000
    assert 0 < seconds < 10
    row_seconds, row_bytes = ledger_costs(manifest, tmp_path)
    assert 0 < row_seconds < 0.01
    assert 33 <= row_bytes < 2000  # two digests and a flag are kept of each picture


@pytest.mark.slow
def test_a_dry_run_lists_all_that_is_there(tmp_path: Path) -> None:
    usage = listing(tmp_path / "few", 3)
    assert usage.cpu_seconds > 0
    assert len(list((tmp_path / "few").iterdir())) == 3
    assert not (tmp_path / "few.out").exists()
