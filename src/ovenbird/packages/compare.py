"""What differs between two images: packages and files, decided from two inventories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from ovenbird.values.package import Inventory, Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that differs; "" where it is on one side only."""

    name: str
    before: str
    after: str
    security: bool = False

    @property
    def what(self) -> str:
        if not self.before:
            return "added"
        return "removed" if not self.after else "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two images side by side, sorted by name."""

    packages: tuple[Change, ...] = ()
    files: tuple[Change, ...] = ()

    def __str__(self) -> str:
        """Tell it in one line: "3 packages changed (1 for security), 1 added; 2 files changed"."""
        told = [_counted("package", self.packages), _counted("file", self.files)]
        return "; ".join(filter(None, told)) or "no package and no file of its own differs"


def difference(
    before: Inventory, after: Inventory, *, ignoring: Collection[str] = ()
) -> Difference:
    """Compare two images. ``ignoring`` are paths that every boot changes.

    A package counts for security where the newer one is from such a
    suite; where an image holds a package for two architectures each is one of its own."""
    old, new = _named(before), _named(after)
    packages = tuple(
        Change(
            name=name,
            before=old[name].version if name in old else "",
            after=new[name].version if name in new else "",
            security=name in new and new[name].origin.rstrip("/").endswith("-security"),
        )
        for name in sorted(old.keys() | new.keys())
        if (old[name].version if name in old else "") != (new[name].version if name in new else "")
    )
    was, now = dict(before.files), dict(after.files)
    files = tuple(
        Change(name=path, before=was.get(path, ""), after=now.get(path, ""))
        for path in sorted(was.keys() | now.keys())
        if was.get(path) != now.get(path) and not _within(path, ignoring)
    )
    return Difference(packages=packages, files=files)


def _within(path: str, ignoring: Collection[str]) -> bool:
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in ignoring)


def _named(inventory: Inventory) -> dict[str, Package]:
    """Name each package; with its architecture where there are several of that name."""
    several = Counter(package.name for package in inventory.packages)
    return {
        f"{p.name}:{p.architecture}" if several[p.name] > 1 else p.name: p
        for p in inventory.packages
    }


def _counted(word: str, changes: tuple[Change, ...]) -> str:
    told: list[str] = []
    for what in ("changed", "added", "removed"):
        these = [change for change in changes if change.what == what]
        if not these:
            continue
        noun = "" if told else f" {word}{'s' * (len(these) != 1)}"
        security = sum(change.security for change in these if what == "changed")
        why = f" ({security} for security)" if security else ""
        told.append(f"{len(these)}{noun} {what}{why}")
    return ", ".join(told)
