"""Is a new image of a family due? Decided from what is known, without looking at anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ovenbird.report.behind import Behind
from ovenbird.values.image import Version
from ovenbird.values.patch import Rule

SECURITY, ORDINARY = 1, 0
"""How severe a fix is. A new image passes one that is on its way only if it is worth more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Bake it, and why. ``severity`` is what the new image will be worth."""

    because: str
    severity: int = ORDINARY


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDue:
    """Bake nothing, and why."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a family. ``parent`` is the newest image of its parent, ``on_its_way`` the
    severity of an image that has not arrived everywhere yet, or None."""

    family: str
    newest: Version | None
    behind: Behind | None
    parent: Version | None
    on_its_way: int | None = None
    where: str = ""  # how far that image has come


def due(known: Known, rule: Rule, now: datetime) -> Due | NotDue:
    """Apply the rule of a family. The first reason counts: no image, a newer parent, security,
    any update, age."""
    if known.newest is None:
        return Due(because=f"there is no image of {known.family} yet")
    found = _reason(known, known.newest, rule, now)
    if known.on_its_way is None or isinstance(found, NotDue):
        return found
    if found.severity > known.on_its_way:
        return found
    return NotDue(because=f"{known.newest} {known.where}, and nothing more severe has come up")


def _reason(known: Known, newest: Version, rule: Rule, now: datetime) -> Due | NotDue:
    age = now - newest.packages_at
    everything = known.behind.late if known.behind else ()
    # One that was known before the image was baked is not in it all the same: something there
    # holds it back, and another bake would only do so again.
    late = [each for each in everything if each.since >= newest.packages_at]
    security = sum(each.update.security for each in late)
    worth = SECURITY if security else ORDINARY
    if known.parent is not None and newest.parent != str(known.parent):
        return Due(because=f"its parent is {known.parent} now", severity=worth)
    if security and rule.security is not None and age >= rule.security:
        return Due(because=f"{_counted(security)} for security", severity=SECURITY)
    if late and rule.all is not None and age >= rule.all:
        return Due(because=f"{_counted(len(late))}, and its packages are {_days(age)} old")
    if rule.max_age is not None and age >= rule.max_age:
        return Due(because=f"its packages are {_days(age)} old, {_days(rule.max_age)} are allowed")
    if not late and everything:
        return NotDue(because=f"{_counted(len(everything))} held back by something in {newest}")
    if not late:
        return NotDue(because=f"nothing in {newest} has an update")
    return NotDue(because=f"{_counted(len(late))} can wait: {_next(security, rule, age)}")


def _next(security: int, rule: Rule, age: timedelta) -> str:
    waits = [w for w in (rule.security if security else None, rule.all, rule.max_age) if w]
    left = min((w - age for w in waits), default=None)
    return "no rule asks for them" if left is None else f"{_days(left)} more"


def _counted(count: int) -> str:
    return f"{count} update{'s' * (count != 1)}"


def _days(span: timedelta) -> str:
    days = span.total_seconds() / 86400
    if days < 1:
        return f"{max(span.total_seconds(), 0) / 3600:.1f} hours"
    return f"{days:.0f} day{'s' * (round(days) != 1)}"
