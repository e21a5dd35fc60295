"""The site's own HAProxy: started, stopped, reloaded; and the administrator's, only reloaded.

One process a site, with everything that it reads below ``FOLDER/haproxy``. Nothing here knows of
servers. A reload is over when a new worker answers, never when it was merely asked for.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ovenbird.balancer.haproxy_address import refuse_a_taken
from ovenbird.balancer.haproxy_file import refuse_a_bad_one, replace, word
from ovenbird.balancer.haproxy_socket import Master, Socket
from ovenbird.process import run
from ovenbird.values.errors import BalancerUnreachable, Blocked, ConfigurationError
from ovenbird.values.fleet import BalancerSpec

MAIN = """\
# Ovenbird owns this file: the HAProxy of one site. Its fleets are in {fleets}.
global
    stats socket {socket} mode 600 level admin expose-fd listeners
    # An old worker ends here at the latest, whatever its clients do.
    hard-stop-after 1h
    # A new server is checked at once, not after its whole interval: until then it gets nothing
    # from us that counts, and a switch would wait for it.
    max-spread-checks 20ms

defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    timeout http-request 10s
    timeout http-keep-alive 10s
    timeout queue 5s
"""

LONGEST_SOCKET = 90
"""The kernel takes 107 bytes for a socket's path; HAProxy appends up to 16 while it binds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one HAProxy keeps what we need of it. ``own`` ones we may start and stop."""

    main: Path
    fleets: Path
    socket: Path
    master: Path
    pid: Path
    own: bool

    @classmethod
    def of_site(cls, folder: Path) -> Place:
        home = folder.absolute() / "haproxy"
        return cls(
            main=home / "haproxy.cfg",
            fleets=home / "fleets",
            socket=home / "admin.sock",
            master=home / "master.sock",
            pid=home / "pid",
            own=True,
        )

    @classmethod
    def of(cls, spec: BalancerSpec, folder: Path) -> Place:
        """The administrator's where ``spec`` names a socket, else the site's own."""
        if not spec.socket:
            return cls.of_site(folder)
        return cls(
            main=Path(spec.main or "/etc/haproxy/haproxy.cfg"),
            fleets=Path(spec.folder or "/etc/haproxy/ovenbird"),
            socket=Path(spec.socket),
            master=Path("/run/haproxy-master.sock"),
            pid=Path("/run/haproxy.pid"),
            own=False,
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other drivers on this host out while something is changed or reloaded.

        During a reload two workers share the socket: a command could reach the one that leaves.
        """
        with self._held(".lock"):
            yield

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Let one process at a time start or stop the site's own HAProxy.

        Not `alone`: a driver that waits for a HAProxy that died holds that one, and would keep
        out whoever wants to start it again.
        """
        with self._held(".starting"):
            yield

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        self.fleets.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.fleets / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def is_running(folder: Path) -> bool:
    """Say whether the site's own HAProxy runs, by its pid file and its command line."""
    return _running_pid(Place.of_site(folder)) is not None


def start(folder: Path) -> None:
    """Start the site's own HAProxy and return when it answers. Running already is fine.

    A driver that waits for it in the middle of a change goes on.
    """
    place = Place.of_site(folder)
    with place.starting():
        _start(place)


def _start(place: Place) -> None:
    if _running_pid(place) is not None:
        return
    if len(os.fsencode(place.socket)) > LONGEST_SOCKET:
        raise ConfigurationError.of(
            f"The path of HAProxy's socket is longer than {LONGEST_SOCKET} bytes: {place.socket}",
            remedy="Give the site a folder with a shorter path: set OVENBIRD_STATE.",
        )
    _wait_for_addresses(place)
    replace(place.main, MAIN.format(fleets=place.fleets, socket=word(str(place.socket))))
    refuse_a_bad_one(place.main, place.fleets, meant=place.fleets)
    done = run(
        [
            *("haproxy", "-W", "-D", "-p", str(place.pid), "-S", f"{place.master},mode,600"),
            *("-f", str(place.main), "-f", str(place.fleets)),
        ],
        doing="Starting the site's HAProxy",
        check=False,
    )
    if done.code:
        raise Blocked(
            "The site's HAProxy does not start.",
            remedy=f"See all of it: haproxy -d -f {place.main} -f {place.fleets}",
            evidence="\n".join((done.stderr or done.stdout).strip().splitlines()[-10:]),
        )
    if not _eventually(Socket(place.socket).answers):
        raise BalancerUnreachable(
            f"The site's HAProxy was started and does not answer at {place.socket}.",
            remedy=f"See what it says: haproxy -d -f {place.main} -f {place.fleets}",
        )


def stop(folder: Path) -> None:
    """End the site's own HAProxy and whatever it still serves. Idempotent; its files stay."""
    place = Place.of_site(folder)
    if not place.fleets.exists():
        return
    with place.starting():
        _stop(place)


def _stop(place: Place) -> None:
    pid = _running_pid(place)
    if pid is None:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _eventually(lambda: _running_pid(place) is None):
        raise Blocked(
            f"The site's HAProxy (process {pid}) does not end.",
            remedy=f"End it by hand: kill -9 {pid}",
        )
    for left in (place.pid, place.socket, place.master):
        left.unlink(missing_ok=True)


def reload(place: Place, *, arrived: Callable[[], bool]) -> None:
    """Have HAProxy read its files again; return when a new worker answers and ``arrived()``.

    Raises `Blocked` where it cannot be reloaded or did not take the files.
    """
    door = Socket(place.socket)
    before = door.pid()
    if place.own:
        _eventually(lambda: Master(place.master).knows(before), seconds=2)
    for _ in range(5):
        _ask_to_reload(place, before)
        # A master that is still busy with the reload before this one can lose the signal.
        if _eventually(lambda: door.pid() != before, seconds=2):
            break
    else:
        raise Blocked(
            "HAProxy was told to reload, and goes on with what it had.",
            remedy=f"See why: haproxy -c -f {place.main} -f {place.fleets}, and HAProxy's own log.",
        )
    if not _eventually(arrived, seconds=3):
        raise Blocked(
            f"HAProxy reloaded, and does not read {place.fleets}.",
            remedy=f"Add -f {place.fleets} to its command line, behind its main file; "
            "docs/how-to/balancers.md shows how.",
        )


def old_workers(place: Place) -> list[Socket]:
    """The workers that finish their connections after a reload, where a master's socket exists."""
    if not place.master.exists():
        return []
    master = Master(place.master)
    return list(master.old_workers()) if place.own or master.knows(_pid(place)) else []


def _wait_for_addresses(place: Place) -> None:
    """Refuse taken addresses, but give the workers of a killed master a moment to end."""
    deadline = time.monotonic() + 3.0
    texts = [path.read_text() for path in sorted(place.fleets.glob("*.cfg"))]
    for bind in re.findall(r"^ +bind (\S+)", "\n".join(texts), re.MULTILINE):
        while True:
            try:
                refuse_a_taken(bind)
                break
            except Blocked:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def _ask_to_reload(place: Place, worker: int) -> None:
    master = _master_of(worker)
    if master is None:
        raise Blocked(
            f"The HAProxy behind {place.socket} runs without a master, so it cannot be reloaded.",
            remedy="Start it with -W (the packages' systemd unit does), on this host.",
        )
    with suppress(OSError):
        unit = re.search(r"/(haproxy[\w@.-]*\.service)", Path(f"/proc/{master}/cgroup").read_text())
        if unit and Path("/run/systemd/system").exists():
            run(["systemctl", "reload", unit[1]], doing="Reloading HAProxy", leave_after=60)
            return
    try:
        os.kill(master, signal.SIGUSR2)
    except PermissionError as failure:
        raise Blocked(
            f"This user may not reload the HAProxy behind {place.socket} (process {master}).",
            remedy="Run this as root, or as the user that HAProxy was started by.",
        ) from failure


def _master_of(worker: int) -> int | None:
    with suppress(OSError):
        status = Path(f"/proc/{worker}/status").read_text()
        parent = int(status.partition("PPid:")[2].split()[0])
        if Path(f"/proc/{parent}/comm").read_text().strip() == "haproxy":
            return parent
    return None


def _running_pid(place: Place) -> int | None:
    with suppress(OSError, ValueError):
        pid = int(place.pid.read_text().split()[0])
        # Process ids come round again, and a zombie has no command line.
        if os.fsencode(place.main) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    return None


def _pid(place: Place) -> int:
    return Socket(place.socket).pid()


def _eventually(condition: Callable[[], bool], *, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
