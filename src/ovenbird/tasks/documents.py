"""The shapes that ``--json`` promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovenbird.rollout.drive import Outcome
    from ovenbird.rollout.goal import Chosen
    from ovenbird.rollout.intent import Foreseen
    from ovenbird.rollout.status import Status
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
        "sentence": status.sentence,
        "remarks": status.remarks,
        "pinned": list(status.standing.pins),
        "instances": [
            {
                "id": i.token,
                "image": i.version,
                "launch_hash": i.launch_hash,
                "health": str(i.health),
                "because": i.because,
                "address": i.address,
                "launched_at": i.launched_at.isoformat(),
                "slot": i.slot,
            }
            for i in status.instances
        ],
    }
