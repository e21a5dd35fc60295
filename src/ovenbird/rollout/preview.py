"""Tell a rollout before it happens: the one text for the prompt, the golden tests and the docs.

It touches nothing and promises nothing: the real rollout looks again before every wave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import TypedDict

from ovenbird.rollout.plan import (
    Done,
    Doubtful,
    Failed,
    Launch,
    Plan,
    Register,
    Step,
    Stuck,
    Terminate,
    Wait,
    Wave,
)
from ovenbird.rollout.rehearsal import Moment, Rehearsal, play
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds


class StepDocument(TypedDict):
    step: str
    instance: str | None
    because: str


class WaveDocument(TypedDict):
    wave: int
    steps: list[StepDocument]
    because: str
    serving_at_least: int
    instances_at_most: int


class RehearsalDocument(TypedDict):
    waves: list[WaveDocument]
    ends: str
    because: str
    seconds_at_least: float


def rehearse(
    fleet: FleetKey,
    goal: Goal,
    bounds: Bounds,
    observed: Collection[Instance],
    *,
    untried: bool,
    min_healthy_time: float = 0.0,
    notes: Sequence[str] = (),
    outcome: Health = Health.SERVING,
) -> str:
    """Tell the whole rollout, a line a step, with what is left at the worst moment of each wave.

    ``notes`` are printed below the head ("changed: greeting"). ``min_healthy_time`` is in
    seconds. The text has no line break at its end.
    """
    played = play(goal, bounds, observed, untried=untried, outcome=outcome)
    wide = max(len(f"wave {len(played.waves)}"), len(_word(played.end))) + 2
    lines = [_head(fleet, goal, bounds, played.observed)]
    lines += [f"  {note}" for note in notes]
    lines += [f"  {'now':<{wide}}{_now(goal, played.observed)}"]
    lines += [f"  {label:<{wide}}{row}" for label, row in _table(goal, played.waves)]
    lines += [f"  {_word(played.end):<{wide}}{played.end.because}"]
    lines += [f"  {'':<{wide}}{_sum(played, min_healthy_time)}"] if played.waves else []
    return "\n".join(lines)


def document(rehearsal: Rehearsal, *, min_healthy_time: float = 0.0) -> RehearsalDocument:
    """Tell the same for ``--json``."""
    return {
        "waves": [document_wave(n, w) for n, w in enumerate(rehearsal.waves, start=1)],
        "ends": _word(rehearsal.end),
        "because": rehearsal.end.because,
        "seconds_at_least": rehearsal.launching * min_healthy_time,
    }


def document_wave(number: int, wave: Moment) -> WaveDocument:
    return {
        "wave": number,
        "steps": [document_step(step) for step in wave.steps],
        "because": wave.because,
        "serving_at_least": wave.lowest,
        "instances_at_most": wave.most,
    }


def document_step(step: Step) -> StepDocument:
    """Tell one step: ``launch``, ``register`` or ``terminate``, the instance if it has one yet."""
    match step:
        case Launch(because):
            return {"step": "launch", "instance": None, "because": because}
        case Register(token, because):
            return {"step": "register", "instance": token, "because": because}
        case Terminate(token, because):
            return {"step": "terminate", "instance": token, "because": because}


def _head(fleet: FleetKey, goal: Goal, bounds: Bounds, observed: Collection[Instance]) -> str:
    stale = dict.fromkeys(_image(goal, i) for i in observed if not goal.is_run_by(i))
    way = f"{', '.join(stale)} → {goal}" if stale else f"{goal}"
    return (
        f"{fleet}: {way}, {_plural(bounds.size, 'instance')}, surge {bounds.surge}, "
        f"unavailable {bounds.unavailable} "
        f"(never below {bounds.floor} serving, never above {bounds.ceiling})"
    )


def _now(goal: Goal, observed: Collection[Instance]) -> str:
    """Count what is there: ``4 instances: 3 of web/1 serving, 1 of web/2 failed``."""
    kinds = Counter(
        (_image(goal, i), "ending" if i.dying else "leaving" if i.leaving else str(i.health))
        for i in observed
    )
    parts = [f"{n} of {image} {state}" for (image, state), n in sorted(kinds.items())]
    return f"{_plural(len(observed), 'instance')}: {', '.join(parts)}" if parts else "nothing runs"


def _image(goal: Goal, instance: Instance) -> str:
    same_image = instance.version == goal.version and not goal.is_run_by(instance)
    return f"{instance.version} (other launch data)" if same_image else instance.version


def _table(goal: Goal, waves: Sequence[Moment]) -> Iterator[tuple[str, str]]:
    """Lay each wave out: its number, then step, worst moments and because in columns."""
    rows = [
        (f"wave {number}", step, f"{wave.lowest} serving, {wave.most} at the most", because)
        if first
        else ("", step, "", because)
        for number, wave in enumerate(waves, start=1)
        for first, step, because in _told(goal, wave.steps)
    ]
    steps, worst = (max((len(row[column]) for row in rows), default=0) for column in (1, 2))
    for number, step, moments, because in rows:
        yield number, f"{step:<{steps}}   {moments:<{worst}}   {because}"


def _told(goal: Goal, steps: Sequence[Step]) -> Iterator[tuple[bool, str, str]]:
    """Say each step in a few words; the launches of a wave are one line."""
    launches = sum(isinstance(step, Launch) for step in steps)
    said = [step for n, step in enumerate(steps) if not _repeats(steps, n)]
    for n, step in enumerate(said):
        match step:
            case Launch(because):
                yield n == 0, f"launch {launches} of {goal}", because
            case Register(token, because):
                yield n == 0, f"register {token}", because
            case Terminate(token, because):
                yield n == 0, f"end {token}", because


def _repeats(steps: Sequence[Step], n: int) -> bool:
    return n > 0 and isinstance(steps[n], Launch) and isinstance(steps[n - 1], Launch)


def _word(end: Plan) -> str:
    match end:
        case Done():
            return "done"
        case Failed():
            return "failed"
        case Stuck():
            return "blocked"
        case Doubtful():
            return "inconclusive"
        case Wait():
            return "waiting"
        case Wave():
            return "endless"


def _sum(played: Rehearsal, min_healthy_time: float) -> str:
    launched, ended = played.count(Launch), played.count(Terminate)
    text = f"{_plural(len(played.waves), 'wave')}: {launched} launched, {ended} ended"
    if not (launched and min_healthy_time):
        return text
    least = played.launching * min_healthy_time
    times = f"{played.launching} × " if played.launching > 1 else ""
    return f"{text}; {least:g} s at the least ({times}{min_healthy_time:g} s healthy), plus drains"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
