"""The viewer's server: what it answers, whom it refuses, and that nothing ends it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import ROOT
from shell import Shell

from aecodec.codec import Codec
from aecodec.format.chunks import DEFAULT_LIMITS
from aecodec.viewer.exhibits import load_exhibits
from aecodec.viewer.server import TOKEN_HEADER, UPLOAD_BYTES, ViewerServer
from aecodec.viewer.studio import Studio

PICTURE = ROOT / "samples" / "chelsea.png"
CODED = ROOT / "samples" / "aec-1" / "chelsea.aec"
SECONDS = 60

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def server() -> Iterator[ViewerServer]:
    exhibits = load_exhibits([str(PICTURE), str(CODED)], DEFAULT_LIMITS)
    with ViewerServer(Studio(Codec(), exhibits)) as started:
        thread = threading.Thread(target=started.serve_forever, args=(0.05,))
        thread.start()
        yield started
        started.shutdown()
        thread.join()


def ask(
    server: ViewerServer, path: str, *, method: str = "GET", body: bytes | None = None,
    **headers: str,
) -> Answer:  # fmt: skip
    """Asks with the token, unless the headers have another."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=SECONDS)
    named = {TOKEN_HEADER: server.token} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, data


def error_of(answer: Answer) -> str:
    """The one message of a refusal."""
    _, headers, data = answer
    assert headers["content-type"] == "application/json"
    fields: dict[str, str] = json.loads(data)
    assert list(fields) == ["error"]
    assert "Traceback" not in fields["error"]
    return fields["error"]


def figures(server: ViewerServer, path: str) -> Any:  # noqa: ANN401  # JSON
    status, _, data = ask(server, path)
    assert status == 200, data
    return json.loads(data)


def is_alive(server: ViewerServer) -> bool:
    return ask(server, "/data/pictures.json")[0] == 200


def test_only_loopback_is_bound(server: ViewerServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#[\w-]{32}", server.url)


def test_pages_are_sent_with_headers_that_confine_them(server: ViewerServer) -> None:
    for path in ("/", "/viewer/main.js", "/kernel.wasm", "/resources.json"):
        status, headers, data = ask(server, path, X_Aec_Token="")
        assert status == 200
        assert data
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert ask(server, "/", method="HEAD")[2] == b""


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "localhost:1", "evil.test:{port}"])
def test_other_hosts_are_refused(server: ViewerServer, host: str) -> None:
    for path in ("/", "/data/pictures.json"):
        answer = ask(server, path, Host=host.format(port=server.server_port))
        assert answer[0] == 421
        assert "host" in error_of(answer)
    assert is_alive(server)


def test_localhost_is_a_name_of_it(server: ViewerServer) -> None:
    assert ask(server, "/data/pictures.json", Host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
    ],
)
def test_other_origins_are_refused(server: ViewerServer, headers: dict[str, str]) -> None:
    for method, body in (("GET", None), ("POST", b"picture")):
        answer = ask(server, "/data/pictures", method=method, body=body, **headers)
        assert answer[0] == 403
        assert "origin" in error_of(answer)


def test_its_own_origin_is_welcome(server: ViewerServer) -> None:
    own = f"http://127.0.0.1:{server.server_port}"
    assert ask(server, "/data/pictures.json", Origin=own)[0] == 200


@pytest.mark.parametrize("token", ["", "wrong", "x" * 32, "ü"])
def test_data_need_the_token(server: ViewerServer, token: str) -> None:
    for path in ("/data/pictures.json", "/data/0/original.png", "/data/0/given/picture.aec"):
        answer = ask(server, path, X_Aec_Token=token)
        assert answer[0] == 403
        assert "token" in error_of(answer)
    answer = ask(server, "/data/pictures", method="POST", body=b"x", X_Aec_Token=token)
    assert answer[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/viewer/../../bundle.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/data/../pyproject.toml",
        "/data/0/../../pyproject.toml",
        "/data/0/given/..%2f..%2fpicture.aec",
        "/data/1/original.png",
        "/data/0/q401/figures.json",
        "/data/0/q/figures.json",
        "/data/0/given/jpeg.png",
        "/data/999999999/original.png",
        "/data/",
        "/bundled.js",
    ],
)
def test_nothing_else_is_found(server: ViewerServer, path: str) -> None:
    answer = ask(server, path)
    assert answer[0] == 404
    assert error_of(answer)


def test_other_methods_are_refused(server: ViewerServer) -> None:
    for method in ("PUT", "DELETE", "OPTIONS"):
        answer = ask(server, "/data/pictures.json", method=method)
        assert answer[0] == 501
        assert error_of(answer)
    assert ask(server, "/data/pictures.json", method="POST", body=b"x")[0] == 404


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 100])
def test_bad_pictures_are_told(server: ViewerServer, data: bytes) -> None:
    answer = ask(server, "/data/pictures?name=x.png", method="POST", body=data)
    assert answer[0] == 422
    assert error_of(answer)
    cut = CODED.read_bytes()[:-50]
    answer = ask(server, "/data/pictures?name=x.aec", method="POST", body=cut)
    assert answer[0] == 422
    assert "truncated" in error_of(answer)
    assert is_alive(server)


def test_too_much_is_refused_before_it_is_read(server: ViewerServer) -> None:
    size = str(UPLOAD_BYTES + 1)
    answer = ask(server, "/data/pictures", method="POST", body=b"x" * 1000, Content_Length=size)
    assert answer[0] == 413
    assert "64 MiB" in error_of(answer)
    assert ask(server, "/data/pictures", method="POST", body=b"x", Content_Length="-1")[0] == 411
    assert is_alive(server)


def test_pictures_that_are_sent_get_plain_names(server: ViewerServer) -> None:
    path = "/data/pictures?name=..%2F..%2Fetc%2Fmine.png"
    status, _, data = ask(server, path, method="POST", body=PICTURE.read_bytes())
    assert status == 200
    found = json.loads(data)
    assert (found["name"], found["width"], found["height"]) == ("mine.png", 451, 300)
    assert found["original"]
    assert not found["given"]
    again = figures(server, f"/data/{found['id']}/q160/figures.json")
    assert again["bytes"] == len(ask(server, f"/data/{found['id']}/q160/picture.aec")[2])


def test_a_later_wish_of_a_page_ends_those_before(server: ViewerServer) -> None:
    assert ask(server, "/data/0/q100/figures.json?turn=abc-7")[0] == 200
    answer = ask(server, "/data/0/q101/figures.json?turn=abc-6")
    assert answer[0] == 409
    assert error_of(answer)
    assert ask(server, "/data/0/q101/figures.json?turn=other-1")[0] == 200


def test_ctrl_c_ends_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aecodec", "view", "--no-browser", str(PICTURE)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=environment,
    ) as started:  # fmt: skip
        assert started.stdout
        assert started.stdout.readline().startswith("http://127.0.0.1:")
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=SECONDS)
    assert (started.returncode, errors) == (0, "")


def test_the_command_tells_what_it_cannot_show(shell: Shell, tmp_path: Path) -> None:
    bad, small = tmp_path / "bad.png", tmp_path / "chelsea.png"
    bad.write_bytes(b"no picture")
    small.write_bytes((ROOT / "samples" / "camera.png").read_bytes())
    for names, words in (
        ([bad], "bad.png"),
        ([tmp_path / "none.png"], "none.png"),
        ([small, CODED], "differ in size"),
    ):
        done = shell.run("view", "--no-browser", *map(str, names))
        assert done.code == 1
        assert words in done.err
        assert done.err.count("\n") == 1
    assert shell.run("view", "--export", str(tmp_path)).code == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = shell.run("view", "--no-browser", "--port", str(port))
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"port {port}" in done.err
    assert shell.run("view", str(PICTURE), "--decoder", "x.html").code == 2
