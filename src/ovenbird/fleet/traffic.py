"""Requests at a steady rate, to show that nobody is turned away while servers are replaced.

Open loop: a request starts when its time has come, whether others are answered or not, so a
pause of the server shows as what users would see. Nothing is retried. Loopback only, since aimed
elsewhere this would be an attack; bounded in time, in number and in what is in flight.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import cycle
from types import TracebackType
from urllib.parse import urlsplit

from ovenbird.values.errors import ConfigurationError


class Kind(StrEnum):
    FAST = "fast"
    SLOW = "slow"
    KEPT = "kept"  # rides a connection that was used before


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A request that was not served, and why."""

    at: datetime
    kind: Kind
    because: str

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S.%f} {self.kind}: {self.because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What became of all requests. ``by_server`` counts the answers that named their server."""

    served: int
    failed: Sequence[Miss]
    by_kind: Mapping[str, int]
    by_server: Mapping[str, int]
    seconds: float

    def __str__(self) -> str:
        return f"{self.served} served, {len(self.failed)} failed in {self.seconds:.1f} s"


class Traffic:
    """``with Traffic("http://127.0.0.1:8080") as traffic: …`` then ``traffic.results()``.

    Of ``rate`` requests a second ``slow_share`` ask for ``slow_path`` and ``keepalive_share``
    take turns on ``kept`` connections; the rest ask for ``path`` on a connection each. A server
    is the last word of an answer's first line ("web/2 dev-web-k3"), as ``/version`` gives it.
    Ends by itself after ``longest`` seconds. ``timeout`` is per request.
    """

    def __init__(
        self,
        url: str,
        *,
        rate: float = 50,
        slow_share: float = 0.1,
        keepalive_share: float = 0.1,
        path: str = "/version",
        slow_path: str = "/slow",
        kept: int = 4,
        timeout: float = 30.0,
        longest: float = 600.0,
        most_in_flight: int = 1000,
    ) -> None:
        self._host, self._port = _loopback(url)
        self._rate, self._slow_share, self._kept_share = rate, slow_share, keepalive_share
        self._path, self._slow_path, self._timeout = path, slow_path, timeout
        self._longest, self._most = longest, most_in_flight
        self._lines = [_Line() for _ in range(kept)]
        self._next_line = cycle(self._lines)
        self._misses: list[Miss] = []
        self._kinds: Counter[str] = Counter()
        self._servers: Counter[str] = Counter()
        self._in_flight: Counter[str] = Counter()
        self._began = self._ended = 0.0
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> Traffic:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def stop(self) -> Served:
        """Start no more, wait for what is in flight, and return the results."""
        self._enough.set()
        self._thread.join()
        return self.results()

    def results(self) -> Served:
        """What became of the requests so far."""
        return Served(
            served=sum(self._kinds.values()),
            failed=tuple(self._misses),
            by_kind=dict(self._kinds),
            by_server=dict(self._servers),
            seconds=(self._ended or time.monotonic()) - self._began,
        )

    def in_flight(self) -> Mapping[str, int]:
        """Requests that wait for their answer now, by kind."""
        return {kind: count for kind, count in self._in_flight.items() if count}

    def _run(self) -> None:
        asyncio.run(self._keep_asking())
        self._ended = time.monotonic()

    async def _keep_asking(self) -> None:
        began, number = asyncio.get_running_loop().time(), 0
        waiting: set[asyncio.Task[None]] = set()
        while not self._enough.is_set():
            now = asyncio.get_running_loop().time() - began
            if now > self._longest:
                break
            while number <= now * self._rate:
                task = asyncio.create_task(self._ask(self._kind_of(number)))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
                number += 1
            await asyncio.sleep(0.005)
        await asyncio.gather(*waiting)
        for line in self._lines:
            line.close()

    def _kind_of(self, number: int) -> Kind:
        """Deal the kinds out evenly, without chance: the golden ratio never falls into step."""
        place = number * 0.6180339887498949 % 1
        if place < self._slow_share:
            return Kind.SLOW
        return Kind.KEPT if place < self._slow_share + self._kept_share else Kind.FAST

    async def _ask(self, kind: Kind) -> None:
        at = datetime.now(UTC)
        if sum(self._in_flight.values()) >= self._most:
            self._miss(at, kind, f"{self._most} requests are in flight already")
            return
        self._in_flight[kind] += 1
        line = next(self._next_line) if kind is Kind.KEPT else _Line()
        try:
            async with line.turn, asyncio.timeout(self._timeout):
                status, body = await line.get(
                    self._host,
                    self._port,
                    self._slow_path if kind is Kind.SLOW else self._path,
                    keep=kind is Kind.KEPT,
                )
            if status == 200:
                self._kinds[kind] += 1
                self._servers[_server_in(body)] += 1
            else:
                self._miss(at, kind, f"HTTP {status}")
        except TimeoutError:
            line.close()
            self._miss(at, kind, f"no answer within {self._timeout:g} s")
        except (OSError, EOFError, ValueError) as failure:
            line.close()
            self._miss(at, kind, f"{type(failure).__name__}: {failure}")
        finally:
            self._in_flight[kind] -= 1

    def _miss(self, at: datetime, kind: Kind, because: str) -> None:
        self._misses.append(Miss(at=at, kind=kind, because=because))


class _Line:
    """One connection of a client, opened when needed and kept where both sides want it."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, host: str, port: int, path: str, *, keep: bool) -> tuple[int, bytes]:
        # A connection whose end has been announced is not used again: that is no failure.
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            self._streams = await asyncio.open_connection(host, port)
        reader, writer = self._streams
        connection = "keep-alive" if keep else "close"
        head = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", f"Connection: {connection}", "", ""]
        writer.write("\r\n".join(head).encode())
        await writer.drain()
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        body = await _body_after(answer, reader)
        if not keep or "connection: close" in answer:
            self.close()
        return int(answer.split()[1]), body

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None


async def _body_after(head: str, reader: asyncio.StreamReader) -> bytes:
    """Read a body to its end: one that was cut short is a failure, whatever its status says."""
    if length := re.search(r"^content-length: *(\d+)", head, re.MULTILINE):
        return await reader.readexactly(int(length[1]))
    if not re.search(r"^transfer-encoding: *chunked", head, re.MULTILINE):
        return await reader.read()
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readline()
    return body


def _server_in(body: bytes) -> str:
    first = body.split(b"\n", 1)[0].split()
    return first[-1].decode("ascii", "replace")[:80] if first else ""


def _loopback(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http" and host == "localhost":
        return "127.0.0.1", parts.port or 80
    try:
        if parts.scheme == "http" and ipaddress.ip_address(host).is_loopback:
            return host, parts.port or 80
    except ValueError as failure:
        raise _not_here(url) from failure
    raise _not_here(url)


def _not_here(url: str) -> ConfigurationError:
    return ConfigurationError.of(
        f"Traffic is made for this machine only, not for {url!r}.",
        remedy="Give it an address such as http://127.0.0.1:8080.",
    )
