"""A small HTTP proxy with a password, for bakes that reach their packages through one."""

from __future__ import annotations

import base64
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx

KEPT = ("content-length", "content-type", "last-modified", "etag", "date")
ASKED = ("if-modified-since", "if-range", "range", "accept", "user-agent")


class ForwardProxy:
    """``served`` and ``refused`` count requests with and without the right password.

    It listens on this machine's own address, so that containers reach it too.
    """

    def __init__(self, *, user: str, password: str) -> None:
        self.served = self.refused = 0
        given = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._expected = f"Basic {given}"
        self._counting = threading.Lock()
        host = own_address()
        self._server = ThreadingHTTPServer((host, 0), _handler_of(self))
        self.url = f"http://{user}:{password}@{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def admits(self, given: str | None) -> bool:
        with self._counting:
            good = given == self._expected
            self.served += good
            self.refused += not good
        return good


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        trial.connect(("192.0.2.1", 9))  # sends nothing: it only chooses an address
        return str(trial.getsockname()[0])


def _handler_of(proxy: ForwardProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not proxy.admits(self.headers.get("Proxy-Authorization")):
                self.send_response(407)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            asked = {k: v for k, v in self.headers.items() if k.lower() in ASKED}
            with httpx.stream("GET", self.path, headers=asked, timeout=60) as answer:
                self.send_response(answer.status_code)
                for name in KEPT:
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                if "content-length" not in answer.headers:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                for piece in answer.iter_raw():
                    self.wfile.write(piece)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a test's output is about what it tests."""

    return Handler
