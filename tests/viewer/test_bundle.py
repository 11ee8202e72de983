"""What is written for servers and as one page, and the command that writes it."""

import base64
import json
import re
from hashlib import sha256
from pathlib import Path

import pytest
from browsers import MODEL, MODELS, SCRIPTS, TABLES, Node, program
from safetensors.numpy import load
from shell import Shell

from aecodec.decoder.build_kernel import (
    build_wasm,
    source_digest,
    wasm_compiler,
    wasm_digest_script,
)
from aecodec.errors import WeightsError
from aecodec.models import registry
from aecodec.models.registry import ReleasedModel, Tune
from aecodec.models.weights import model_digest
from aecodec.viewer.bundle import (
    PAGES,
    VIEWER,
    decoder_page,
    decoder_weights,
    linked,
    web_files,
)

KERNEL_BYTES_MAX = 100_000
COMPILER = "Debian clang version 14.0.6"
"""What has compiled the kernel of the package."""
FILE_LINES, FUNCTION_LINES, LINE = 400, 60, 100
_OUTSIDE = re.compile(r"""(?:https?:)?//[\w.-]+\.\w+|@import|url\(""")
_FUNCTION = re.compile(r"^( *)(?:(?:export |async |static |get )*(?:function\b|[\w*]+\())[^;]*\{$")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return web_files()


def texts() -> list[Path]:
    return [path for path in SCRIPTS.rglob("*") if path.suffix in (".js", ".css", ".html")]


def test_the_kernel_is_small_and_the_one_that_scripts_expect() -> None:
    """`python -m aecodec.decoder.build_kernel wasm` writes both."""
    kernel = (SCRIPTS / "kernel.wasm").read_bytes()
    assert len(kernel) <= KERNEL_BYTES_MAX
    script = (SCRIPTS / "decoder" / "kernel_digest.js").read_text(encoding="utf-8")
    assert script == wasm_digest_script(kernel)


def test_the_kernel_is_built_from_the_sources_at_hand(tmp_path: Path) -> None:
    """The same compiler gives the same bytes; other ones give the same functions."""
    kernel = (SCRIPTS / "kernel.wasm").read_bytes()
    assert source_digest().encode() in kernel
    program("clang", "clang-14")
    program("wasm-ld", "wasm-ld-14")
    built = tmp_path / "kernel.wasm"
    build_wasm(built)
    assert source_digest().encode() in built.read_bytes()
    if wasm_compiler() == COMPILER:
        assert built.read_bytes() == kernel


def test_scripts_name_nothing_outside() -> None:
    for path in texts():
        found = _OUTSIDE.findall(path.read_text(encoding="utf-8"))
        assert not found, (path.name, found)


def test_scripts_and_their_functions_are_small() -> None:
    functions = 0
    for path in texts():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= FILE_LINES, path.name
        assert max(map(len, lines)) <= LINE or path.suffix == ".html", path.name
        for number, line in enumerate(lines):
            start = _FUNCTION.match(line)
            if start:
                end = lines.index(f"{start[1]}}}", number)
                assert end - number < FUNCTION_LINES, (path.name, line)
                functions += 1
    assert functions > 100


def test_a_server_gets_every_file_that_scripts_import(files: dict[str, bytes]) -> None:
    scripts = {path: data.decode() for path, data in files.items() if path.endswith(".js")}
    for entry in ("served.js", "worker.js", "aec-img.js"):
        scripts[entry] = scripts[entry].replace("import.meta", "")
        assert linked(entry, scripts.__getitem__)
    page = files["decode.html"].decode()
    for name in re.findall(r'(?:src|href)="([\w.-]+)"', page):
        assert name in files
    assert not {"bundled.js", "package.json"} & files.keys()


def test_the_viewer_is_served_only_where_it_is_wished_for(files: dict[str, bytes]) -> None:
    whole = web_files(PAGES)
    scripts = {path: data.decode() for path, data in whole.items() if path.endswith(".js")}
    scripts = {path: text.replace("import.meta", "") for path, text in scripts.items()}
    assert linked("viewer/main.js", scripts.__getitem__)
    for name in re.findall(r'(?:src|href)="([\w./-]+)"', whole[VIEWER].decode()):
        assert name in whole
    added = whole.keys() - files.keys()
    assert VIEWER in added
    assert all(name.startswith("viewer") for name in added)
    assert not [name for name in files if name.startswith("viewer")]


def test_resources_are_named_by_their_ids(files: dict[str, bytes]) -> None:
    index = json.loads(files["resources.json"])
    assert set(index["models"]) == {each.model_id.hex() for each in registry.MODELS}
    assert set(index["tables"]) == {TABLES}
    weights = files[index["models"][MODEL]]
    assert model_digest(load(weights)).hex() == MODEL
    assert len(weights) < 0.7 * (MODELS / "aec-1.safetensors").stat().st_size
    assert files[index["kernel"]] == (SCRIPTS / "kernel.wasm").read_bytes()


def test_only_the_models_that_are_wished_for_are_there(tunings: dict[Tune, ReleasedModel]) -> None:
    ids = {each.model_id.hex() for each in tunings.values()}
    assert json.loads(web_files()["resources.json"])["models"].keys() == ids
    for each in tunings.values():
        found, page = web_files(models={each.model_id}), decoder_page({each.model_id})
        key = each.model_id.hex()
        assert json.loads(found["resources.json"])["models"] == {key: f"{each.name}.safetensors"}
        assert sum(name.endswith(".safetensors") for name in found) == 2  # and the residual tables
        resources = re.search(r'id="resources">(.*?)</script>', page)
        assert resources
        assert json.loads(resources[1])["models"].keys() == {key}


def test_only_weights_files_become_smaller() -> None:
    for data in (b"", bytes(8), b"\x02" + bytes(7) + b"{}", b"\x09" + bytes(7)):
        with pytest.raises(WeightsError, match="cannot read weights"):
            decoder_weights(data)


def test_the_page_holds_everything() -> None:
    page = decoder_page({bytes.fromhex(MODEL)})
    assert not re.search(r'<(?:script|link|img)[^>]+(?:src|href)="(?!data:)', page)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "connect-src" not in policy[1]
    for digest, text in zip(
        re.findall(r"'sha256-([^']+)'", policy[1]),
        (*re.findall(r"<script>(.*?)</script>", page, re.DOTALL),
         *re.findall(r"<style>(.*?)</style>", page, re.DOTALL)),
        strict=True,
    ):  # fmt: skip
        assert base64.b64encode(sha256(text.encode()).digest()).decode() == digest
    assert len(page) < 5_000_000


@pytest.mark.parametrize(
    "text",
    [
        'import * as all from "./b.js";\n',
        'import one from "./b.js";\n',
        "export default 1;\n",
        "export { one };\n",
        "console.log(import.meta.url);\n",
        'import { one } from "./a.js";\n',
    ],
)
def test_modules_that_cannot_be_linked_are_noticed(text: str) -> None:
    modules = {"a.js": text, "b.js": "export const one = 1;\n"}
    with pytest.raises(ValueError, match=r"a\.js imports"):
        linked("a.js", lambda path: modules[path])


def test_the_command_writes_a_page_and_scripts(shell: Shell, tmp_path: Path) -> None:
    page, folder = tmp_path / "page.html", tmp_path / "site"
    done = shell.run("view", "--decoder", str(page), "--scripts", str(folder))
    assert done.code == 0, done.err
    assert page.read_text(encoding="utf-8") == decoder_page()
    written = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip
    assert written == web_files()
    again = shell.run("view", "--decoder", str(page))
    assert again.code == 1
    assert "exists" in again.err
    assert shell.run("view", "--scripts", str(folder), "-f").code == 0
    assert shell.run("view", "--decoder", str(page), "x.png").code == 2


def test_weights_for_browsers_decode(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(files[json.loads(files["resources.json"])["models"][MODEL]])
    kit = Path(__file__).parents[1] / "conformance"
    result = Node(models={MODEL: path}).decode(kit / "valid" / "rgb-1x1.aec")
    assert result["shape"] == [1, 1, 3]
