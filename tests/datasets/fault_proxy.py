"""An HTTP proxy before a storage server that errs, stalls and cuts connections when told to.

It listens on loopback, passes every request on to one server, and notes each in `log`. A `Fault`
touches requests that its predicate picks, a limited number of them or for a limited time:

    with FaultProxy(server) as proxy:
        proxy.add(Fault(puts(".aec"), kind="error", times=20))
        proxy.add(Fault(anything, kind="stall", seconds=30))

The first fault that picks a request and is not used up decides over it.
"""

import http.client
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal
from urllib.parse import unquote, urlsplit

_TIMEOUT = 90.0
"""Seconds after which the proxy gives up on either side."""
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
_SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


@dataclass(frozen=True)
class Request:
    """What a client asked for, and what came of it.

    Attributes:
        method: such as PUT.
        path: with the bucket, without the query, not percent-encoded.
        query: as it was sent.
        fate: the status of the answer as a number, or "cut".
        when: `time.monotonic` at the answer.
    """

    method: str
    path: str
    query: str
    fate: str = ""
    when: float = 0.0


Predicate = Callable[[Request], bool]


def puts(ending: str) -> Predicate:
    """Picks what writes objects whose names end so."""
    return lambda request: request.method == "PUT" and request.path.endswith(ending)


def gets(ending: str) -> Predicate:
    """Picks what reads objects whose names end so."""
    return lambda request: request.method == "GET" and request.path.endswith(ending)


def anything(_request: Request) -> bool:
    """Picks every request."""
    return True


@dataclass
class Fault:
    """What goes wrong with some requests.

    Attributes:
        picks: which requests.
        kind: "error" answers with `status` and passes nothing on; "stall" lets each wait until
            `seconds` after the first one, "delay" each for `seconds`, and both pass it on then;
            "cut" passes it on and ends the connection in the middle of the answer.
        times: how many requests it touches at most; None for no limit, except that a stall ends.
        status: of errors.
        seconds: of stalls and delays.
        touched: how many it has touched.
    """

    picks: Predicate
    kind: Literal["error", "stall", "delay", "cut"]
    times: int | None = None
    status: int = 503
    seconds: float = 0.0
    touched: int = 0
    _end: float = field(default=0.0, init=False)

    def takes(self, request: Request) -> bool:
        """Whether it touches this request, which then counts."""
        now = time.monotonic()
        used_up = self.times is not None and self.touched >= self.times
        over = self.kind == "stall" and self.touched and now >= self._end
        if used_up or over or not self.picks(request):
            return False
        if not self.touched:
            self._end = now + self.seconds
        self.touched += 1
        return True

    @property
    def wait(self) -> float:
        """Seconds that a touched request has to wait from now on."""
        if self.kind == "stall":
            return max(0.0, self._end - time.monotonic())
        return self.seconds if self.kind == "delay" else 0.0


class FaultProxy:
    """The proxy, which runs in threads of this process while it is a context."""

    def __init__(self, server: str) -> None:
        """Prepares to pass requests on to the `host:port` of `server`."""
        self.log: list[Request] = []
        self._server = server
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._http = _Server(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def add(self, fault: Fault) -> Fault:
        """Lets requests meet a fault from now on."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Ends all faults and forgets all requests."""
        with self._lock:
            self._faults.clear()
            self.log.clear()

    def count(self, picks: Predicate) -> int:
        """How many of such requests the server has answered with success."""
        with self._lock:
            return sum(picks(each) and each.fate.startswith("2") for each in self.log)

    def wait_for(self, picks: Predicate, count: int, seconds: float = 240.0) -> None:
        """Waits until `count` of such requests have succeeded.

        Raises:
            TimeoutError: that takes more than `seconds`.
        """
        end = time.monotonic() + seconds
        while self.count(picks) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.count(picks)} of {count} requests in {seconds} s")
            time.sleep(0.01)

    def fault_of(self, request: Request) -> Fault | None:
        """The fault that this request meets."""
        with self._lock:
            return next((fault for fault in self._faults if fault.takes(request)), None)

    def pause(self, seconds: float) -> None:
        """Waits, or less where the proxy ends."""
        self._closed.wait(seconds)

    def note(self, request: Request, fate: str) -> None:
        """Notes what came of a request."""
        done = Request(request.method, request.path, request.query, fate, time.monotonic())
        with self._lock:
            self.log.append(done)

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the server."""
        return http.client.HTTPConnection(self._server, timeout=_TIMEOUT)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._closed.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: clients that give up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT

    def __init__(self, proxy: FaultProxy, *arguments: object) -> None:
        self._proxy = proxy
        super().__init__(*arguments)  # type: ignore[arg-type]  # as the server gives them

    def _handle(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        request = Request(self.command, unquote(parts.path), parts.query)
        fault = self._proxy.fault_of(request)
        if fault is not None and fault.kind == "error":
            self._proxy.note(request, str(fault.status))
            self._answer(fault.status, [("Content-Type", "application/xml")], _SLOW_DOWN)
            return
        if fault is not None:
            self._proxy.pause(fault.wait)
        status, headers, answer = self._forward(body)
        cut = fault is not None and fault.kind == "cut"
        self._proxy.note(request, "cut" if cut else str(status))
        if cut:
            self.close_connection = True
        self._answer(status, headers, answer, cut=cut)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        kept = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP | {"expect"}}
        kept["Content-Length"] = str(len(body))
        with closing(self._proxy.connect()) as connection:
            connection.request(self.command, self.path, body, kept)
            found = connection.getresponse()
            return found.status, found.getheaders(), found.read()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False
    ) -> None:
        known = {name.lower(): value for name, value in headers}
        length = known.get("content-length", "0") if self.command == "HEAD" else str(len(body))
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        if cut and self.command != "GET":
            return  # not even the head is sent
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""
