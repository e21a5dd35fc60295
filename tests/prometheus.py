"""A real Prometheus on loopback, which scrapes an exporter that the test serves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.backends import a_free_port

SCRAPE = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: ovenbird
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@dataclass
class Prometheus:
    """``url`` is the server's; ``exposed`` is the text that its exporter gives from now on."""

    url: str
    pid: int
    exposed: str = ""

    def expose(self, **values: float) -> None:
        """Give these metrics and no others, and return when Prometheus has them all."""
        self.exposed = "".join(f"{name} {value}\n" for name, value in values.items())
        for name, value in values.items():
            self.wait_for(f"{name} == {value}")

    def wait_for(self, query: str, *, timeout: float = 20.0) -> None:
        ends = time.monotonic() + timeout
        while not self._result(query):
            assert time.monotonic() < ends, f"prometheus never saw {query}"
            time.sleep(0.05)

    def _result(self, query: str) -> object:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, trust_env=False)
        return answer.json()["data"]["result"]


@contextmanager
def prometheus(folder: Path) -> Iterator[Prometheus]:
    """Start one, with its data below ``folder``; it is gone afterwards."""
    program = shutil.which("prometheus", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/bin")
    if program is None:
        pytest.fail("There is no prometheus: apt-get install prometheus, or ./bootstrap test")
    served = Prometheus(url="", pid=0)
    with _exporter(served) as port:
        served.url = f"http://127.0.0.1:{a_free_port()}"  # now, so that it is not the exporter's
        (folder / "prometheus.yml").write_text(SCRAPE.format(port=port))
        log = folder / "prometheus.log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                [
                    program,
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address={served.url.removeprefix('http://')}",
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        served.pid = child.pid
        try:
            _wait_until_ready(served, child, log)
            yield served
        finally:
            child.send_signal(signal.SIGCONT)
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait_until_ready(served: Prometheus, child: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 30
    while child.poll() is None and time.monotonic() < ends:
        try:
            if httpx.get(f"{served.url}/-/ready", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(0.05)
    pytest.fail(f"prometheus did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def _exporter(served: Prometheus) -> Iterator[int]:
    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served.exposed.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a test's own words are enough."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
