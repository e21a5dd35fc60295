"""Which fault at which step ends how: made by trying each of them on memory.

``python -m tests.faults.table`` prints the page; ``--write`` writes it. A driver meets one fault,
and then one more driver, whose world is well, does the same again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.driver import Hung, Job, run
from tests.faults.harness import all_points
from tests.faults.scene import MemoryScene, memory_scene

from ovenbird.mishap import Kind, Lie, Mishap, Verb

PAGE = Path(__file__).parents[2] / "docs/reference/faults.md"

SIZE = 2
LONGEST_CALL = 1.0
"""Seconds that a call of these drivers may take; 300 outside of tests."""

LATE = 0.2
BOUND = 45.0
"""Seconds in which each driver must have ended, whatever its world does."""

COMMANDS = (Verb.LAUNCH, Verb.REGISTER, Verb.DRAIN, Verb.DEREGISTER, Verb.TERMINATE)
QUESTIONS = (Verb.INSTANCES, Verb.ENTRIES)
HUNG = -1
UNFINISHED = "write journal.intend_launch launch"

SIMPLE = (Kind.FAIL, Kind.FAIL_AFTER, Kind.HANG, Kind.LATE, Kind.TWICE)
WRITES = (Kind.FAIL, Kind.FAIL_AFTER, Kind.HANG, Kind.LIE)
TOLD = {
    Lie.DONE: "lie: done, and it is not",
    Lie.OLD: "lie: the answer of before",
    Lie.LESS: "lie: one is left out",
    Lie.STRANGER: "lie: one that is not there",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of one fault. ``after`` is the exit code of the second driver."""

    step: str
    fault: str
    code: int
    after: int
    lowest: int
    most: int
    complaints: tuple[str, ...]
    seconds: float
    said: str

    @property
    def is_well(self) -> bool:
        """Say whether it lost no capacity, and the same command finished afterwards.

        One thing nobody can finish: a database that forgot what it said it wrote before a launch
        leaves an instance without a record, and such a one is not ours to end.
        """
        forgot = (self.step, self.fault) == (UNFINISHED, TOLD[Lie.DONE])
        if forgot and HUNG not in (self.code, self.after):
            return (self.after, self.lowest) == (3, SIZE)
        return self.code != HUNG and self.after == 0 and not self.complaints

    def __str__(self) -> str:
        how = "; ".join(self.complaints) or "as wanted"
        return f"{self.fault} at {self.step}: {self.code}, then {self.after}: {how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One fault at one step."""

    step: str
    fault: str
    mishap: Mishap


def tries(writes: Sequence[str]) -> Iterator[Try]:
    """List what is tried; ``writes`` names each write of a rollout, in order."""
    for verb in COMMANDS:
        for kind in (*SIMPLE, Kind.LIE):
            # The second: the first is the canary's, before which nothing else can go wrong.
            mishap = Mishap(verb=verb, kind=kind, call=2, seconds=LATE)
            yield Try(step=verb, fault=TOLD[Lie.DONE] if kind is Kind.LIE else kind, mishap=mishap)
    for verb in QUESTIONS:
        for kind in SIMPLE:
            mishap = Mishap(verb=verb, kind=kind, call=3, seconds=LATE)
            yield Try(step=verb, fault=kind, mishap=mishap)
        for lie in (Lie.OLD, Lie.LESS, Lie.STRANGER):
            for times, often in ((1, "once"), (None, "for ever")):
                mishap = Mishap(
                    verb=verb, kind=Kind.LIE, call=1 if times is None else 3, times=times, lie=lie
                )
                yield Try(step=verb, fault=f"{TOLD[lie]}, {often}", mishap=mishap)
    for name in dict.fromkeys(writes):
        for kind in WRITES:
            number = writes.index(name) + 1
            mishap = Mishap(verb=Verb.WRITE, kind=kind, call=number, seconds=LATE)
            fault = TOLD[Lie.DONE] if kind is Kind.LIE else kind
            yield Try(step=f"write {name}", fault=fault, mishap=mishap)


