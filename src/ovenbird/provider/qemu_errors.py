"""What QEMU means when it says no. Pure: a failed command in, an error with a way out out."""

from __future__ import annotations

from ovenbird.provider.known_errors import Known, known
from ovenbird.values.errors import Blocked, CommandFailed, NoCapacity, OvenbirdError

_PORT_TAKEN = ("could not set up host forwarding rule", "address already in use")
_DAMAGED = (
    *("invalid kernel header", "could not load kernel", "linux kernel too old", "could not open"),
    *("not in qcow2 format", "image is corrupt", "error loading", "could not read qcow2"),
)


def port_taken(output: str) -> bool:
    """Say whether a machine could not start only because another has its port."""
    return any(said in output.lower() for said in _PORT_TAKEN)


def translated(failure: CommandFailed, *, what: str) -> OvenbirdError:
    """Return the error that an operator can act on, or ``failure`` itself where none is known.

    ``what`` is the version that the command was about.
    """
    doing = failure.problem.partition(" failed")[0]
    if blocked := known(_BLOCKED, failure.output, doing=doing, evidence=failure.evidence):
        return blocked
    if any(word in failure.output.lower() for word in _DAMAGED):
        return OvenbirdError(
            f"QEMU cannot read the image of {what}: it is damaged.",
            remedy="Bake it again with invoke bake FAMILY --force, or choose another version.",
            evidence=failure.evidence,
        )
    return failure


def disk_full(what: str, *, where: object, evidence: str = "") -> NoCapacity:
    return NoCapacity(
        f"{what}: the disk is full.",
        remedy=f"Free some space where the disks of instances are: {where}",
        evidence=evidence,
    )


def no_kvm(because: str) -> Blocked:
    return Blocked(
        f"KVM boots no guest on this host: {because}",
        remedy="Take accelerator: auto or tcg for qemu in inventories/engines.yml, or give this "
        "host a KVM that works: invoke doctor",
    )


_BLOCKED: tuple[Known, ...] = (
    Known(
        NoCapacity,
        ("no space left", "disk quota exceeded"),
        "the disk is full.",
        "Free some space where the disks of instances are: df -h",
    ),
    Known(
        NoCapacity,
        _PORT_TAKEN,
        "no port is free.",
        "See who listens with ss -ltnp, then run this again.",
    ),
    Known(
        NoCapacity,
        ("cannot allocate memory", "cannot set up guest memory", "resource temporarily unavail"),
        "this host has no memory or processes left.",
        "Give it room, make the fleet smaller, or ask for less: resources.memory of the fleet.",
    ),
    Known(
        Blocked,
        ("could not access kvm", "failed to initialize kvm", "failed to set msr", "kvm_buf_set"),
        "KVM does not work any more on this host.",
        "Take accelerator: tcg for qemu in inventories/engines.yml, or repair it: invoke doctor",
    ),
    Known(
        Blocked,
        ("bridge helper", "access denied by acl"),
        "QEMU may not use that bridge.",
        "Allow it: echo allow BRIDGE >> /etc/qemu/bridge.conf. Or take bridge: away from qemu in "
        "inventories/engines.yml.",
    ),
    Known(
        Blocked,
        ('failed to get "write" lock', "failed to get shared", "cannot lock pid file"),
        "another process has its disk open.",
        "See who: fuser -v OVERLAY. End it, or wait, then run this again.",
    ),
)
