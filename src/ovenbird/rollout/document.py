"""A rehearsal for ``--json``: the shapes that others read, and the words for its ends."""

from __future__ import annotations

from typing import TypedDict

from ovenbird.rollout.decision import (
    Done,
    Doubtful,
    Failed,
    Launch,
    Plan,
    Reached,
    Register,
    Retire,
    Step,
    Stuck,
    Terminate,
    Wait,
    Wave,
)
from ovenbird.rollout.rehearsal import Moment, Pause, Rehearsal


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


class CheckpointDocument(TypedDict):
    checkpoint: int
    after_wave: int
    instances: int
    soak_seconds: float
    approve: bool


class RehearsalDocument(TypedDict):
    """``seconds_at_least`` is the healthy times and the soaks; ``kept`` names what is retired and
    held out of service when it is over."""

    waves: list[WaveDocument]
    checkpoints: list[CheckpointDocument]
    kept: list[str]
    ends: str
    because: str
    seconds_at_least: float
    seconds_of_soak: float


def document(rehearsal: Rehearsal, *, min_healthy_time: float = 0.0) -> RehearsalDocument:
    """Tell the same for ``--json``."""
    return {
        "waves": [document_wave(n, w) for n, w in enumerate(rehearsal.waves, start=1)],
        "checkpoints": [document_checkpoint(pause) for pause in rehearsal.pauses],
        "kept": [instance.token for instance in rehearsal.kept],
        "ends": word_of(rehearsal.end),
        "because": rehearsal.end.because,
        "seconds_at_least": rehearsal.launching * min_healthy_time + rehearsal.soaking,
        "seconds_of_soak": rehearsal.soaking,
    }


def document_checkpoint(pause: Pause) -> CheckpointDocument:
    return {
        "checkpoint": pause.number,
        "after_wave": pause.after,
        "instances": pause.count,
        "soak_seconds": pause.soak,
        "approve": pause.approve,
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
    """Tell one step: ``launch``, ``register``, ``retire`` or ``terminate``, and the instance if
    it has one yet."""
    match step:
        case Launch(because):
            return {"step": "launch", "instance": None, "because": because}
        case Register(token, because):
            return {"step": "register", "instance": token, "because": because}
        case Retire(token, because):
            return {"step": "retire", "instance": token, "because": because}
        case Terminate(token, because):
            return {"step": "terminate", "instance": token, "because": because}


def word_of(end: Plan) -> str:
    """Name how a rehearsal ends, as the text and the document both say it."""
    match end:
        case Done():
            return "done"
        case Reached():
            return "reached"
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
