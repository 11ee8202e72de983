"""The proxy passes requests on as they are, and errs as it is told."""

import http.client
import time
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from fault_proxy import Fault, FaultProxy, anything, gets, puts
from object_store import Bucket, S3Server

pytestmark = pytest.mark.slow
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}
"""What moto wants to see, and does not check."""


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as found:
        yield found


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultProxy]:
    with closing(Bucket(server, "faults")), FaultProxy(server.server) as found:
        yield found


def request(proxy: FaultProxy, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    parts = urlsplit(proxy.url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port)) as connection:
        connection.request(method, path, body or None, SIGNED)
        found = connection.getresponse()
        return found.status, found.read()


def test_requests_pass_and_are_noted(proxy: FaultProxy) -> None:
    assert request(proxy, "PUT", "/faults/a%20b.aec", b"bytes")[0] == 200
    assert request(proxy, "GET", "/faults/a%20b.aec") == (200, b"bytes")
    assert request(proxy, "HEAD", "/faults/a%20b.aec") == (200, b"")
    assert [each.fate for each in proxy.log] == ["200"] * 3
    assert proxy.count(puts("a b.aec")) == 1


def test_errors_touch_so_many_requests_and_nothing_is_passed_on(proxy: FaultProxy) -> None:
    fault = proxy.add(Fault(puts(".aec"), kind="error", times=2, status=500))
    assert [request(proxy, "PUT", "/faults/e.aec", b"x")[0] for _ in range(2)] == [500, 500]
    assert request(proxy, "GET", "/faults/e.aec")[0] == 404
    assert request(proxy, "PUT", "/faults/e.aec", b"x")[0] == 200
    assert fault.touched == 2


def test_a_stall_holds_requests_until_it_is_over(proxy: FaultProxy) -> None:
    proxy.add(Fault(anything, kind="stall", seconds=0.5))
    start = time.monotonic()
    assert request(proxy, "PUT", "/faults/s.aec", b"x")[0] == 200
    assert time.monotonic() - start >= 0.5
    start = time.monotonic()
    assert request(proxy, "PUT", "/faults/s.aec", b"x")[0] == 200
    assert time.monotonic() - start < 0.4


def test_a_cut_answer_ends_in_its_middle(proxy: FaultProxy) -> None:
    request(proxy, "PUT", "/faults/c.aec", bytes(1000))
    proxy.add(Fault(gets(".aec"), kind="cut", times=1))
    with pytest.raises(http.client.IncompleteRead):
        request(proxy, "GET", "/faults/c.aec")
    assert request(proxy, "GET", "/faults/c.aec") == (200, bytes(1000))
    proxy.add(Fault(puts(".aec"), kind="cut", times=1))
    with pytest.raises((http.client.RemoteDisconnected, http.client.BadStatusLine)):
        request(proxy, "PUT", "/faults/d.aec", b"x")
    assert request(proxy, "GET", "/faults/d.aec") == (200, b"x")


def test_s3fs_reads_and_writes_through_it(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs
    from object_store import ACCESS

    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    files = s3fs.S3FileSystem(endpoint_url=proxy.url, skip_instance_cache=True)
    proxy.add(Fault(puts(".bin"), kind="error", times=1))
    proxy.add(Fault(gets(".bin"), kind="cut", times=1))
    data = bytes(range(256)) * 1000
    files.pipe_file("faults/deep/x.bin", data)
    assert files.cat_file("faults/deep/x.bin") == data
    assert files.find("faults/deep") == ["faults/deep/x.bin"]
