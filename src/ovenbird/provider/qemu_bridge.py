"""Where a machine on a bridge is reached: what this host has learned of its neighbours.

Whoever gives it an address (a DHCP server on the bridge) tells us nothing. But its answer makes the
two hosts speak with each other, and then the kernel knows which address a card has.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ovenbird.provider.qemu_launch import mac_of
from ovenbird.provider.qemu_machine import Machine

NEIGHBOURS = Path("/proc/net/arp")


def address_of(machine: Machine, *, neighbours: Path = NEIGHBOURS) -> str | None:
    """Return ``host:port``, or None as long as nobody has heard of it. Once seen it is kept beside
    the machine, since the kernel forgets."""
    written = machine.written()
    if written is None or written.inside is None or written.job:
        return None
    known = machine.folder / "address"
    if found := _of(mac_of(machine.token), neighbours.read_text()):
        if not known.exists() or known.read_text() != found:
            with suppress(FileNotFoundError):  # it is being removed
                known.write_text(found)
        return f"{found}:{written.inside}"
    return f"{known.read_text()}:{written.inside}" if known.exists() else None


def _of(mac: str, table: str) -> str:
    for line in table.splitlines()[1:]:
        address, _, flags, card, *_ = line.split()
        if card.lower() == mac and int(flags, 16) & 2:  # complete: it has answered
            return address
    return ""
