"""What LXD means when it says no. Pure: its words in, an error with a way out out."""

from __future__ import annotations

from ovenbird.provider.known_errors import Known, known
from ovenbird.values.errors import Blocked, EngineUnreachable, NoCapacity, OvenbirdError

NOT_FOUND, CONFLICT = 404, 409

PASSING = (
    *("no available dqlite leader", "bad connection", "checkpoint in progress", "not leader"),
    *("failed to begin transaction", "context deadline exceeded", "database is locked"),
    *("daemon is starting up", "leadership lost", "lxd is shutting down"),
)
"""What a cluster says for the seconds in which it chooses another leader."""

_MEMBER_GONE = (
    *("connection refused", "no route to host", "is offline", "unable to connect to"),
    *("failed to connect", "connection reset", "eof", "i/o timeout", "cannot fetch instance"),
    *("operation not found", "service unavailable", "dial tcp", "missing event connection"),
)


class Refused(OvenbirdError):
    """LXD said no to one call: ``said`` in its words, ``code`` as HTTP has it."""

    def __init__(self, *, doing: str, said: str, code: int) -> None:
        super().__init__(
            f"{doing} failed: LXD says {said.strip().rstrip('.')!r}.",
            remedy="See that LXD: lxc info; lxc cluster list; lxc operation list",
        )
        self.said, self.code = said, code

    @property
    def is_gone(self) -> bool:
        """What the call was about is not there (any more)."""
        return self.code == NOT_FOUND or "not found" in self.said.lower()

    @property
    def is_there_already(self) -> bool:
        """Somebody has made it, or is making it at this moment."""
        said = self.said.lower()
        return self.code == CONFLICT or "already exists" in said or self.is_being_made

    @property
    def is_being_made(self) -> bool:
        return 'busy running a "create"' in self.said.lower()

    @property
    def is_of_a_lost_member(self) -> bool:
        """The member that would have to do it does not answer the others."""
        return any(word in self.said.lower() for word in _MEMBER_GONE)

    @property
    def passes(self) -> bool:
        return any(word in self.said.lower() for word in PASSING)


def translated(refused: Refused, *, what: str) -> OvenbirdError:
    """Return the error that an operator can act on, or ``refused`` itself where none is known.

    ``what`` is the version or the image that the call was about.
    """
    said = refused.said.lower()
    if "image not " in said or ("image" in said and "isn't available" in said):
        return OvenbirdError(
            f"LXD does not hold the image of {what} any more.",
            remedy="Bake it again with invoke bake FAMILY --force, or choose another version.",
            evidence=refused.said,
        )
    doing = refused.problem.partition(":")[0]
    if blocked := known(_KNOWN, said, doing=doing, evidence=refused.said):
        return blocked
    if refused.is_of_a_lost_member:
        return EngineUnreachable(
            f"{doing}: the member that holds it does not answer.",
            remedy="See which one is down: lxc cluster list. Then run this again.",
            evidence=refused.said,
        )
    return refused


_KNOWN: tuple[Known, ...] = (
    Known(
        NoCapacity,
        ("no space left", "quota exceeded", "out of disk space", "enospc"),
        "the storage pool is full.",
        "Free some space there, or make it larger: lxc storage info POOL",
    ),
    Known(
        NoCapacity,
        ("maximum number of instances", "reached maximum", "limits.", "exceed project limits"),
        "the limits of the LXD project allow no more.",
        "Raise them, or remove instances that nobody needs: lxc project show PROJECT",
    ),
    Known(
        NoCapacity,
        ("too many open files", "inotify"),
        "the kernel of its host gives no more inotify instances.",
        "Allow more there: sysctl -w fs.inotify.max_user_instances=1024",
    ),
    Known(
        NoCapacity,
        ("cannot allocate memory", "resource temporarily unavailable"),
        "its host has no memory or processes left.",
        "Give it room, or make the fleet smaller.",
    ),
    Known(
        Blocked,
        ("already exists",),
        "an instance that is not this site's has this name.",
        "Rename or remove that instance: lxc list --all-projects",
    ),
    Known(
        EngineUnreachable,
        ("not authorized", "forbidden", "certificate is restricted"),
        "LXD does not trust this client's certificate with that.",
        "On the server: lxc config trust add client.crt; client: in inventories/engines.yml names "
        "the file.",
    ),
)
