"""Decide whether a new instance may get traffic *yet*. It says accepted or waiting, never failed:
an instance that waits too long is `observe`'s business, which also knows whether anybody sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from ovenbird.values.fleet import HealthCheck
from ovenbird.values.instance import Look, Verdict

MOST_BETWEEN_LOOKS = 10.0
"""Seconds beyond its interval and time-out until which a look is only slow."""


@dataclass(frozen=True, slots=True)
class Accepted:
    because: str


@dataclass(frozen=True, slots=True)
class Waiting:
    because: str


def judge(
    launched_at: datetime, looks: Sequence[Look], health: HealthCheck, now: datetime
) -> Accepted | Waiting:
    """Accept an instance whose last ``passes`` looks pass and which has passed without a break
    for ``min_healthy_time``.

    The time runs from the first pass of the unbroken streak, not from the launch: with 10 s, an
    instance that first passes 4 s after its launch is accepted after 14 s. A look without an
    answer breaks the streak as a failure does, for nobody knows what it hid. Looks from before
    the launch are left out.
    """
    own = sorted((look for look in looks if look.at >= launched_at), key=lambda look: look.at)
    streak = list(takewhile(lambda look: look.verdict is Verdict.PASS, reversed(own)))
    if not streak:
        return Waiting(_not_passing(own, launched_at, now))
    lasted = now - streak[-1].at
    enough = len(streak) >= health.passes
    passes = f"{len(streak)}{'' if enough else f' of {health.passes}'} passes in a row"
    held = f"healthy for {seconds(lasted)} of {health.min_healthy_time:g} s"
    if not enough or lasted < timedelta(seconds=health.min_healthy_time):
        return Waiting(f"{passes}, {held}")
    return Accepted(f"{len(streak)} passes in a row, healthy for {seconds(lasted)}")


def seconds(span: timedelta) -> str:
    """Write a span for a person: ``4 s``, ``1.5 s`` below ten, ``75 s`` above."""
    number = span.total_seconds()
    return f"{number:.1f}".removesuffix(".0") + " s" if number < 10 else f"{number:.0f} s"


def _not_passing(looks: Sequence[Look], launched_at: datetime, now: datetime) -> str:
    age = f"launched {seconds(now - launched_at)} ago"
    if not looks:
        return f"{age}, not looked at yet"
    last = looks[-1]
    said = "no answer" if last.verdict is Verdict.NO_ANSWER else last.detail or "the check fails"
    return f"{age}, last look: {said}"


def unseen(health: HealthCheck, before: datetime, now: datetime) -> timedelta | None:
    """Return how long nobody looked between two looks, or None where they came as they should."""
    gap = now - before
    usual = health.interval + health.timeout + MOST_BETWEEN_LOOKS
    return gap if gap > timedelta(seconds=usual) else None
