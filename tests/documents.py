"""Documents of the repository as data: their blocks of code, links and headings."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("aecodec", "benchmarks", "samples", "tests")
DOCUMENTS = sorted(
    [ROOT / "README.md", *(path for name in FOLDERS for path in (ROOT / name).rglob("*.md"))]
)
SOURCES = sorted(path for name in (*FOLDERS, ".ci") for path in (ROOT / name).rglob("*.py"))

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(path: Path) -> str:
    """The path within the repository, with slashes."""
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> Iterator[str]:
    """The blocks of code in one language, in their order."""
    for found in _BLOCK.finditer(path.read_text(encoding="utf-8")):
        if found[1] == language:
            yield found[2]


def commands(path: Path, language: str) -> list[str]:
    """The commands of all blocks in one language; a backslash continues a line."""
    text = "".join(blocks(path, language)).replace("\\\n", "")
    return [line for line in text.splitlines() if line.strip()]


def prose(path: Path) -> str:
    """A document without its blocks of code."""
    return _BLOCK.sub("", path.read_text(encoding="utf-8"))


def links(path: Path) -> list[str]:
    """Where a document's links go, but for other sites."""
    return [target for target in _LINK.findall(prose(path)) if "://" not in target]


def anchors(path: Path) -> set[str]:
    """What links can name of a document, as GitHub makes it of headings."""
    plain = (re.sub(r"[^\w\- ]", "", each.lower()) for each in _HEADING.findall(prose(path)))
    return {heading.strip().replace(" ", "-") for heading in plain}
