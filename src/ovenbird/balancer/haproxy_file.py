"""The one file that a fleet has in HAProxy's folder: written whole, checked, replaced at once.

It lists every server, so that a restart of HAProxy comes back right. It is never edited in place,
and a file that somebody else wrote is never touched.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ovenbird.process import run
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck

_PROVEN: set[str] = set()
"""Digests of all that HAProxy reads, lines of servers apart, that it has accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One line of the backend. ``leaving`` is written ``disabled``: a restart sends it nothing."""

    token: str
    address: str
    leaving: bool = False

    @property
    def is_plain(self) -> bool:
        """Say that its line can be wrong in nothing: a word, and numbers."""
        numbers = re.fullmatch(r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):\d{1,5}", self.address)
        return bool(numbers and re.fullmatch(r"[A-Za-z0-9._:-]+", self.token))


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFile:
    """What HAProxy reads about one fleet."""

    key: FleetKey
    spec: BalancerSpec
    health: HealthCheck
    folder: Path

    @property
    def name(self) -> str:
        """The name of file, frontend and backend."""
        return f"ovenbird-{self.key.env}-{self.key.name}"

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.cfg"

    @property
    def marker(self) -> str:
        return f"# ovenbird site={self.key.site} env={self.key.env} fleet={self.key.name}"

    @property
    def check(self) -> str:
        """The kind of check: a fleet judged by its engine is asked whether its port accepts."""
        return "http" if self.health.kind == "http" else "tcp"

    @property
    def digest(self) -> str:
        """Twelve hex digits over all settings, servers apart. It is the listener's name."""
        return hashlib.sha256(self._settings("").encode()).hexdigest()[:12]

    def text(self, servers: Iterable[Server]) -> str:
        lines = [
            f"    server {s.token} {s.address} {self.options}{' disabled' if s.leaving else ''}\n"
            for s in servers
        ]
        return self._settings(self.digest) + "".join(lines)

    @property
    def options(self) -> str:
        """How a server is checked; ``add server`` takes the same words."""
        return (
            f"check inter {max(1, round(self.health.interval * 1000))}ms "
            f"fall 2 rise {max(1, self.health.passes)}"
        )

    def servers(self) -> dict[str, Server]:
        """Read the list back; an absent file lists nobody. Raises `Blocked` for a foreign file."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return {}
        if self.marker not in text.splitlines():
            raise Blocked(
                f"{self.path} belongs to another site or fleet: it does not say {self.marker!r}.",
                remedy="Give this fleet another name or another HAProxy. If the other site is "
                "gone, remove the file and reload HAProxy.",
            )
        found = re.findall(r"^ +server (\S+) (\S+)(.*)$", text, re.MULTILINE)
        return {
            token: Server(token=token, address=address, leaving=" disabled" in rest)
            for token, address, rest in found
        }

    def write(self, servers: Mapping[str, Server], *, main: Path) -> None:
        """Check the whole configuration with the new list in it, then replace the file at once.

        HAProxy takes a while to check, so it is asked again only where more has changed than
        which servers there are: in a switch, each call counts.
        """
        text = self.text(servers.values())
        if self.path.exists() and self.path.read_text() == text:
            return
        around = self._around(main)
        if around not in _PROVEN or not all(server.is_plain for server in servers.values()):
            self._prove(text, main=main)
        replace(self.path, text)
        _PROVEN.add(around)

    def _around(self, main: Path) -> str:
        """Hash what HAProxy reads beside our servers, and how a server's line ends."""
        others = sorted(p for p in self.folder.glob("*.cfg") if p.name != self.path.name)
        texts = [f"{p}\n{p.read_text()}" for p in (main, *others) if p.exists()]
        own = [str(self.path), self._settings(self.digest), self.options]
        return hashlib.sha256("\0".join([*own, *texts]).encode()).hexdigest()

    def _prove(self, text: str, *, main: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="ovenbird-haproxy-") as trial:
            for other in self.folder.glob("*.cfg"):
                if other.name != self.path.name and not other.name.startswith("."):
                    shutil.copyfile(other, Path(trial, other.name))
            Path(trial, self.path.name).write_text(text)
            refuse_a_bad_one(main, Path(trial), meant=self.folder)

    def _settings(self, digest: str) -> str:
        mode = "tcp" if self.spec.mode == "tcp" else "http"
        lines = [
            f"# Ovenbird owns this file: traffic of fleet {self.key}. Edits are lost.",
            self.marker,
            f"frontend {self.name}",
            f"    mode {mode}",
            f"    bind {word(self.spec.bind)} name settings-{digest}",
            "    option socket-stats",
            # A reload leaves idle clients connected until their next answer says goodbye.
            *(["    option idle-close-on-response"] if mode == "http" else []),
            f"    default_backend {self.name}",
            "",
            f"backend {self.name}",
            f"    mode {mode}",
            f"    balance {'roundrobin' if mode == 'http' else 'leastconn'}",
            # One connection to a server a request: sessions count exactly what is in flight, and
            # no request meets a kept connection that its server is just closing.
            *(["    option http-server-close"] if mode == "http" else []),
            f"    retries {self.spec.retries}",
            "    option redispatch 1" if self.spec.retries else "    no option redispatch",
            f"    timeout check {max(1, round(self.health.timeout * 1000))}ms",
            *self._check_lines(),
        ]
        return "\n".join(lines) + "\n"

    def _check_lines(self) -> list[str]:
        if self.check != "http":
            return []
        return [
            "    option httpchk",
            "    http-check send meth GET uri "
            f"{word(self.health.path)} ver HTTP/1.1 hdr Host localhost",
            f"    http-check expect status {self.health.status}",
        ]


def replace(path: Path, text: str) -> None:
    """Put a file in place so that a reader, or a machine that loses power, sees old or new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # HAProxy skips names that begin with a dot: a half-written file is never loaded.
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(0o644)
    fresh.replace(path)
    sync(path.parent)


def remove(path: Path) -> None:
    """Take a file away for good; one that is gone is not an error."""
    path.unlink(missing_ok=True)
    if path.parent.exists():
        sync(path.parent)


def sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refuse_a_bad_one(main: Path, folder: Path, *, meant: Path) -> None:
    """Ask HAProxy itself whether it would load this. Raises `Blocked` with what it said."""
    done = run(
        ["haproxy", "-c", "-f", str(main), "-f", str(folder)],
        doing="Checking HAProxy's configuration",
        timeout=60,
        check=False,
    )
    if done.code:
        said = (done.stderr or done.stdout).replace(str(folder), str(meant))
        raise Blocked(
            "HAProxy refuses this configuration; the one that runs was not changed.",
            remedy=f"See all of it: haproxy -c -f {main} -f {meant}",
            evidence="\n".join(said.strip().splitlines()[-10:]),
        )


def word(text: str) -> str:
    """Quote one argument for HAProxy; a control character cannot be meant."""
    if not text or any(ord(letter) < 32 for letter in text):
        raise ConfigurationError.of(
            f"HAProxy cannot be given {text!r}.",
            remedy="Write a bind address such as 127.0.0.1:8080 and a path such as /healthz.",
        )
    if re.fullmatch(r"[\w./:\[\]*@,?=&~-]+", text):
        return text
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'
