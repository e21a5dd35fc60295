"""What podman means when it says no. Pure: a failed command in, an error with a way out out."""

from __future__ import annotations

from ovenbird.provider.known_errors import Known, known
from ovenbird.values.errors import Blocked, CommandFailed, NoCapacity, OvenbirdError

_NAME_TAKEN = ("is already in use by", "name is in use")
_GONE = (
    *("no such container", "no container with", "image not known", "no such image"),
    *("no such volume", "layer not known"),
)


def gone(output: str) -> bool:
    """Say whether a command failed only because what it was given is not there (any more)."""
    return any(said in output.lower() for said in _GONE)


def name_taken(output: str) -> bool:
    """Say whether a container of that name exists already."""
    return any(said in output.lower() for said in _NAME_TAKEN)


def translated(failure: CommandFailed, *, what: str) -> OvenbirdError:
    """Return the error that an operator can act on, or ``failure`` itself where none is known.

    ``what`` is the version or image that the command was about.
    """
    if gone(failure.output):
        return OvenbirdError(
            f"podman does not hold the image of {what} any more.",
            remedy="Bake it again with invoke bake FAMILY --force, or choose another version.",
            evidence=failure.evidence,
        )
    doing = failure.problem.removesuffix(".")
    blocked = known(_BLOCKED, failure.output, doing=doing, evidence=failure.evidence)
    return blocked or failure


_BLOCKED: tuple[Known, ...] = (
    Known(
        NoCapacity,
        ("no space left", "disk quota exceeded", "database or disk is full"),
        "the disk is full.",
        "Free some space where podman keeps its containers: podman info, graphRoot.",
    ),
    Known(
        NoCapacity,
        ("address already in use", "port is already allocated", "failed to expose ports"),
        "a port is taken or none is free.",
        "See who listens with ss -ltnp, then run this again.",
    ),
    Known(
        NoCapacity,
        ("failed to find free ip", "exceeded num_locks", "no available ip"),
        "podman has no address or lock left for one more container.",
        "Remove containers that nobody needs: podman ps --all. Or give podman a larger network, "
        "and more locks: num_locks in containers.conf.",
    ),
    Known(
        Blocked,
        _NAME_TAKEN,
        "a container that is not this site's has this name.",
        "Rename or remove that container: podman ps --all",
    ),
    Known(
        Blocked,
        ("image is in use", "image used by", "more than one tag", "dependent child"),
        "something else still uses the image or has named it.",
        "See who: podman ps --all --external; podman images --all",
    ),
    Known(
        NoCapacity,
        ("too many open files", "inotify"),
        "the kernel gives no more inotify instances.",
        "Allow more: sysctl -w fs.inotify.max_user_instances=1024",
    ),
    Known(
        NoCapacity,
        ("cannot allocate memory", "cannot fork", "resource temporarily unavailable"),
        "this host has no memory or processes left.",
        "Give it room, or make the fleet smaller.",
    ),
)
