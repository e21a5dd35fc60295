"""Sort the instances of a fleet by what they are to their image, each into exactly one bucket.

It compares lists that others have fetched; it asks no engine and repairs nothing. A path that
many instances have changed is no drift of one of them but an image that says too little of
itself: it is *undeclared*, which is told, and not repaired.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ovenbird.values.instance import Change, ChangeKind

A_FIFTH = 5
"""One in so many instances may differ before a path counts as undeclared."""

FEW = 3
"""So many undeclared paths of one folder are told one by one; of more, the folder is told."""

DEEP = 3
"""A folder may stand for what is in it from this depth on: /var/cache/app, and never /etc."""

OF_SERVICES = ("/var/", "/srv/")
"""Where services make files with names of their own making; elsewhere each name counts alone."""

_MINTED = re.compile(r"[0-9a-fA-F]{8,}")
"""A part of a name that is made anew each time: the id of a boot, of a machine, a UUID."""


class Bucket(StrEnum):
    """What an instance is to its image: exactly one of these, by the first rule that fits."""

    UNOWNED = "unowned"  # carries the fleet's name, and this site did not launch it
    LOST = "lost"  # the engine says that it, or its host, is gone
    UNKNOWN = "unknown"  # nobody could say what changed in it
    REVOKED = "revoked"  # its image may not run any more
    DRIFTED = "drifted"  # files were changed that its image does not let it change
    STALE = "stale"  # another image or other launch data than the fleet's
    CURRENT = "current"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One instance with what was found of it. ``drift`` is what is left of its changes once all
    that is allowed and all that is undeclared is taken away."""

    owned: bool = True
    lost: bool = False
    answered: bool = True
    revoked: bool = False
    current: bool = True
    drift: tuple[Change, ...] = ()


RULES: tuple[tuple[Bucket, Callable[[Examined], bool]], ...] = (
    (Bucket.UNOWNED, lambda e: not e.owned),
    (Bucket.LOST, lambda e: e.lost),
    (Bucket.UNKNOWN, lambda e: not e.answered),
    (Bucket.REVOKED, lambda e: e.revoked),
    (Bucket.DRIFTED, lambda e: bool(e.drift)),
    (Bucket.STALE, lambda e: not e.current),
    (Bucket.CURRENT, lambda _: True),
)


