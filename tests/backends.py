"""Small real HTTP servers on loopback, each with a token, for tests of balancers and probes."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


def a_free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Backend:
    """``/version`` names it, ``/slow`` lasts ``slow`` seconds, ``/healthz`` answers ``healthz``."""

    def __init__(self, token: str, *, slow: float = 1.0) -> None:
        self.token, self.slow, self.healthz = token, slow, 200
        self.in_flight, self.peak = 0, 0
        self._counting = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def count(self, by: int) -> None:
        with self._counting:
            self.in_flight += by
            self.peak = max(self.peak, self.in_flight)

    def stop(self) -> None:
        """Listen no more; returns when every request has been answered."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Backends:
    """Backends by token, started when first asked for."""

    def __init__(self, *, slow: float = 1.0) -> None:
        self._slow = slow
        self.running: dict[str, Backend] = {}

    def __enter__(self) -> Backends:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for token in list(self.running):
            self.stop(token)

    def address(self, token: str) -> str:
        if token not in self.running:
            self.running[token] = Backend(token, slow=self._slow)
        return self.running[token].address

    def stop(self, token: str) -> None:
        self.running.pop(token).stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own affair."""


def _handler_of(backend: Backend) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            backend.count(1)
            if self.path.startswith("/slow"):
                time.sleep(backend.slow)
            body = f"web/1 {backend.token}\n".encode()
            # Before the answer leaves: its reader may look at the count sooner than this thread.
            backend.count(-1)
            self.send_response(backend.healthz if self.path == "/healthz" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler
