"""Many drivers at once on one fleet: forked from a warm process, and let go in one moment.

Starting fifty Python processes takes a small machine a quarter of a minute, so what is measured
begins where each of them asks for the lease.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path

from tests.faults.driver import MARK, WARM
from tests.faults.house import House, Wrapping

from ovenbird.console import Console
from ovenbird.rollout import roll_out
from ovenbird.rollout.drive import Outcome
from ovenbird.rollout.goal import choose
from ovenbird.tasks.rollout import _when_free
from ovenbird.values.errors import OvenbirdError

WARM.set_forkserver_preload(["tests.faults.crowd"])

PATIENCE = 120.0
"""Seconds that a whole crowd may take to be ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one driver ended, how many seconds after it had asked, and what it said."""

    code: int
    seconds: float
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """One of the crowd."""

    process: ForkServerProcess
    said: Path

    @property
    def works(self) -> bool:
        return self.process.is_alive()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def end(self, *, seconds: float = 120.0) -> Answer:
        """Wait for its end."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"it hangs:\n{self.said.read_text()}"
        took = float(self.said.with_suffix(".took").read_text())
        return Answer(code=self.process.exitcode, seconds=took, said=self.said.read_text())


@contextmanager
def a_crowd(
    house: House, image: str, *, of: int, folder: Path, wait: bool = False
) -> Iterator[Sequence[One]]:
    """Have ``of`` drivers of one fleet ask for its lease in one moment. None outlives the block."""
    folder.mkdir(exist_ok=True)
    ready = WARM.Barrier(of + 1)
    crowd: list[One] = []
    try:
        for number in range(of):
            said = folder / f"{'waiting' if wait else 'asking'}-{number}.said"
            process = WARM.Process(target=ask, args=(house, image, said, ready, wait))
            process.start()
            crowd.append(One(process=process, said=said))
        ready.wait(PATIENCE)
        yield crowd
    finally:
        for one in crowd:
            one.kill()


def ask(house: House, image: str, said: Path, ready: Barrier, wait: bool) -> None:
    """Be one of the crowd: choose the goal, wait for all the others, and ask."""
    os.environ[MARK] = str(said)
    with said.open("a", buffering=1) as out:
        console = Console(err=out, out=out)
        site = house.site()
        setting = house.setting(site, console, Wrapping())
        chosen = choose(setting, image=image)
        outcome = Outcome(before=chosen.before, after=str(chosen.goal))
        ready.wait(PATIENCE)
        begun, code = time.monotonic(), 0
        try:
            if wait:
                _when_free(
                    lambda: house.setting(site, console, Wrapping()),
                    lambda now: choose(now, image=image),
                    outcome,
                    retry=False,
                    because="",
                    emergency=False,
                )
            else:
                roll_out(setting, chosen, outcome)
        except OvenbirdError as error:
            console.failure(error)
            code = error.exit_code
        took = time.monotonic() - begun
        console.step(outcome.because)
    said.with_suffix(".took").write_text(str(took))
    raise SystemExit(code)
