"""One driver in a process of its own, forked from a warm one: what ``invoke rollout`` runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.faults.house import LONGEST_CALL, House, Wrapping
from tests.faults.points import PointedBalancer, PointedProvider, Points, watch

from ovenbird.balancer.faulty import FaultyBalancer
from ovenbird.console import Console
from ovenbird.mishap import Mishap, Mishaps
from ovenbird.provider.faulty import FaultyProvider
from ovenbird.rollout import roll_out
from ovenbird.rollout.drive import Outcome
from ovenbird.rollout.goal import choose, choose_rollback
from ovenbird.state.faulty import FaultyDatabase
from ovenbird.values.errors import OvenbirdError

WARM = get_context("forkserver")
"""Drivers are forked from a process that has imported all that they need, and runs no thread."""
WARM.set_forkserver_preload(["tests.faults.driver"])

MARK = "OVENBIRD_TEST_DRIVER"
"""In the environment of all that a driver of the fault tests starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a driver does, and what happens to it meanwhile.

    At the point ``stop_at`` it is sent ``signal``; with ``mishaps`` its ports go wrong.
    """

    house: House
    said: Path
    image: str = ""
    rollback: bool = False
    stop_at: str = ""
    signal: int = signal.SIGKILL
    mishaps: tuple[Mishap, ...] = ()
    longest_call: float = LONGEST_CALL

    @property
    def points(self) -> Path:
        return self.said.with_suffix(".points")


class Hung(AssertionError):
    """A driver had not ended in time. Nothing may hang for ever."""


def start(job: Job) -> ForkServerProcess:
    """Start a driver and return while it runs."""
    process = WARM.Process(target=drive, args=(job,))
    process.start()
    return process


def run(job: Job, *, seconds: float = 120.0) -> int:
    """Run a driver to its end and return its exit code, -9 for a killed one.

    Raises `Hung` for one that has not ended after ``seconds``; it is killed.
    """
    process = start(job)
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise Hung(f"{job} had not ended after {seconds:g} s:\n{job.said.read_text()}")
    return process.exitcode


def points_of(job: Job) -> list[str]:
    """Return the points that a driver came by, in order."""
    return job.points.read_text().splitlines() if job.points.exists() else []


def drive(job: Job) -> None:
    """Be the driver, and end with its exit code."""
    os.environ[MARK] = str(job.said)
    with job.said.open("a", buffering=1) as said:
        sys.exit(_drive(job, Console(err=said, out=said)))


def _drive(job: Job, console: Console) -> int:
    points, mishaps = Points(job.points, stop_at=job.stop_at, number=job.signal), job.mishaps
    around = _around(points, mishaps, job.longest_call)
    site = job.house.site()
    try:
        setting = job.house.setting(site, console, around)
        if job.rollback:
            chosen = choose_rollback(setting, image=job.image)
        else:
            chosen = choose(setting, image=job.image)
        watch(site.database, points)
        outcome = Outcome(before=chosen.before, after=str(chosen.goal))
        roll_out(setting, chosen, outcome)
    except OvenbirdError as error:
        console.failure(error)
        return error.exit_code
    console.step(outcome.because)
    return 0


def _around(points: Points, faults: Sequence[Mishap], longest_call: float) -> Wrapping:
    mishaps = Mishaps(*faults)
    return Wrapping(
        provider=lambda inner: PointedProvider(FaultyProvider(inner, mishaps), points),
        balancer=lambda inner: PointedBalancer(FaultyBalancer(inner, mishaps), points),
        database=lambda inner: FaultyDatabase(inner, mishaps) if faults else inner,
        longest_call=longest_call,
    )
