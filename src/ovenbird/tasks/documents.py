"""The shapes that ``--json`` promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovenbird.assembly.surveying import Survey
    from ovenbird.report.rows import Row
    from ovenbird.report.status import Status
    from ovenbird.rollout.drive import Outcome
    from ovenbird.rollout.goal import Chosen
    from ovenbird.rollout.intent import Foreseen
    from ovenbird.values.image import Version


def image_document(version: Version) -> dict[str, object]:
    """One image as ``image.list --json`` shows it."""
    return {
        "ref": str(version),
        "family": version.family,
        "version": version.number,
        "fingerprint": version.fingerprint,
        "state": str(version.state),
        "state_because": version.state_because,
        "channels": list(version.channels),
        "parent": version.parent,
        "packages": version.packages,
        "packages_at": version.packages_at.isoformat(),
        "baked_at": version.baked_at.isoformat(),
        "artifacts": [
            {"provider": a.provider, "id": a.id, "size": a.size, "baked_at": a.baked_at.isoformat()}
            for a in version.artifacts
        ],
        "by": version.provenance.by,
        "because": version.provenance.because,
        "tools": dict(version.provenance.tools),
        "log": version.log,
    }


def plan_document(foreseen: Foreseen, chosen: Chosen) -> dict[str, object]:
    """What ``rollout --plan --json`` shows: the waves that would be."""
    return {
        "outcome": "planned",
        "from": chosen.before or None,
        "to": str(chosen.goal),
        **foreseen.document,
    }


def outcome_document(outcome: Outcome) -> dict[str, object]:
    """What ``rollout --json`` shows: the waves that were, each step with its because."""
    from ovenbird.rollout.preview import document_step

    return {
        "outcome": outcome.outcome,
        "because": outcome.because,
        "from": outcome.before or None,
        "to": outcome.after,
        "waves": [
            {
                "wave": number,
                "steps": [{**document_step(t.step), "instance": t.token} for t in taken],
            }
            for number, taken in enumerate(outcome.waves, start=1)
        ],
    }


def status_document(status: Status) -> dict[str, object]:
    """One fleet as ``status --json`` shows it."""
    fleet = status.fleet
    return {
        "name": fleet.name,
        "env": fleet.env,
        "provider": fleet.provider,
        "image": status.goal.version if status.goal else None,
        "wanted": str(fleet.image),
        "size": fleet.size,
        "file_size": fleet.size if fleet.file_size is None else fleet.file_size,
        "sentence": status.sentence,
        "remarks": status.remarks,
        "pinned": list(status.standing.pins),
        "instances": [row_document(row) for row in status.rows if not row.unowned],
        "unowned": [row_document(row) for row in status.rows if row.unowned],
    }


def row_document(row: Row) -> dict[str, object]:
    """One instance as ``status --json`` shows it; ``because`` is of its health alone."""
    return {
        "id": row.token,
        "env": row.env,
        "fleet": row.fleet,
        "image": row.version,
        "launch_hash": row.launch_hash,
        "health": row.health,
        "because": row.because,
        "address": row.address,
        "launched_at": row.launched_at.isoformat(),
        "slot": row.slot,
        "behind": row.behind,
        "image_state": str(row.image.state) if row.image else None,
        "packages_at": row.image.packages_at.isoformat() if row.image else None,
        "kept_until": row.kept_until.isoformat() if row.kept_until else None,
        "quarantined_until": row.quarantined_until.isoformat() if row.quarantined_until else None,
        "unwanted": row.unwanted,
        "job": row.job,
        "unowned": row.unowned,
    }


def survey_document(survey: Survey, found: Sequence[str] | None) -> dict[str, object]:
    """What ``status --json`` shows; ``found`` is there with ``--check`` alone."""
    told: dict[str, object] = {
        "fleets": [status_document(status) for status in survey.fleets],
        "left": [
            {
                "name": left.name,
                "env": left.env,
                "sentence": left.sentence,
                "unowned": [row_document(row) for row in left.rows],
            }
            for left in survey.left
        ],
        "faults": [str(fault) for error in survey.faults for fault in error.faults],
    }
    return told if found is None else {**told, "found": list(found)}
