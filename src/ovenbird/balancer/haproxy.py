"""HAProxy in front of one fleet: a file for the restart, the runtime API for now.

The file is replaced before a server is added and after one is deleted, so whatever dies between
two calls, a restart comes back right and the same call again finishes the work. Decides nothing
about health: a server is handed in only after our own gate.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from ovenbird.balancer.haproxy_address import refuse_a_taken
from ovenbird.balancer.haproxy_file import FleetFile, Server, remove
from ovenbird.balancer.haproxy_process import (
    Place,
    is_running,
    old_workers,
    reload,
    start,
    stop,
)
from ovenbird.balancer.haproxy_socket import Proxy, Row, Socket, parsed
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck
from ovenbird.values.instance import Entry, EntryState, Seen

__all__ = ["HAProxyBalancer", "is_running", "start", "stop"]

DONE = ("New server registered", "Already exists a server with the same name")
"""What HAProxy says of a change that was made, now or before. Most changes it answers with ""."""

PATIENCE_TO_DELETE = 10.0
"""Seconds for which HAProxy may refuse to delete a server whose connections are being closed."""


class HAProxyBalancer:
    """One fleet's frontend and backend at one HAProxy. See `Balancer` for what each verb promises.

    Without ``spec.socket`` it is the site's own HAProxy below ``folder``, which `open` starts.
    With one it is the administrator's, whose main file is never written.
    """

    def __init__(
        self, fleet: FleetKey, spec: BalancerSpec, folder: Path, health: HealthCheck
    ) -> None:
        self._folder, self._place = folder, Place.of(spec, folder)
        self._file = FleetFile(key=fleet, spec=spec, health=health, folder=self._place.fleets)
        self._socket = Socket(self._place.socket)

    @property
    def name(self) -> str:
        return "haproxy"

    def open(self) -> None:
        """Make the entrance exist as ``spec`` says: check, write, reload, wait for the worker.

        Raises `Blocked` where the address is taken, the file is foreign, or HAProxy refuses it.
        """
        with self._place.alone():
            self._file.servers()
            if self._place.own:
                start(self._folder)
            there = self._proxy()
            if not self._listens_there(there) and not self._is_as_wished(there):
                refuse_a_taken(self._file.spec.bind)
            self._file.write(self._listed(there), main=self._place.main)
            if self._is_as_wished(there):
                return
            reload(self._place, arrived=lambda: self._is_as_wished(self._proxy()))

    def register(self, instance: Seen) -> None:
        if not instance.address:
            raise ConfigurationError.of(
                f"{instance.token} has no address, so HAProxy cannot send it traffic.",
                remedy="Give its family a port in packer/images.yml, or the fleet no balancer.",
            )
        wanted = Server(token=_safe(instance.token), address=instance.address)
        with self._place.alone():
            there = self._entrance()
            self._file.write({**self._listed(there), wanted.token: wanted}, main=self._place.main)
            self._enable(wanted, there.servers.get(wanted.token))

    def entries(self) -> Collection[Entry]:
        """List what HAProxy runs, and what only its file lists: a restart would bring that back."""
        running = self._servers()
        listed = self._file.servers()
        return tuple(
            self._entry(token, running.get(token), listed.get(token))
            for token in sorted(running.keys() | listed.keys())
        )

    def drain(self, token: str, *, timeout: float) -> int:
        name = _safe(token)
        with self._place.alone():
            listed = self._file.servers()
            if name not in listed and name not in self._servers():
                return 0
            if name in listed:
                leaving = replace(listed[name], leaving=True)
                self._file.write({**listed, name: leaving}, main=self._place.main)
            self._ask_every_worker(f"set server {self._at(name)} state drain")
        deadline = time.monotonic() + timeout
        quiet = 0
        while True:
            left = self._sessions(name)
            # A request may have been dealt out and not counted yet: twice zero is zero.
            quiet = quiet + 1 if left == 0 else 0
            if quiet == 2 or time.monotonic() >= deadline:
                return left
            time.sleep(min(0.05, max(0.0, deadline - time.monotonic())))

    def deregister(self, token: str) -> None:
        name = _safe(token)
        with self._place.alone():
            if name in self._servers():
                self._ask_every_worker(f"set server {self._at(name)} state maint")
                self._ask_every_worker(f"shutdown sessions server {self._at(name)}")
                self._delete(name)
            listed = self._file.servers()
            if listed.pop(name, None):
                self._file.write(listed, main=self._place.main)

    def close(self) -> None:
        """Remove the entrance. The site's own HAProxy ends with its last fleet."""
        with self._place.alone():
            self._file.servers()
            remove(self._file.path)
            if self._place.own and not any(self._place.fleets.glob("*.cfg")):
                stop(self._folder)
                return
            if self._place.own and not self._socket.answers():
                return
            if self._proxy() is not None:
                reload(self._place, arrived=lambda: self._proxy() is None)

    def _enable(self, wanted: Server, running: Row | None) -> None:
        at = self._at(wanted.token)
        if running and running.address != wanted.address:
            self._change(f"set server {at} state maint")
            self._change(f"shutdown sessions server {at}")
            self._delete(wanted.token)
            running = None
        if running is None:
            self._change(f"add server {at} {wanted.address} {self._file.options}")
        self._change(f"enable health {at}")
        self._change(f"set server {at} state ready")

    def _delete(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE_TO_DELETE
        while True:
            said = self._socket.ask(f"del server {self._at(name)}")
            if said == "Server deleted." or said.startswith("No such"):
                return
            if time.monotonic() > deadline:
                raise Blocked(
                    f"HAProxy does not let go of {name}.",
                    remedy=f"See its connections: echo 'show servers conn {self._file.name}' | "
                    f"socat - {self._place.socket}",
                    evidence=said,
                )
            self._change(f"shutdown sessions server {self._at(name)}")
            time.sleep(0.05)

    def _change(self, command: str) -> None:
        self._insist(self._socket.ask(command), command)

    def _ask_every_worker(self, command: str) -> None:
        self._insist(self._socket.ask(command), command)
        for worker in old_workers(self._place):
            worker.ask_a_leaving_one(command)

    def _insist(self, said: str, command: str) -> None:
        """Take an answer for done only where it says so: HAProxy tells its errors in prose."""
        if said and not said.startswith(DONE):
            raise Blocked(
                f"HAProxy refused {command!r}.",
                remedy=f"Ask it by hand: echo '{command}' | socat - {self._place.socket}",
                evidence=said,
            )

    def _sessions(self, name: str) -> int:
        """Count what is in flight at every worker, and hold the drain through a foreign reload."""
        row = self._servers().get(name)
        if row and row.state(check=self._file.check) is not EntryState.DRAINING:
            self._ask_every_worker(f"set server {self._at(name)} state drain")
        count = row.sessions if row else 0
        for worker in old_workers(self._place):
            proxy = parsed(worker.ask_a_leaving_one("show stat"), self._file.name)
            count += proxy.servers[name].sessions if proxy and name in proxy.servers else 0
        return count

    def _entry(self, token: str, running: Row | None, listed: Server | None) -> Entry:
        leaving = listed is not None and listed.leaving
        if running is None:
            state = EntryState.DRAINING if leaving else EntryState.UNCHECKED
            address = listed.address if listed else ""
            return Entry(token=token, address=address, state=state, sessions=0)
        state = running.state(check=self._file.check)
        if leaving and state is not EntryState.IN_SERVICE:
            # HAProxy says DOWN of a draining server whose check fails.
            state = EntryState.DRAINING
        return Entry(token=token, address=running.address, state=state, sessions=running.sessions)

    def _entrance(self) -> Proxy:
        there = self._proxy()
        if there is None:
            raise Blocked(
                f"HAProxy has no frontend {self._file.name}.",
                remedy=f"Does it run with -f {self._place.fleets}? Rolling the fleet out opens it.",
            )
        return there

    def _is_as_wished(self, there: Proxy | None) -> bool:
        return there is not None and there.digest == f"settings-{self._file.digest}"

    def _listens_there(self, there: Proxy | None) -> bool:
        """Say whether the port that is wished is our own already."""
        port = self._file.spec.bind.rpartition(":")[2]
        return there is not None and there.address.rpartition(":")[2] == port

    def _listed(self, there: Proxy | None) -> dict[str, Server]:
        """The file's list; where somebody removed the file, what HAProxy still runs."""
        if self._file.path.exists() or there is None:
            return self._file.servers()
        return {
            row.name: Server(
                token=row.name,
                address=row.address,
                leaving=row.state(check=self._file.check) is EntryState.DRAINING,
            )
            for row in there.servers.values()
        }

    def _proxy(self) -> Proxy | None:
        return self._socket.proxy(self._file.name)

    def _servers(self) -> Mapping[str, Row]:
        there = self._proxy()
        return there.servers if there else {}

    def _at(self, token: str) -> str:
        return f"{self._file.name}/{token}"


def _safe(token: str) -> str:
    """A token becomes a word of HAProxy's command line: refuse what could be two."""
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", token):
        raise ConfigurationError.of(
            f"{token!r} cannot be the name of a server.",
            remedy="Names of instances are letters, digits, dots and dashes.",
        )
    return token
