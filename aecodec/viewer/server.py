"""The viewer's server: on loopback only, for whoever has its token.

Pages of other sites reach servers on loopback through the browser, also under names of their own
that suddenly resolve to 127.0.0.1. Therefore a request must name this host, come from this origin
where it says from where, and show the token, which stands in the address behind `#` and so is sent
nowhere by itself. Scripts and weights need no token: they are those of the package.
"""

import hmac
import json
import re
import secrets
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from aecodec.errors import AecError
from aecodec.viewer.bundle import PAGES, VIEWER, web_files
from aecodec.viewer.studio import JSON, Answer, Studio, UnknownError

HOST, NAMES = "127.0.0.1", ("127.0.0.1", "localhost")
TOKEN_HEADER = "X-Aec-Token"
DATA = "/data/"
UPLOADS = "/data/pictures"
UPLOAD_BYTES = 64 * 2**20
UPLOAD_PIXELS = 50_000_000
"""Of pictures that come by the page; those on the command line may have what the codec allows."""
_MEDIA = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".json": JSON, ".wasm": "application/wasm",
}  # fmt: skip
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_TURN = re.compile(r"([a-z0-9]{1,32})-(\d{1,15})")
_PAGES_MAX = 64
_NAME_MAX = 200
_SECONDS = 30
"""How long a client may be silent within a request."""
_DRAINED_BYTES = 2**20


class Refusal(Exception):  # what the client is told
    """A request that is not answered as it wishes."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class ViewerServer(ThreadingHTTPServer):
    """Serves a studio until it is shut down."""

    daemon_threads = True

    def __init__(
        self, studio: Studio, port: int = 0, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Binds to loopback.

        Args:
            studio: what it shows.
            port: 0 for any that is free.
            say: takes a line on what should not happen.

        Raises:
            OSError: the port is taken.
            WeightsError: a file of the package is missing or damaged.
        """
        self.studio, self.say = studio, say
        self.token = secrets.token_urlsafe(24)
        self.files = web_files(PAGES)
        self.stopping = threading.Event()
        self._turns: OrderedDict[str, int] = OrderedDict()
        self._turning = threading.Lock()
        super().__init__((HOST, port), _Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in NAMES}

    @property
    def url(self) -> str:
        """Where the page is, with the token."""
        return f"http://{HOST}:{self.server_port}/#{self.token}"

    def server_close(self) -> None:
        """Ends what is computed, too."""
        self.stopping.set()
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of clients that go away."""

    def turn(self, text: str) -> Callable[[], None]:
        """What a computation calls to learn whether its page still waits for it.

        Args:
            text: a page and the number of its wish, such as "a1b2-7"; a later one of the same page
                ends those before it. Empty for what is never out of date.
        """
        parts = _TURN.fullmatch(text)
        page, number = (parts[1], int(parts[2])) if parts else ("", 0)
        if parts:
            with self._turning:
                self._turns[page] = max(number, self._turns.get(page, 0))
                self._turns.move_to_end(page)
                while len(self._turns) > _PAGES_MAX:
                    self._turns.popitem(last=False)

        def check() -> None:
            if self.stopping.is_set():
                raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the viewer ends")
            if self._turns.get(page, 0) > number:
                raise Refusal(HTTPStatus.CONFLICT, "a later wish of this page came before it")

        return check


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "aecodec", ""
    timeout = _SECONDS
    server: ViewerServer

    def do_GET(self) -> None:
        """Gives a file or an answer."""
        self._respond(self._get)

    def do_HEAD(self) -> None:
        """The same without its bytes."""
        self._respond(self._get)

    def do_POST(self) -> None:
        """Takes a picture."""
        self._respond(self._post)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Tells what is wrong with a request that was not understood."""
        self.close_connection = True
        self._send(code, _error(message or HTTPStatus(code).phrase))

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _respond(self, work: Callable[[], Answer]) -> None:
        """Sends what comes out, as JSON with one message where that is an error."""
        if self.command != "POST" and {"Content-Length", "Transfer-Encoding"} & {*self.headers}:
            self.close_connection = True  # a body that nobody reads is no next request
        status, answer = HTTPStatus.OK, None
        try:
            self._check()
            answer = work()
        except Refusal as exc:
            status, message = exc.status, str(exc)
        except UnknownError as exc:
            status, message = HTTPStatus.NOT_FOUND, str(exc)
        except AecError as exc:
            status, message = HTTPStatus.UNPROCESSABLE_ENTITY, str(exc)
        except (TimeoutError, ConnectionError):
            self.close_connection = True
            return
        except MemoryError:
            status, message = HTTPStatus.INSUFFICIENT_STORAGE, "not enough memory for this picture"
        except Exception as exc:  # one request must not end the server
            status, message = HTTPStatus.INTERNAL_SERVER_ERROR, "an error in the viewer itself"
            self.server.say(f"viewer: {type(exc).__name__}: {' '.join(str(exc).split())}")
        self._send(status, answer or _error(message))

    def _send(self, status: int, answer: Answer) -> None:
        with suppress(OSError):
            unread = self.command == "POST" and status != HTTPStatus.OK
            if unread:
                self.close_connection = True
            self.send_response(status)
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.media)
            self.send_header("Content-Length", str(len(answer.data)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.data)
            if unread:
                self._drain()

    def _drain(self) -> None:
        """Reads some of what comes still, for else the client may never see the answer."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1)
        left = _DRAINED_BYTES
        while left > 0:
            read = len(self.connection.recv(min(left, 65536)))
            if not read:
                break
            left -= read

    def _check(self) -> None:
        """Refuses requests that other pages may have caused."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, "this host is not served here")
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{hosts[0].lower()}":
            raise Refusal(HTTPStatus.FORBIDDEN, "requests of other origins are refused")
        site = self.headers.get("Sec-Fetch-Site")
        follows_link = self.headers.get("Sec-Fetch-Mode") == "navigate"
        if site not in (None, "same-origin", "none") and not follows_link:
            raise Refusal(HTTPStatus.FORBIDDEN, "requests of other origins are refused")

    def _check_token(self) -> None:
        token = self.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refusal(HTTPStatus.FORBIDDEN, "the token of this viewer is missing or wrong")

    def _get(self) -> Answer:
        parts = urlsplit(self.path)
        if parts.path.startswith(DATA):
            self._check_token()
            (turn,) = parse_qs(parts.query).get("turn", [""])[:1]
            check = self.server.turn(turn)
            return self.server.studio.answer(parts.path.removeprefix(DATA), check)
        name = VIEWER if parts.path == "/" else parts.path.removeprefix("/")
        data = self.server.files.get(name)
        if data is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "no such file")
        return Answer(_MEDIA.get(PurePosixPath(name).suffix, "application/octet-stream"), data)

    def _post(self) -> Answer:
        parts = urlsplit(self.path)
        self._check_token()
        if parts.path != UPLOADS:
            raise Refusal(HTTPStatus.NOT_FOUND, "nothing is taken here")
        name = unquote(parts.query.partition("name=")[2]).replace("\\", "/")
        name = PurePosixPath(name).name[:_NAME_MAX] or "picture"
        data = self._body()
        studio = self.server.studio
        limits = studio.codec.limits
        few = replace(limits, pixels=min(limits.pixels, UPLOAD_PIXELS))
        number = studio.take(name, data, few)
        return Answer(JSON, json.dumps(studio.described(number)).encode())

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,18}", length) or "Transfer-Encoding" in self.headers:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "say how many bytes the picture has")
        if int(length) > UPLOAD_BYTES:
            most = f"a picture may have {UPLOAD_BYTES >> 20} MiB here"
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most)
        data = self.rfile.read(int(length))
        if len(data) != int(length):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the picture was not sent whole")
        return data


def _error(message: str) -> Answer:
    return Answer(JSON, json.dumps({"error": message}).encode())
