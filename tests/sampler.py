"""An observer outside Ovenbird: every 50 ms, how many servers are truly serving?

Serving is: HAProxy deals requests to it (``UP``, last check passed), and the server itself
answers ``/healthz`` to a connection of our own. Nothing of Ovenbird is asked or imported.
"""

from __future__ import annotations

import csv
import http.client
import io
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One moment. ``serving`` and ``listed`` are addresses; ``seen`` is False where the sampler
    itself was blind, because HAProxy did not answer. ``sessions`` are in flight then, by the
    names of their servers; ``draining`` are the names of those that get nothing new."""

    at: float
    serving: frozenset[str]
    listed: frozenset[str]
    seen: bool
    sessions: Mapping[str, int] = field(default_factory=dict)
    draining: frozenset[str] = frozenset()


class Sampler:
    """``with Sampler(socket, "ovenbird-dev-web") as sampler: …`` then ``sampler.lowest()``."""

    def __init__(
        self,
        stats: Path,
        backend: str,
        *,
        every: float = 0.05,
        path: str = "/healthz",
        longest: float = 900.0,
    ) -> None:
        self._stats, self._backend, self._path = stats, backend, path
        self._every, self._longest = every, longest
        self.samples: list[Sample] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()

    def lowest(self) -> int:
        """The fewest that served at one time. Moments when the sampler was blind do not count."""
        return min(len(sample.serving) for sample in self.samples if sample.seen)

    def highest(self) -> int:
        return max(len(sample.serving) for sample in self.samples if sample.seen)

    def blind(self) -> int:
        """How many samples say nothing."""
        return sum(not sample.seen for sample in self.samples)

    def in_flight_at_drains(self) -> dict[str, int]:
        """What was in flight at each server when it was first seen draining, by its name."""
        first: dict[str, int] = {}
        for sample in self.samples:
            for name in sample.draining - first.keys():
                first[name] = sample.sessions[name]
        return first

    def _keep_looking(self) -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(max_workers=8) as pool:
            while not self._enough.is_set() and time.monotonic() - began < self._longest:
                start = time.monotonic()
                self.samples.append(self._look(pool, start))
                self._enough.wait(max(0.0, self._every - (time.monotonic() - start)))

    def _look(self, pool: ThreadPoolExecutor, at: float) -> Sample:
        try:
            rows = self._rows()
        except OSError:
            return Sample(at=at, serving=frozenset(), listed=frozenset(), seen=False)
        listed = frozenset(row["addr"] for row in rows)
        dealt = [
            row["addr"]
            for row in rows
            if row["status"].startswith("UP")
            and row["check_status"].removeprefix("* ") in ("L7OK", "L4OK")
        ]
        answers = pool.map(self._answers, dealt)
        serving = frozenset(a for a, good in zip(dealt, answers, strict=True) if good)
        return Sample(
            at=at,
            serving=serving,
            listed=listed,
            seen=True,
            sessions={row["svname"]: int(row["scur"] or 0) for row in rows},
            draining=frozenset(row["svname"] for row in rows if row["status"].startswith("DRAIN")),
        )

    def _rows(self) -> list[dict[str, str]]:
        text = b""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(1)
            stream.connect(str(self._stats))
            stream.sendall(b"show stat\n")
            while chunk := stream.recv(65536):
                text += chunk
        table = csv.DictReader(io.StringIO(text.decode().lstrip("# ")))
        return [row for row in table if row["pxname"] == self._backend and row["type"] == "2"]

    def _answers(self, address: str) -> bool:
        host, _, port = address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=1)
        try:
            connection.request("GET", self._path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
