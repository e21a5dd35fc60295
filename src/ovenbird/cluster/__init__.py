"""An LXD cluster of several members on one machine, for tests and for a first look.

Each member is a daemon in a network namespace of its own, on one bridge, with a storage pool in a
sparse file. Everything that is made carries the names below or lies in one folder, so that `down`
finds it all again, whoever died half-way through `up`.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ovenbird import process
from ovenbird.clock import Clock
from ovenbird.cluster import member as members_of
from ovenbird.cluster import network
from ovenbird.cluster.member import Member
from ovenbird.console import Console
from ovenbird.values.errors import Blocked, ConfigurationError

PROGRAMS = ("lxd", "lxc", "ip", "dnsmasq", "mkfs.btrfs", "iptables", "openssl", "losetup")
PACKAGES = "lxd lxd-client iproute2 dnsmasq-base btrfs-progs iptables openssl"
MOST = 9

WHERE = Path("/run/ovenbird-cluster")
"""Says in which folder the one cluster of this machine lies: its network has one name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that is up. ``certificate`` and ``key`` are files of a client that it trusts;
    ``pin`` is the SHA-256 of the certificate that every member shows."""

    folder: Path
    members: tuple[Member, ...]
    certificate: Path
    key: Path
    pin: str

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(member.endpoint for member in self.members)

    def described(self) -> str:
        """Return what ``inventories/engines.yml`` says to use it."""
        return (
            "engines:\n  lxd:\n"
            f"    endpoints: [{', '.join(self.endpoints)}]\n"
            f'    pin: "{self.pin}"\n'
            f"    client: {{certificate: {self.certificate}, key: {self.key}}}\n"
        )


def up(folder: Path, *, members: int, console: Console, clock: Clock) -> Cluster:
    """Bring a cluster up in ``folder``; one that is up already is left as it is.

    Raises `ConfigurationError` where it cannot be done here, `CommandFailed` where a step fails;
    then all of it is taken down again.
    """
    _require_possible(members, folder)
    if (folder / "up").exists():
        return opened(folder)
    other = Path(WHERE.read_text()) if WHERE.exists() else folder
    if other != folder and (other / "up").exists():
        raise Blocked(
            f"A cluster is up in {other}, and a machine has one.",
            remedy=f"Use that one, or take it down: invoke dev.cluster down --folder {other}",
        )
    down(folder, console=console)
    WHERE.write_text(str(folder))
    wanted = [Member.numbered(n, folder=folder) for n in range(1, members + 1)]
    try:
        _build(folder, wanted, console=console, clock=clock)
    except BaseException:
        down(folder, console=console)
        raise
    (folder / "up").write_text(f"{members}\n")
    return opened(folder)


def opened(folder: Path) -> Cluster:
    """Return the cluster that is up in ``folder``. Raises `Blocked` where there is none."""
    if not (folder / "up").exists():
        raise Blocked(f"No cluster is up in {folder}.", remedy="Bring it up: invoke dev.cluster up")
    count = int((folder / "up").read_text())
    return Cluster(
        folder=folder,
        members=tuple(Member.numbered(n, folder=folder) for n in range(1, count + 1)),
        certificate=folder / "client.crt",
        key=folder / "client.key",
        pin=_fingerprint(folder / "n1" / "cluster.crt"),
    )


def down(folder: Path, *, console: Console) -> None:
    """Take down all that `up` makes, also after one that died; what is gone is fine."""
    if not folder.exists() and not network.left():
        return
    if WHERE.exists() and (other := Path(WHERE.read_text())) != folder and (other / "up").exists():
        return  # what is there belongs to another one
    with console.inside("Taking the cluster down"):
        for n in range(1, MOST + 1):
            members_of.end(Member.numbered(n, folder=folder))
        network.remove(folder)
        if folder.exists():
            process.run(["rm", "-rf", str(folder)], doing=f"Removing {folder}")
        WHERE.unlink(missing_ok=True)


def _build(folder: Path, wanted: list[Member], *, console: Console, clock: Clock) -> None:
    folder.mkdir(mode=0o711, parents=True)
    first, *others = wanted
    with console.inside(f"Bringing up {len(wanted)} members of an LXD cluster in {folder}"):
        network.make(folder)
        for member in wanted:
            network.join(member)
            members_of.start(member, clock=clock)
        console.step(f"{first.name} makes the cluster")
        members_of.begin_cluster(first)
        for member in others:
            console.step(f"{member.name} joins it")
            members_of.join_cluster(member, first)
        members_of.make_pool(wanted)
        _trust_a_client(folder, first)


def _trust_a_client(folder: Path, first: Member) -> None:
    key, certificate = str(folder / "client.key"), str(folder / "client.crt")
    made = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    told = ("-subj", "/CN=ovenbird", "-days", "3650", "-keyout", key, "-out", certificate)
    process.run(["openssl", *made, *told], doing="Making a client's certificate")
    members_of.lxc(first, "config", "trust", "add", certificate, "--name", "ovenbird")


def _fingerprint(certificate: Path) -> str:
    asked = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(certificate)]
    said = process.run(asked, doing="Reading the cluster's certificate").stdout
    return said.strip().rpartition("=")[2].replace(":", "").lower()


def _require_possible(members: int, folder: Path) -> None:
    if not 1 <= members <= MOST:
        raise ConfigurationError.of(
            f"A cluster of {members} members is not made here.", remedy=f"Allowed: 1 to {MOST}."
        )
    if os.geteuid() != 0:
        raise ConfigurationError.of(
            "A cluster needs network namespaces and mounts, which only root may make.",
            remedy="Run it as root: sudo .venv/bin/invoke dev.cluster up",
        )
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise ConfigurationError.of(
            f"These programs are not on this machine: {', '.join(missing)}.",
            remedy=f"apt-get install --no-install-recommends {PACKAGES}",
        )
    shut = [p for p in folder.parents if p.exists() and not p.stat().st_mode & 0o001]
    if shut:
        raise ConfigurationError.of(
            f"{shut[0]} cannot be entered by other users, and the root of an instance is one.",
            remedy="Name another folder: --folder /var/lib/ovenbird-cluster",
        )
