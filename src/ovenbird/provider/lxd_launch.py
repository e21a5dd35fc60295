"""How one instance of an image is made at LXD: stopped, given its launch data, then started.

Whoever finds it half made goes on from there. LXD's configuration of it, which all may read who
may list instances, has labels and limits and no launch data: that lies in a file of root's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from ovenbird.provider.lxd_api import Lxd
from ovenbird.provider.lxd_errors import Refused
from ovenbird.provider.lxd_seen import ENDING_LABEL, IMAGE_LABEL, labels_of
from ovenbird.provider.seed import SEED_PATH, seed
from ovenbird.values.errors import ConfigurationError, EngineUnreachable
from ovenbird.values.fleet import Order, Resources

_BUSY = ("busy", "is being created", "failed to acquire lock")
# The last two are what the files of one say that another is just making or filling.
_IN_OTHER_HANDS = (*_BUSY, "forkfile.sock", "file exists")
_INIT = (
    "/sbin/init",
    # Without these the console stays empty, and a bad image would die without a word.
    "systemd.journald.forward_to_console=1",
    "systemd.journald.max_level_console=info",
)
START_TIMEOUT = 60
"""Seconds that LXD may take to start an instance, and that we wait for one who makes it."""


def create(
    lxd: Lxd, order: Order, *, site: str, volumes: Mapping[str, str], member: str | None
) -> None:
    """Make it, stopped, on ``member``. Raises `Refused`; LXD leaves nothing of one that failed."""
    name, root = _root_disk(lxd)
    devices = {
        f"volume-{number}": {
            "type": "disk",
            "pool": lxd.settings.pool,
            "source": source,
            "path": path,
        }
        for number, (source, path) in enumerate(volumes.items())
    }
    lxd.post(
        "instances",
        doing=f"Making {order.token}",
        target=member,
        body={
            "name": order.token,
            "type": "container",
            "source": {"type": "image", "fingerprint": order.artifact.id},
            "profiles": [lxd.settings.profile],
            "config": _config(order, site=site),
            "devices": {name: root, **devices},
        },
    )


def make_to_look_at(lxd: Lxd, name: str, fingerprint: str, *, member: str | None) -> None:
    """Make an instance that is never started, has no network, and is removed by whoever asks."""
    root = {"type": "disk", "path": "/", "pool": lxd.settings.pool}
    lxd.post(
        "instances",
        doing=f"Unpacking {fingerprint[:12]} to look at it",
        target=member,
        body={
            "name": name,
            "type": "container",
            "source": {"type": "image", "fingerprint": fingerprint},
            "profiles": [],
            "config": {IMAGE_LABEL: fingerprint, "boot.autostart": "false"},
            "devices": {"root": root},
        },
    )


def hand_over(lxd: Lxd, order: Order) -> None:
    """Write the launch data into the stopped instance, unless all of it is there already."""
    path, content = ("instances", order.token, "files"), seed(order)
    doing = f"Handing its launch data to {order.token}"
    if lxd.read(*path, doing=doing, path=SEED_PATH) == content:
        return
    folder = SEED_PATH.rpartition("/")[0]
    lxd.write(*path, doing=doing, to=folder, content=b"", kind="directory", mode=0o700)
    lxd.write(*path, doing=doing, to=SEED_PATH, content=content, mode=0o400)


def start(lxd: Lxd, token: str) -> None:
    """Start it; one that runs already is left as it is."""
    body = {"action": "start", "timeout": START_TIMEOUT}
    try:
        lxd.put("instances", token, "state", doing=f"Starting {token}", body=body)
    except Refused as refused:
        if "already running" not in refused.said.lower():
            raise


def go_on(lxd: Lxd, order: Order, *, is_started: Callable[[], bool]) -> None:
    """Hand it its launch data and start it. Another driver may be at the same, or still making
    it: what is in its hands is waited for, and one that ``is_started`` meanwhile is left as it
    is. Raises `Refused`."""
    ends = time.monotonic() + START_TIMEOUT
    while True:
        try:
            hand_over(lxd, order)
            start(lxd, order.token)
            return
        except Refused as refused:
            if is_started():
                return
            if not any(word in refused.said.lower() for word in _IN_OTHER_HANDS):
                raise
            if time.monotonic() > ends:
                raise EngineUnreachable(
                    f"{order.token} has been in somebody else's hands for {START_TIMEOUT} s.",
                    remedy="See what LXD does with it: lxc operation list. Then run this again.",
                    evidence=refused.said,
                ) from refused
        time.sleep(0.2)


def _config(order: Order, *, site: str) -> dict[str, str]:
    config = labels_of(order, site=site) | _limits(order.launch.resources)
    config["raw.lxc"] = (
        f"lxc.signal.halt = {order.contract.stop.signal}\nlxc.init.cmd = {' '.join(_INIT)}\n"
    )
    # LXD starts again with its host what ran when the host went, and nothing that had ended.
    # A job is never started twice.
    return config | ({"boot.autostart": "false"} if order.job else {})


def _limits(resources: Resources) -> dict[str, str]:
    found = {}
    if resources.memory is not None:
        found["limits.memory"] = f"{resources.memory[:-1]}{resources.memory[-1:].upper()}iB"
    if resources.cpus is not None:
        # Of limits.cpu LXD takes whole processors, pinned; this is a share of all of them.
        found["limits.cpu.allowance"] = f"{round(resources.cpus * 100)}ms/100ms"
    return found


def _root_disk(lxd: Lxd) -> tuple[str, dict[str, str]]:
    """Take the profile's root disk, with its size where it says one, on the pool of our settings.

    Raises `ConfigurationError` for a profile or a pool that LXD does not have.
    """
    settings = lxd.settings
    for kind, path in (
        ("profile", ("profiles", settings.profile)),
        ("pool", ("storage-pools", settings.pool)),
    ):
        try:
            found = lxd.get(*path, doing=f"Reading the {kind} {path[-1]}")
        except Refused as refused:
            if not refused.is_gone:
                raise
            raise ConfigurationError.of(
                f"LXD's project {settings.project} has no {kind} {path[-1]!r}.",
                remedy=f"Make it, or name another as {kind}: of lxd in inventories/engines.yml.",
            ) from refused
        if kind == "profile":
            devices: dict[str, dict[str, str]] = found["devices"]
    for name, device in devices.items():
        if device.get("type") == "disk" and device.get("path") == "/":
            return name, {**device, "pool": settings.pool}
    return "root", {"type": "disk", "path": "/", "pool": settings.pool}


def mark_as_ending(lxd: Lxd, token: str) -> None:
    """Say of an instance, to whoever looks at it, that it is being ended from now on."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    body = {"config": {ENDING_LABEL: now}}
    try:
        lxd.patch("instances", token, doing=f"Marking {token}", body=body)
    except Refused as refused:
        # Another driver may be ending it, and LXD lets nobody else touch it meanwhile.
        if refused.is_of_a_lost_member:
            raise


def stop(lxd: Lxd, token: str, *, timeout: int) -> None:
    """Ask it to end; after ``timeout`` seconds end it by force."""
    path, doing = ("instances", token, "state"), f"Stopping {token}"
    if timeout > 0:
        try:
            asked = {"action": "stop", "timeout": timeout, "force": False}
            lxd.put(*path, doing=doing, body=asked, longer=timeout)
            return
        except Refused as refused:
            # Whatever kept it from ending, force is next, and fails aloud.
            if refused.is_gone or refused.is_of_a_lost_member:
                raise
    try:
        lxd.put(*path, doing=doing, body={"action": "stop", "timeout": 30, "force": True})
    except Refused as refused:
        if "already stopped" not in refused.said.lower() and not refused.is_gone:
            raise


def remove(lxd: Lxd, token: str) -> None:
    """Delete it. One that is gone is not an error; one that another is ending is waited for."""
    ends = time.monotonic() + START_TIMEOUT
    while True:
        try:
            lxd.delete("instances", token, doing=f"Removing {token}")
            return
        except Refused as refused:
            if refused.is_gone:
                return
            if not any(word in refused.said.lower() for word in _BUSY):
                raise
            if time.monotonic() > ends:
                raise
        time.sleep(0.2)
