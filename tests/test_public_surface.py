"""What `import aecodec` offers, and what it must not cost."""

import re
import subprocess
import sys

import pytest

import aecodec
from aecodec.errors import AecError


def test_every_public_name_resolves() -> None:
    assert aecodec.__all__ == sorted(aecodec.__all__)
    for name in aecodec.__all__:
        assert getattr(aecodec, name).__doc__, name
    assert set(aecodec.__all__) <= set(dir(aecodec))


def test_every_public_name_stands_in_an_example() -> None:
    """Its own, or that of the package; what examples show is run as doctests."""
    examples = "\n".join(re.findall(r"^ *(?:>>>|\.\.\.) (.*)$", aecodec.__doc__ or "", re.M))
    for name in aecodec.__all__:
        found = getattr(aecodec, name)
        if isinstance(found, type) and issubclass(found, (AecError, Warning)):
            continue
        shown = name in re.findall(r"\w+", examples) or name == "Header"  # what `read_info` gives
        assert shown or ">>>" in found.__doc__, name


def test_other_names_do_not() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = aecodec.nothing


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, aecodec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
