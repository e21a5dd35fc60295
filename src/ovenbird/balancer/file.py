"""A JSON document for others to read: who gets this fleet's traffic, in their own way.

    {"site": "…", "fleet": "dev/web", "servers": [
      {"token": "dev-web-k3", "address": "127.0.0.1:32768", "state": "ready"}]}

``state`` is ``ready`` or ``draining``. The document is replaced at once, never written in place.
Nobody reports back, so in service means listed, and a drain lasts its whole time-out.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ovenbird.values.errors import BalancerUnreachable, Blocked, ConfigurationError
from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck
from ovenbird.values.instance import Entry, EntryState, Seen

STATES = {"ready": EntryState.IN_SERVICE, "draining": EntryState.DRAINING}


class FileBalancer:
    """Keep ``spec.path`` true. A relative path lies below ``folder``."""

    def __init__(
        self, fleet: FleetKey, spec: BalancerSpec, folder: Path, health: HealthCheck
    ) -> None:
        if not spec.path:
            raise ConfigurationError.of(
                f"The file balancer of {fleet} has no path.",
                remedy="Write the path of the document: {file: /srv/web.json}.",
            )
        self._fleet, self._path = fleet, folder / spec.path

    @property
    def name(self) -> str:
        return "file"

    def open(self) -> None:
        """Write a document with no servers, unless there is one of this fleet."""
        with self._alone():
            self._write(self._read())

    def register(self, instance: Seen) -> None:
        if not instance.address:
            raise ConfigurationError.of(
                f"{instance.token} has no address to list.",
                remedy="Give its family a port in packer/images.yml, or the fleet no balancer.",
            )
        entry = Entry(token=instance.token, address=instance.address, state=EntryState.IN_SERVICE)
        with self._alone():
            self._write({**self._read(), entry.token: entry})

    def entries(self) -> Collection[Entry]:
        return tuple(self._read().values())

    def drain(self, token: str, *, timeout: float) -> int:
        """List it as draining, wait until ``timeout`` is over, and return 0: nobody can count."""
        with self._alone():
            servers = self._read()
            if token not in servers:
                return 0
            entry = servers[token]
            servers[token] = Entry(token=token, address=entry.address, state=EntryState.DRAINING)
            self._write(servers)
        time.sleep(timeout)
        return 0

    def deregister(self, token: str) -> None:
        with self._alone():
            servers = self._read()
            if servers.pop(token, None):
                self._write(servers)

    def close(self) -> None:
        """Remove the document."""
        with self._alone():
            self._read()
            self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Entry]:
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return {}
        except OSError as failure:
            raise BalancerUnreachable(
                f"{self._path} cannot be read: {failure.strerror}.",
                remedy="Make it readable for the user that runs Ovenbird.",
            ) from failure
        try:
            document = json.loads(text)
            whose = (document["site"], document["fleet"])
            servers = {entry.token: entry for entry in map(_entry, document["servers"])}
        except (ValueError, KeyError, TypeError) as failure:
            raise Blocked(
                f"{self._path} is no list of servers that Ovenbird wrote.",
                remedy="Move it away, or give the balancer another path.",
            ) from failure
        if whose != (self._fleet.site, str(self._fleet)):
            raise Blocked(
                f"{self._path} belongs to {whose[1]} of site {whose[0]}.",
                remedy="Give every fleet a document of its own.",
            )
        return servers

    def _write(self, servers: Mapping[str, Entry]) -> None:
        states = {state: word for word, state in STATES.items()}
        document = {
            "site": self._fleet.site,
            "fleet": str(self._fleet),
            "servers": [
                {"token": entry.token, "address": entry.address, "state": states[entry.state]}
                for entry in servers.values()
            ],
        }
        fresh = self._path.with_name(f".{self._path.name}.new")
        with fresh.open("w") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
            os.fsync(handle)
        finally:
            os.close(handle)


def _entry(server: Mapping[str, Any]) -> Entry:
    return Entry(token=server["token"], address=server["address"], state=STATES[server["state"]])
