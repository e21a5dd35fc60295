"""Tell a rollout before it happens: the one text for the prompt, the golden tests and the docs.

It touches nothing and promises nothing: the real rollout looks again before every wave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from ovenbird.rollout.bucket import is_listed
from ovenbird.rollout.decision import Launch, Register, Retire, Step, Terminate
from ovenbird.rollout.document import RehearsalDocument, document, document_step, word_of
from ovenbird.rollout.rehearsal import ROLLING, Moment, Pause, Rehearsal, play
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds
from ovenbird.values.procedure import Procedure, Strategy

__all__ = ["RehearsalDocument", "document", "document_step", "rehearse"]


def rehearse(
    fleet: FleetKey,
    goal: Goal,
    bounds: Bounds,
    observed: Collection[Instance],
    *,
    untried: bool,
    procedure: Procedure = ROLLING,
    passed: int = 0,
    upto: int | None = None,
    min_healthy_time: float = 0.0,
    notes: Sequence[str] = (),
    outcome: Health = Health.SERVING,
    spares: bool = False,
) -> str:
    """Tell the whole rollout, a line a step, with what is left at the worst moment of each wave.

    ``notes`` are printed below the head ("changed: greeting"). ``min_healthy_time`` is in
    seconds; ``procedure``, ``passed`` and ``upto`` are as in `play`. The text has no line break
    at its end.
    """
    played = play(
        goal,
        bounds,
        observed,
        untried=untried,
        procedure=procedure,
        passed=passed,
        upto=upto,
        outcome=outcome,
        spares=spares,
    )
    told = [*_told_waves(fleet, goal, played)]
    last = [(word_of(played.end), played.end.because)]
    last += [("", text) for text in _kept(played, procedure)]
    last += [("", _sum(played, min_healthy_time))] if played.waves else []
    rows = [("now", _now(goal, played.observed)), *told, *last]
    wide = max(len(f"wave {len(played.waves)}"), len(word_of(played.end))) + 2
    lines = [_head(fleet, goal, bounds, played.observed, procedure)]
    lines += [f"  {note}" for note in notes]
    lines += [f"  {label:<{wide}}{text}" for label, text in rows]
    return "\n".join(lines)


def _head(
    fleet: FleetKey,
    goal: Goal,
    bounds: Bounds,
    observed: Collection[Instance],
    procedure: Procedure,
) -> str:
    stale = dict.fromkeys(_image(goal, i) for i in observed if not goal.is_run_by(i))
    way = f"{', '.join(stale)} → {goal}" if stale else f"{goal}"
    how = "" if procedure.strategy is Strategy.ROLLING else f"{procedure.strategy}, "
    return (
        f"{fleet}: {way}, {how}{_plural(bounds.size, 'instance')}, surge {bounds.surge}, "
        f"unavailable {bounds.unavailable} "
        f"(never below {bounds.floor} serving, never above {bounds.ceiling})"
    )


def _now(goal: Goal, observed: Collection[Instance]) -> str:
    """Count what is there: ``4 instances: 3 of web/1 serving, 1 of web/2 failed``."""
    kinds = Counter((_image(goal, i), _state(i)) for i in observed)
    parts = [f"{n} of {image} {state}" for (image, state), n in sorted(kinds.items())]
    return f"{_plural(len(observed), 'instance')}: {', '.join(parts)}" if parts else "nothing runs"


def _state(i: Instance) -> str:
    if i.dying:
        return "ending"
    if i.quarantined and not is_listed(i):
        return "in quarantine"
    if i.kept and not i.quarantined:
        return "kept" if i.health is Health.PENDING else f"kept, {i.health}"
    overloaded = i.health is Health.FAILED and i.in_service
    return (
        f"{i.health}, but in service" if overloaded else "leaving" if i.leaving else str(i.health)
    )


def _image(goal: Goal, instance: Instance) -> str:
    if instance.version != goal.version:
        return instance.version
    if instance.launch_hash != goal.launch_hash:
        return f"{instance.version} (other launch data)"
    return f"{instance.version} (unwanted)" if instance.unwanted else instance.version


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


def _told_waves(fleet: FleetKey, goal: Goal, played: Rehearsal) -> Iterator[tuple[str, str]]:
    """Lay out the waves with the checkpoints between them."""
    table = [*_table(goal, played.waves)]
    starts = [n for n, (label, _) in enumerate(table) if label] + [len(table)]
    for wave in range(len(played.waves) + 1):
        for pause in played.pauses:
            if pause.after == wave:
                yield "pause", _checkpoint(fleet, pause)
        yield from table[starts[wave] : starts[wave + 1]] if wave < len(played.waves) else []


def _checkpoint(fleet: FleetKey, pause: Pause) -> str:
    text = f"checkpoint {pause.number} of {pause.of}: {pause.count} of {pause.size}"
    text += f", soak {_spoken(pause.soak)}" if pause.soak else ""
    resume = f"invoke fleet.resume {fleet.name} --env {fleet.env}"
    return f"{text}, then waits for {resume}" if pause.approve else text


def _kept(played: Rehearsal, procedure: Procedure) -> Iterator[str]:
    images = Counter(i.version for i in played.kept)
    if images:
        what = ", ".join(f"{n} of {image}" for image, n in sorted(images.items()))
        time = _spoken(procedure.keep_previous)
        yield f"keeps {what} out of service for {time}, for a switch back"


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
            case Retire(token, because):
                yield n == 0, f"retire {token}", because
            case Terminate(token, because):
                yield n == 0, f"end {token}", because


def _repeats(steps: Sequence[Step], n: int) -> bool:
    return n > 0 and isinstance(steps[n], Launch) and isinstance(steps[n - 1], Launch)


def _sum(played: Rehearsal, min_healthy_time: float) -> str:
    launched, retired = played.count(Launch), played.count(Retire)
    text = f"{_plural(len(played.waves), 'wave')}: {launched} launched, "
    text += f"{retired} retired, " if retired else ""
    text += f"{played.count(Terminate)} ended"
    soak = f"{_spoken(played.soaking)} of soak" if played.soaking else ""
    if not (launched and min_healthy_time):
        return f"{text}; {soak}" if soak else text
    least = played.launching * min_healthy_time
    times = f"{played.launching} × " if played.launching > 1 else ""
    healthy = f"{least:g} s at the least ({times}{min_healthy_time:g} s healthy)"
    return f"{text}; {healthy}, {f'{soak}, ' if soak else ''}plus drains"


def _spoken(seconds: float) -> str:
    """Say a time as an operator writes it: 45 s, 5 min, 1 h 30 min."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{n:g} {unit}" for n, unit in parts if n) or "0 s"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
