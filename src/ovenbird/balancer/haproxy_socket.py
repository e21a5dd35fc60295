"""HAProxy's runtime API: one question a connection, over the stats socket and the master's.

Says what HAProxy answered and nothing about fleets. An endpoint that is silent for longer than a
restart takes is `BalancerUnreachable`: nobody knows then who gets traffic.
"""

from __future__ import annotations

import csv
import io
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ovenbird.values.errors import BalancerUnreachable
from ovenbird.values.instance import EntryState

OK_CHECKS = {"http": "L7OK", "tcp": "L4OK"}
"""What ``show stat`` says of a server whose last check passed, by kind of check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One server of one backend as a worker of HAProxy reports it."""

    name: str
    address: str
    status: str
    check: str
    sessions: int

    def state(self, *, check: str) -> EntryState:
        """Say whether it gets traffic. ``UP`` is not enough: a server is UP before any check.

        ``UP 1/2`` with a failed last check is on its way down, and already counts as down.
        """
        if self.status.startswith(("MAINT", "DRAIN", "NOLB")):
            return EntryState.DRAINING
        if self.status.startswith("UP") and self.check == OK_CHECKS[check]:
            return EntryState.IN_SERVICE
        if self.status.startswith("UP") and self.check in ("INI", "UNK", "", "SOCKERR"):
            return EntryState.UNCHECKED
        return EntryState.DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One frontend and backend of this name at one worker.

    ``digest`` is the name of its listener, where our files keep the hash of their settings: what
    a worker runs can so be told from what a file says. ``address`` is where it listens, as HAProxy
    writes it. Without a listener both are "".
    """

    digest: str
    address: str
    servers: dict[str, Row]


class Socket:
    """The unix socket of one HAProxy. Every method raises `BalancerUnreachable`."""

    patience: ClassVar[float] = 10.0
    """Seconds for which a refused or silent socket may still be a restart."""

    def __init__(self, path: Path, *, target: str = "") -> None:
        self.path, self._target = path, target

    def ask(self, command: str) -> str:
        """Send one command and return the whole answer, stripped."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return self.ask_once(command)
            except PermissionError as failure:
                raise BalancerUnreachable(
                    f"This user may not speak to HAProxy at {self.path}.",
                    remedy="Run this as the user that the socket belongs to.",
                ) from failure
            except OSError as failure:
                if time.monotonic() > deadline:
                    raise BalancerUnreachable(
                        f"HAProxy does not answer at {self.path}: {failure.strerror or failure}.",
                        remedy="Start it, then run the same command again. "
                        "The site's own HAProxy is started by: invoke rollout FLEET",
                    ) from failure
                time.sleep(0.1)

    def ask_once(self, command: str, *, timeout: float = 2.0) -> str:
        """Like `ask`, without patience: raises OSError where nobody answers in ``timeout`` s."""
        answer = bytearray()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(timeout)
            stream.connect(str(self.path))
            stream.sendall(f"{self._target}{command}\n".encode())
            # The master's socket keeps the connection open until the client has closed its side.
            stream.shutdown(socket.SHUT_WR)
            while chunk := stream.recv(65536):
                answer += chunk
        if not answer:
            raise ConnectionResetError(f"no answer to {command.split()[0]!r}")
        return answer.decode(errors="replace").strip()

    def ask_a_leaving_one(self, command: str) -> str:
        """Like `ask_once`, of a worker that may end at any moment: then the answer is ""."""
        with suppress(OSError):
            return self.ask_once(command)
        return ""

    def pid(self) -> int:
        """Return the process id of the worker that answers."""
        return _pid_in(self.ask("show info"))

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(self.ask_once("show info", timeout=0.5))
        return False

    def proxy(self, name: str) -> Proxy | None:
        """Report one frontend and backend, or None where this worker has none of that name."""
        return parsed(self.ask("show stat"), name)


class Master:
    """The master of a HAProxy started with ``-W -S SOCKET``: the way to workers of the past.

    A worker that was reloaded away still serves the connections it has, with the list it had.
    A drain that asked only the current one would end an instance under them.
    """

    def __init__(self, path: Path) -> None:
        self._socket = Socket(path)

    def old_workers(self) -> Iterator[Socket]:
        """Yield each worker that is finishing its connections; none where there is no master."""
        try:
            answer = self._socket.ask_once("show proc")
        except OSError:
            return
        old = answer.partition("# old workers")[2].partition("# programs")[0]
        for pid in re.findall(r"^(\d+)\s+worker", old, re.MULTILINE):
            yield Socket(self._socket.path, target=f"@!{pid} ")

    def knows(self, pid: int) -> bool:
        """Say whether ``pid`` is a worker of this master: sockets of others are left alone."""
        with suppress(OSError):
            answer = self._socket.ask_once("show proc")
            return re.search(rf"^{pid}\s+worker", answer, re.MULTILINE) is not None
        return False


def parsed(stat: str, name: str) -> Proxy | None:
    """Read the CSV of ``show stat``; columns go by their names, since versions append some."""
    rows = [r for r in csv.DictReader(io.StringIO(stat.lstrip("# "))) if r["pxname"] == name]
    if not any(row["svname"] == "BACKEND" for row in rows):
        return None
    listener = next((row for row in rows if row["type"] == "3"), None)
    return Proxy(
        digest=listener["svname"] if listener else "",
        address=(listener.get("addr") or "") if listener else "",
        servers={
            row["svname"]: Row(
                name=row["svname"],
                address=row.get("addr") or "",
                status=row["status"],
                check=(row.get("check_status") or "").removeprefix("* "),
                sessions=int(row["scur"] or 0) + int(row["qcur"] or 0),
            )
            for row in rows
            if row["type"] == "2"
        },
    )


def _pid_in(info: str) -> int:
    found = re.search(r"^Pid: (\d+)", info, re.MULTILINE)
    return int(found[1]) if found else 0
