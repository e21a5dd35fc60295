"""Whether an address is free to listen on, and who has it where it is not."""

from __future__ import annotations

import errno
import os
import re
import socket
from contextlib import suppress
from pathlib import Path

from ovenbird.values.errors import Blocked


def refuse_a_taken(bind: str) -> None:
    """Raise `Blocked` where somebody listens on ``HOST:PORT`` already, and say who.

    HAProxy itself would not notice another HAProxy: both bind with SO_REUSEPORT, and the kernel
    would deal the connections out to both. A ``bind`` in another form is left to HAProxy.
    """
    found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\d.]+|\*|):(\d+)", bind)
    if not found:
        return
    host, port = found[1].strip("[]").replace("*", ""), int(found[2])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as failure:
            if failure.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
                raise
            raise Blocked(_why_not(bind, failure, port), remedy=_way_out(failure)) from failure


def _why_not(bind: str, failure: OSError, port: int) -> str:
    if failure.errno == errno.EADDRINUSE:
        return f"{bind} is taken{_by_whom(port)}."
    return f"HAProxy cannot listen on {bind}: {os.strerror(failure.errno or 0)}."


def _way_out(failure: OSError) -> str:
    if failure.errno == errno.EACCES:
        return "Ports below 1024 need root: bind a higher one, or run this as root."
    return "Bind the fleet to a free address of this machine, or end what listens there."


def _by_whom(port: int) -> str:
    """Name the listener from /proc, as far as this user may look."""
    wanted = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            here = f":{port:04X}"
            wanted |= {f"socket:[{r[9]}]" for r in rows if r[1].endswith(here) and r[3] == "0A"}
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if fd.readlink().as_posix() in wanted:
                pid = fd.parts[2]
                return f" by {Path('/proc', pid, 'comm').read_text().strip()} (process {pid})"
    return ""
