"""Installs a wheel or an sdist into a fresh environment, and does the main job there.

The environment has what the package requires without extras, and what that requires, as links into
the environment of this interpreter: nothing large is downloaded, and nothing else can be imported.

    python .ci/try_package.py dist/aecodec-0.1.0-py3-none-any.whl samples/chelsea.png
"""

import os
import subprocess
import sys
import tempfile
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

EXTRA = "hypothesis"
"""A package of an extra, which must not be there."""
TUNES = "from aecodec.models import registry; print(*(m.tune for m in registry.MODELS if m.tune))"
"""Prints the tunings of the released models, each of which must be in the package."""


def closure(name: str) -> set[str]:
    """Names of the distributions that one needs, directly or not, extras left out."""
    found: set[str] = set()
    waiting = [Requirement(name)]
    while waiting:
        wish = waiting.pop()
        extras = {"", *wish.extras}
        for text in metadata.requires(wish.name) or []:
            need = Requirement(text)
            asked = need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras)
            if asked and need.name not in found:
                found.add(need.name)
                waiting.append(need)
    return found


def link(name: str, site: Path) -> None:
    """Links the files of a distribution into an environment."""
    distribution = metadata.distribution(name)
    tops = {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}
    for top in tops:
        target = site / top
        if not target.exists():
            target.symlink_to(Path(str(distribution.locate_file(top))))


def run(*command: str | Path, folder: Path) -> str:
    """What a command says, which must end well; it sees no packages but its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(each) for each in command], cwd=folder, env=environment, check=False, text=True,
        capture_output=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def main(package: Path, picture: Path) -> None:
    """Installs `package`, and compresses and decompresses `picture` with each of its models."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "env", symlinks=True)
        tools = folder / "env" / "bin"
        python = tools / "python"
        site = Path(
            run(python, "-c", "import site; print(site.getsitepackages()[0])", folder=folder)
        )
        for each in closure("aecodec"):
            link(each, site)
        run(sys.executable, "-m", "pip", "-q", "--python", python, "install", "--no-deps", package,
            folder=folder)  # fmt: skip
        where = run(python, "-c", "import aecodec; print(aecodec.__file__)", folder=folder)
        if not Path(where).is_relative_to(site):
            sys.exit(f"aecodec comes from {where}")
        missing = f"from importlib.util import find_spec; print(find_spec({EXTRA!r}))"
        if run(python, "-c", missing, folder=folder) != "None":
            sys.exit(f"the environment is not fresh: it has {EXTRA}")
        aecodec = tools / "aecodec"
        tunes = run(python, "-c", TUNES, folder=folder).split()
        for tune in tunes:
            run(aecodec, "compress", "--tune", tune, picture, "-o", f"{tune}.aec", folder=folder)
            run(aecodec, "verify", f"{tune}.aec", folder=folder)
            run(aecodec, "decompress", f"{tune}.aec", "-o", f"{tune}.png", folder=folder)
        shown = [*(f"{tune}.aec" for tune in tunes), "--runtime"]
        said = [run(aecodec, "info", each, folder=folder) for each in shown]
        sys.stdout.write("\n".join([package.name, *said]) + "\n")


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:3]))
