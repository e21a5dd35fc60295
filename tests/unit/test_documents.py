"""The shapes that ``--json`` promises: others read these names."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.builders import NOW, a_fleet, a_goal, a_version, an_instance

from ovenbird.report.status import Status
from ovenbird.rollout.book import Standing
from ovenbird.rollout.drive import Outcome, Taken
from ovenbird.rollout.plan import Launch, Terminate
from ovenbird.tasks.documents import image_document, outcome_document, status_document
from ovenbird.values.instance import Health


def test_an_image_is_told_with_all_that_a_report_needs() -> None:
    version = replace(a_version(2), channels=("stable",))

    told = image_document(version)

    assert told.keys() >= {
        *("ref", "family", "version", "fingerprint", "state", "channels", "parent"),
        *("artifacts", "baked_at"),
    }
    assert (told["ref"], told["family"], told["version"]) == ("web/2", "web", 2)
    assert (told["channels"], told["parent"], told["state"]) == (["stable"], "base/1", "active")
    assert told["artifacts"] == [
        {"provider": "memory", "id": "sha256:web-2", "size": 1, "baked_at": NOW.isoformat()}
    ]
    assert json.loads(json.dumps(told)) == told


def test_a_rollout_is_told_wave_by_wave_with_every_because() -> None:
    outcome = Outcome(before="web/1", after="web/2", outcome="done", because="all current")
    outcome.waves.append([Taken(step=Launch("a canary first"), token="web-2")])
    outcome.waves.append([Taken(step=Terminate("web-1", "it is stale"), token="web-1")])

    told = outcome_document(outcome)

    assert (told["outcome"], told["from"], told["to"]) == ("done", "web/1", "web/2")
    assert told["waves"] == [
        {
            "wave": 1,
            "steps": [{"step": "launch", "instance": "web-2", "because": "a canary first"}],
        },
        {
            "wave": 2,
            "steps": [{"step": "terminate", "instance": "web-1", "because": "it is stale"}],
        },
    ]
    assert json.loads(json.dumps(told)) == told


def test_a_first_rollout_comes_from_nowhere() -> None:
    assert outcome_document(Outcome(before="", after="web/1"))["from"] is None


def test_a_fleet_is_told_with_each_of_its_instances() -> None:
    status = Status(
        fleet=a_fleet(2),
        now=NOW,
        resolved="web/2",
        instances=[
            an_instance(1, "web/2"),
            an_instance(2, "web/1", Health.FAILED, because="answered 500"),
        ],
        standing=Standing(settled=a_goal("web/2")),
        last=None,
    )

    told = status_document(status)

    assert (told["name"], told["env"], told["provider"]) == ("web", "dev", "memory")
    assert (told["image"], told["size"]) == ("web/2", 2)
    good, ill = json.loads(json.dumps(told))["instances"]
    assert good.keys() >= {"id", "image", "health", "address", "launched_at"}
    assert (good["id"], good["image"], good["health"]) == ("web-001", "web/2", "serving")
    assert (ill["health"], ill["because"]) == ("failed", "answered 500")
    assert told["sentence"] == "1 of 2 serving, 1 failed, 1 not on web/2"


def test_a_fleet_that_was_never_rolled_has_no_image_yet() -> None:
    status = Status(
        fleet=a_fleet(), now=NOW, resolved="", instances=[], standing=Standing(), last=None
    )

    told = status_document(status)

    assert (told["image"], told["wanted"], told["instances"]) == (None, "web@stable", [])