def all_rows(
    scene: MemoryScene,
    *,
    only: str = "",
    share: int = 1,
    tell: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Try everything, or the steps whose name holds ``only``; of these one in ``share``."""
    points = all_points(scene)
    before = "before write "
    writes = [p.removeprefix(before).rpartition(" ")[0] for p in points if p.startswith(before)]
    rows = []
    for number, each in enumerate(tries(writes)):
        if only in each.step and number % share == 0:
            row = row_of(scene, each)
            tell(row)
            rows.append(row)
    return rows


def row_of(scene: MemoryScene, each: Try) -> Row:
    """Let one driver meet a fault, and one more finish."""
    scene.begin()
    began = time.monotonic()
    first = scene.job(mishaps=(each.mishap,), longest_call=LONGEST_CALL)
    second = scene.job(longest_call=LONGEST_CALL)
    code = _run(first)
    after = _run(second)
    lost = scene.lost_capacity()
    return Row(
        step=each.step,
        fault=each.fault,
        code=code,
        after=after,
        lowest=scene.lowest(),
        most=scene.most(),
        complaints=(*lost, *scene.left_wrong(scene.goal)),
        seconds=time.monotonic() - began,
        said=_said(first) + "--- again\n" + _said(second),
    )


def _run(job: Job) -> int:
    try:
        return run(job, seconds=BOUND)
    except Hung:
        return HUNG


def _said(job: Job) -> str:
    return job.said.read_text() if job.said.exists() else ""


def page(rows: Sequence[Row]) -> str:
    """Return the page of the reference."""
    hung = sum(row.code == HUNG for row in rows)
    head = HEAD.replace("No driver hung", f"{hung} drivers hung") if hung else HEAD
    return "\n".join([head, *map(line, rows)]) + "\n"


def line(row: Row) -> str:
    """Return a row as it stands on the page."""
    return (
        f"| {row.step} | {row.fault} | {MEANS.get(row.code, row.code)} "
        f"| {'yes' if row.after == 0 else f'no: exit code {row.after}'} "
        f"| {row.lowest} | {row.most} |"
    )


MEANS = {
    0: "0, done all the same",
    1: "1, failed",
    3: "3, blocked",
    4: "4, inconclusive",
    HUNG: "it hung",
}

HEAD = f"""\
# What a fault does

Each row was tried: a rollout of {SIZE} instances, surge 1, unavailable 0, on the memory provider,
whose driver met one fault; then the same command once more in a world that is well. The last
columns are the fewest that served at any moment of both, where the floor is {SIZE}, and the most
that there were: more than {SIZE + 1} only where an engine hides one that runs. No driver hung: a
call that does not return is left alone after `LONGEST_CALL` (300 s; {LONGEST_CALL:g} s here).

The faults are those of `FaultyProvider`, `FaultyBalancer` and `FaultyDatabase`, with which your own
provider can be tried too: *fail* raises and did nothing, *fail after* did it and raises, *hang*
never returns, *late* does it later, *twice* does it two times, *lie* is said in the row. A command
goes wrong at its second call and a question at its third, once; a write where it is first made.
A write that is late, or made twice, is as it ever is. One row is never finished by itself: a
database that forgot an intent leaves an instance without a record, which a person has to end.

This page is made by
`python -m tests.faults.table --write`, and a test compares it.

| step | fault | exit code | the same command finished it | lowest serving | most there |
|---|---|---|---|---|---|"""


def main() -> None:
    only = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        memory_scene(Path(folder) / "w", size=SIZE) as scene,
    ):
        rows = all_rows(scene, only=only, tell=lambda row: print(row, file=sys.stderr, flush=True))
    if "--write" in sys.argv:
        PAGE.write_text(page(rows))
    print(page(rows))
    if wrong := [row for row in rows if not row.is_well]:
        sys.exit("\n".join(f"{row}\n{row.said}" for row in wrong))


if __name__ == "__main__":
    main()
