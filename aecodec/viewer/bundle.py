"""Writes the decoder's pages: for any web server, or as one page that works without a server.

Scripts are ES modules, which browsers load from servers only. For the single page each module
becomes a function that gives what it exports.
"""

import base64
import hashlib
import json
import re
import struct
import zlib
from collections.abc import Callable, Collection, Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from aecodec.coding.residual_tables import RELEASED
from aecodec.errors import WeightsError
from aecodec.models import registry
from aecodec.models.tensor_file import released_data
from aecodec.models.weights import DECODER_PARTS

PAGE, KERNEL, INDEX = "decode.html", "kernel.wasm", "resources.json"
VIEWER, PAGES = "viewer.html", ("viewer.html", "viewer.css", "viewer/")
"""The viewer's page, and beginnings of the paths of what it needs besides the decoder."""
_NOT_SERVED = ("bundled.js", "package.json")
_MODULE_TAG = '    <script type="module" src="served.js"></script>\n'
_STYLE_TAG = '    <link rel="stylesheet" href="page.css">\n'
_POLICY = re.compile(r'(http-equiv="Content-Security-Policy" content=")[^"]*')
_IMPORT = re.compile(r'^import \{([\w\s,]+)\} from "([\w./-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const|let) (\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b|\bimport\.meta\b", re.MULTILINE)
_LENGTH = struct.Struct("<Q")


def web_files(
    pages: tuple[str, ...] = (), models: Collection[bytes] | None = None
) -> dict[str, bytes]:
    """Everything that a web server needs, by paths in one folder.

    Args:
        pages: `PAGES` for the viewer, too.
        models: ids of the released models whose files can be decoded; None for all.

    `decode.html` shows pictures, also that of a link `decode.html?src=PATH`, and `aec-img.js` makes
    `<img src="x.aec">` work in other pages. Weights are without what only encoders need.

    Raises:
        WeightsError: a file of the package is missing or damaged.
    """
    left_out = (*_NOT_SERVED, *(each for each in PAGES if each not in pages))
    found = {path: data for path, data in _scripts() if not path.startswith(left_out)}
    weights, tables = _stored(models)
    found.update((*weights.values(), *tables.values()))
    index = {
        "kernel": KERNEL,
        "models": {key: name for key, (name, _) in weights.items()},
        "tables": {key: name for key, (name, _) in tables.items()},
    }
    found[INDEX] = json.dumps(index, indent=2).encode()
    return found


def decoder_page(models: Collection[bytes] | None = None) -> str:
    """`decode.html` as one file, weights included, which works when it is opened without a server.

    Args:
        models: see `web_files`.

    Raises:
        WeightsError: a file of the package is missing or damaged.
    """
    scripts = dict(_scripts())
    weights, tables = _stored(models)
    embedded = {
        "kernel": _embedded(scripts[KERNEL]),
        "models": {key: _embedded(data) for key, (_, data) in weights.items()},
        "tables": {key: _embedded(data) for key, (_, data) in tables.items()},
    }
    style = scripts["page.css"].decode()
    code = linked("bundled.js", lambda path: scripts[path].decode())
    worker = linked("worker.js", lambda path: scripts[path].decode())
    for text in (code, worker, style):
        if re.search("</(?:script|style)|<!--", text, re.IGNORECASE):
            raise WeightsError("a script of the package cannot stand in a page")
    page = scripts[PAGE].decode()
    policy = (
        f"default-src 'none'; script-src {_hash(code)} 'wasm-unsafe-eval'; "
        f"style-src {_hash(style)}; img-src data: blob:; worker-src blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _POLICY.sub(lambda found: found[1] + policy, page)
    page = page.replace(_MODULE_TAG, "").replace(_STYLE_TAG, f"    <style>{style}</style>\n")
    parts = (
        f'<script type="text/plain" id="worker">{worker}</script>',
        f'<script type="application/json" id="resources">{json.dumps(embedded)}</script>',
        f"<script>{code}</script>",
    )
    return page.replace("  </body>", "\n".join((*parts, "  </body>")))


def linked(entry: str, read: Callable[[str], str]) -> str:
    r"""A module and all that it imports, as one script without modules.

    Args:
        entry: path of the module.
        read: gives the text of a module by its path.

    Raises:
        ValueError: modules import each other in a circle, or in a form that is not understood.

    Example:
        >>> texts = {"a.js": 'import { one } from "./b.js";\nprint(one);\n'}
        >>> texts["b.js"] = "export const one = 1;\n"
        >>> print(linked("a.js", lambda path: texts[path]))
        (() => {
        "use strict";
        const module0 = (() => {
        const one = 1;
        return { one };
        })();
        const module1 = (() => {
        const { one } = module0;
        print(one);
        return {  };
        })();
        })();
    """
    names: dict[str, str] = {}
    open_paths: list[str] = []
    parts = ["(() => {", '"use strict";']

    def add(path: str) -> str:
        if path in open_paths:
            raise ValueError(f"{path} imports itself by {open_paths}")
        if path in names:
            return names[path]
        open_paths.append(path)
        text = read(path)

        def imported(found: re.Match[str]) -> str:
            return f"const {{{found[1]}}} = {add(_resolved(path, found[2]))};\n"

        body = _EXPORT.sub(r"\1", _IMPORT.sub(imported, text))
        if _LEFT.search(body):
            raise ValueError(f"{path} imports or exports in a form that is not understood")
        exported = ", ".join(name for _, name in _EXPORT.findall(text))
        names[path] = f"module{len(names)}"
        parts.append(f"const {names[path]} = (() => {{\n{body}return {{ {exported} }};\n}})();")
        open_paths.pop()
        return names[path]

    add(entry)
    return "\n".join((*parts, "})();"))


def _resolved(path: str, reference: str) -> str:
    """The path of a module that another one names."""
    parts = path.split("/")[:-1]
    for part in reference.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _scripts() -> Iterable[tuple[str, bytes]]:
    """Paths and bytes of the scripts, pages and the kernel in the package."""

    def walk(folder: Traversable, prefix: str) -> Iterable[tuple[str, bytes]]:
        for entry in sorted(folder.iterdir(), key=lambda each: each.name):
            if entry.is_dir():
                yield from walk(entry, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.read_bytes()

    return walk(files("aecodec") / "viewer" / "web", "")


Stored = dict[str, tuple[str, bytes]]
"""Names and bytes of files, by the ids that .aec files name."""


def _stored(models: Collection[bytes] | None) -> tuple[Stored, Stored]:
    """Released weights, as far as decoders need them, and residual tables."""
    weights, tables = {}, {}
    try:
        for model in registry.MODELS:
            if models is None or model.model_id in models:
                data = decoder_weights(bytes(released_data(model.name)))
                weights[model.model_id.hex()] = f"{model.name}.safetensors", data
        for key, stem in RELEASED.items():
            tables[key.hex()] = f"{stem}.safetensors", bytes(released_data(stem))
    except OSError as exc:
        raise WeightsError(f"cannot read weights: {exc}") from exc
    return weights, tables


def decoder_weights(data: bytes) -> bytes:
    """A weights file without the tensors that only encoders and training need.

    Raises:
        WeightsError: it is no safetensors file.
    """
    try:
        (size,) = _LENGTH.unpack_from(data)
        header: dict[str, Any] = json.loads(data[_LENGTH.size : _LENGTH.size + size])
        kept: dict[str, Any] = {"__metadata__": header["__metadata__"]}
        parts: list[bytes] = []
        at = 0
        for name, entry in sorted(header.items(), key=lambda item: item[1].get("data_offsets", [])):
            if name.startswith(DECODER_PARTS):
                start, stop = entry["data_offsets"]
                parts.append(data[_LENGTH.size + size + start : _LENGTH.size + size + stop])
                kept[name] = entry | {"data_offsets": [at, at + stop - start]}
                at += stop - start
    except (struct.error, ValueError, LookupError, AttributeError) as exc:
        raise WeightsError(f"cannot read weights: {exc}") from exc
    head = json.dumps(kept, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return b"".join((_LENGTH.pack(len(head)), head, *parts))


def _embedded(data: bytes) -> dict[str, int | str]:
    packed = base64.b64encode(zlib.compress(data, 9)).decode("ascii")
    return {"size": len(data), "data": packed}


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