def bucket_of(examined: Examined) -> Bucket:
    """Find the one bucket of an instance."""
    return next(bucket for bucket, fits in RULES if fits(examined))


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A change because of which an instance of the same fleet was replaced, and when."""

    path: str
    kind: ChangeKind
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Undeclared:
    """A path that instances change by themselves, with the tokens of those that did.

    ``again`` says that it came back in a replacement of one that was given up because of it.
    """

    path: str
    tokens: tuple[str, ...]
    again: bool = False


def covers(allowed: str, path: str) -> bool:
    """Say whether ``allowed`` is ``path`` or lies above it: ``/var/log`` covers ``/var/log/wtmp``
    and not ``/var/logs``."""
    return path == allowed or path.startswith(allowed.rstrip("/") + "/")


def is_ambient(name: str, path: str) -> bool:
    """Say whether a path is one of those that ``name`` stands for: itself alone, or with ``*`` at
    its end all that begin so. That a boot makes ``/root/.ssh`` allows no key in it."""
    return path.startswith(name[:-1]) if name.endswith("*") else path == name


def less(
    changes: Iterable[Change], writable: Collection[str], ambient: Collection[str] = ()
) -> tuple[Change, ...]:
    """Take away what is writable or ambient, and the new folders that only lead to it."""
    return tuple(
        change
        for change in changes
        if not any(covers(each, change.path) for each in writable)
        and not any(is_ambient(each, change.path) for each in ambient)
        and not _leads_to_one(change, (*writable, *ambient))
    )


def _leads_to_one(change: Change, allowed: Collection[str]) -> bool:
    inside = change.path.rstrip("/") + "/"
    return change.kind is ChangeKind.ADDED and any(each.startswith(inside) for each in allowed)


def undeclared(
    changes: Mapping[str, Collection[Change]],
    launched: Mapping[str, datetime],
    given_up: Collection[GivenUp],
) -> tuple[Undeclared, ...]:
    """Name what no hand changed: by token, what is left of its changes, and when it was launched.

    Undeclared is a path that changed in more than a fifth of the instances and in at least two of
    them: 2 of 9, and 3 of 10. So is one that changed again in an instance launched after another
    was given up because of it. New files of a service count for their folder too, since their
    names may differ from instance to instance.
    """
    known: dict[str, datetime] = {}
    for each in given_up:
        for path in _places(each.path, each.kind):
            known[path] = min(each.at, known.get(path, each.at))
    who, again = defaultdict[str, set[str]](set), set[str]()
    for token, found in changes.items():
        for change in found:
            for path in _places(change.path, change.kind):
                who[path].add(token)
                if path in known and launched[token] >= known[path]:
                    again.add(path)
    return _outermost(
        Undeclared(path=path, tokens=tuple(sorted(tokens)), again=path in again)
        for path, tokens in who.items()
        if path in again or (len(tokens) > 1 and len(tokens) * A_FIFTH > len(changes))
    )


def _places(path: str, kind: ChangeKind) -> tuple[str, ...]:
    folder = _folder(path)
    counts = kind is ChangeKind.ADDED and folder.startswith(OF_SERVICES) and _depth(folder) >= DEEP
    return (path, folder) if counts else (path,)


def _outermost(found: Iterable[Undeclared]) -> tuple[Undeclared, ...]:
    """Leave out what lies below another one."""
    kept: list[Undeclared] = []
    for each in sorted(found):
        if not (kept and any(covers(above.path, each.path) for above in kept)):
            kept.append(each)
    return tuple(kept)


def folded(found: Collection[Undeclared]) -> tuple[Undeclared, ...]:
    """Tell the folder in place of more than a few of its paths, and so on upwards.

    A hundred files in /var/cache/app are one sentence; /etc, /var/cache and their kind are too
    wide to be declared, so what lies directly in them is told by itself.
    """
    told = {each.path: each for each in found}
    for depth in range(max((_depth(p) for p in told), default=0), DEEP, -1):
        folders = defaultdict[str, list[str]](list)
        for path in told:
            if _depth(path) == depth:
                folders[_folder(path)].append(path)
        for folder, paths in folders.items():
            if len(paths) > FEW or folder in told:
                parts = [told.pop(path) for path in paths] + [
                    told[f] for f in [folder] if f in told
                ]
                told[folder] = _joined(folder, parts)
    return tuple(sorted(told.values()))


def _joined(folder: str, parts: Sequence[Undeclared]) -> Undeclared:
    tokens = sorted({token for part in parts for token in part.tokens})
    return Undeclared(path=folder, tokens=tuple(tokens), again=any(p.again for p in parts))


def ambient_of(instances: Sequence[Collection[Change]]) -> tuple[str, ...]:
    """Name what changes by itself in instances of one image that nobody has touched.

    What lies in a new folder is ``FOLDER/*``; of one that stays empty only itself is named. A
    name that only one of them has is made anew at each boot where it has an id in it, and stands
    for its kind: ``/var/tmp/systemd-private-*``.
    """
    every = [{change.path for change in each} for each in instances]
    named = set[str]()
    for paths, each in zip(every, instances, strict=True):
        for change in _topmost(each):
            in_all = all(change.path in others for others in every)
            name = change.path if in_all else _kind_of(change.path)
            named.add(name)
            if name == change.path and any(p.startswith(f"{name}/") for p in paths):
                named.add(f"{name}/*")
    return tuple(sorted(n for n in named if not any(is_ambient(other, n) for other in named - {n})))


def while_proven(booted: Collection[Change], checked: Collection[Change]) -> tuple[Change, ...]:
    """Join two looks at one instance, after its boot and after its checks.

    Checks enter the instance, and what one of them left in /etc would be allowed for ever. So of
    what came after the boot only counts what lies where services write.
    """
    known = {change.path for change in booted}
    later = [c for c in checked if c.path not in known and c.path.startswith(OF_SERVICES)]
    return (*booted, *later)


def _topmost(changes: Collection[Change]) -> list[Change]:
    """Leave out what lies in a folder that is new itself."""
    new = {change.path for change in changes if change.kind is ChangeKind.ADDED}
    return [c for c in changes if not any(above in new for above in _above(c.path))]


def _kind_of(path: str) -> str:
    folder, _, name = path.rpartition("/")
    minted = next((m for m in _MINTED.finditer(name) if re.search("[0-9]", m[0])), None)
    return f"{folder}/{name[: minted.start()]}*" if minted else path


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(2, len(parts))]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _depth(path: str) -> int:
    return path.count("/")
