"""The network of a cluster: one bridge on the host, and a namespace for each member."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovenbird import process
from ovenbird.cluster.member import Member
from ovenbird.values.errors import CommandFailed

BRIDGE = "ovenbird0"
NET = "10.78.0"
"""The first three bytes of every address: .1 is the host, .11 and up are members, and instances
get .100 to .250."""

_NAT = ("POSTROUTING", "-s", f"{NET}.0/24", "!", "-d", f"{NET}.0/24", "-j", "MASQUERADE")


def make(folder: Path) -> None:
    """Make the bridge, give addresses on it, and let its instances reach the network."""
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "add", f"{NET}.1/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    inotify = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(inotify.read_text()) < 1024:  # 128 are spent by ten systemds
        inotify.write_text("1024\n")
    for rule in _rules():
        process.run(["iptables", "-w", *_with("-I", rule)], doing="Letting instances out")
    process.run(
        [
            "dnsmasq",
            "--conf-file=/dev/null",
            "--bind-interfaces",
            f"--interface={BRIDGE}",
            "--except-interface=lo",
            f"--dhcp-range={NET}.100,{NET}.250,1h",
            "--dhcp-authoritative",
            "--no-ping",  # nobody else is on this bridge, and asking takes three seconds
            f"--pid-file={folder}/dnsmasq.pid",
            f"--dhcp-leasefile={folder}/leases",
            "--user=root",
        ],
        doing="Starting dnsmasq",
    )


def join(member: Member) -> None:
    """Give a member a namespace with a bridge of its own, on which its instances stand."""
    _ip("netns", "add", member.netns)
    _ip("link", "add", member.link, "type", "veth", "peer", "name", "up0", "netns", member.netns)
    _ip("link", "set", member.link, "master", BRIDGE, "up")
    for words in (
        ("link", "set", "lo", "up"),
        ("link", "add", "br0", "type", "bridge"),
        ("link", "set", "up0", "master", "br0", "up"),
        ("addr", "add", f"{member.address}/24", "dev", "br0"),
        ("link", "set", "br0", "up"),
        ("route", "add", "default", "via", f"{NET}.1"),
    ):
        _ip("-n", member.netns, *words)


def left() -> bool:
    """Say whether anything of a cluster's network is there."""
    links = (each.name for each in Path("/sys/class/net").iterdir())
    spaces = (each.name for each in Path("/run/netns").glob("ovenbird-n*"))
    return any(name == BRIDGE or name.startswith("ovenbird-n") for name in (*links, *spaces))


def remove(folder: Path) -> None:
    """Remove what `make` made; the members' namespaces are gone by then."""
    pid = folder / "dnsmasq.pid"
    if pid.exists():
        process.run(["kill", pid.read_text().strip()], doing="Ending dnsmasq", check=False)
    for rule in _rules():
        while _drop(rule):
            pass
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        _ip("link", "del", BRIDGE)


def _drop(rule: tuple[str, ...]) -> bool:
    asked = ["iptables", "-w", *_with("-D", rule)]
    try:
        process.run(asked, doing="Removing a rule")
    except CommandFailed:
        return False  # there is none of it
    return True


def _with(action: str, rule: tuple[str, ...]) -> Iterator[str]:
    """Put the action where iptables wants it: after the table, before the chain."""
    if rule is _NAT:
        yield from ("-t", "nat")
    yield action
    yield from rule


def _rules() -> tuple[tuple[str, ...], ...]:
    return (
        _NAT,
        ("FORWARD", "-i", BRIDGE, "-j", "ACCEPT"),
        ("FORWARD", "-o", BRIDGE, "-j", "ACCEPT"),
    )


def _ip(*words: str) -> None:
    process.run(["ip", *words], doing=f"Preparing the network ({' '.join(words)})")
