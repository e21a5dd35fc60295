"""Strategies and reins on real instances behind a real HAProxy, through the command line.

Small fleets, since the planner's own tests have the large ones: here it is seen from outside that
a switch is quick, that a person is waited for, and that nobody is turned away meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import select
from tests.live import LiveFleet
from tests.project import until
from tests.sampler import Sampler
from tests.traffic import nobody_was_turned_away

from ovenbird.state.tables import checkpoints, rollouts, steps

BLUE_GREEN = {"strategy": "blue-green", "keep_previous": "10m"}
STEPPED = {"strategy": "stepped", "soak": "2s"}
STEPS = [1, {"to": "50%", "approve": True}, "100%"]


def test_a_blue_green_rollback_is_a_switch_that_nobody_notices(
    new_fleet: Callable[..., LiveFleet],
    second_image: str,
    record_property: Callable[[str, object], None],
) -> None:
    fleet = new_fleet(size=3)
    fleet.declare(rollout=BLUE_GREEN)
    fleet.rollout()
    good = set(fleet.containers())
    fleet.rollout("--image", second_image)
    bad = set(fleet.containers()) - good
    kept = fleet.status()
    since = datetime.now(UTC)

    with fleet.sampler() as sampler, fleet.traffic(rate=200.0) as traffic:
        time.sleep(1)
        fleet.command("rollback", "--yes", "--because", "its page was wrong")
        time.sleep(1)
        asked = 200 * traffic.results().seconds
    results = traffic.results()

    seen, written = switch_seen(sampler, good, bad), switch_written(fleet)
    for name, said in {
        "switch seen at HAProxy": f"{seen:.2f} s",
        "switch in the journal": f"{written:.2f} s",
        "traffic": str(results),
        "serving": f"{sampler.lowest()}..{sampler.highest()}",
    }.items():
        record_property(name, said)
        print(f"{name}: {said}")
    assert any("3 previous kept out of service" in remark for remark in kept["remarks"])
    assert fleet.created(since=since) == {}
    assert fleet.serving() == ["web/1"] * 3
    assert set(fleet.containers()) == good
    assert fleet.status()["pinned"] == [second_image]
    assert sampler.lowest() >= 3
    nobody_was_turned_away(results, at_least=int(asked * 0.95))
    assert seen < 1
    assert written < 1


def test_a_stepped_rollout_waits_for_a_person_and_a_rollback_does_not_wait_for_its_soak(
    new_fleet: Callable[..., LiveFleet],
    second_image: str,
    record_property: Callable[[str, object], None],
) -> None:
    fleet = new_fleet(size=4)
    fleet.declare(surge=4)
    fleet.rollout()
    good = set(fleet.containers())
    fleet.declare(rollout={**STEPPED, "steps": STEPS})

    asked = fleet.rollout("--image", second_image, code=4)
    half = sorted(fleet.serving())
    fleet.command("fleet.resume")
    fleet.rollout("--image", second_image)
    passed = fleet.rows(select(checkpoints).order_by(checkpoints.c.reached_at))
    whole = set(fleet.containers())

    fleet.declare(rollout={**STEPPED, "steps": [1, "100%"], "soak": "5m"})
    with fleet.sampler() as sampler, fleet.traffic() as traffic:
        rollout = fleet.start_rollout("--image", "web/1")
        soaks = select(checkpoints).join(rollouts).where(rollouts.c.fleet == fleet.name)
        until(lambda: len(fleet.rows(soaks)) == 3, seconds=60)
        begun = time.monotonic()
        rollback = fleet.start_command("rollback", "--yes", "--because", "it is slow")
        superseded = rollout.end(code=3)
        heard = time.monotonic() - begun
        rollback.end()
        took = time.monotonic() - begun
        wanted = 50 * traffic.results().seconds
    results = traffic.results()

    for name, said in {
        "a soaking driver hears of a rollback": f"{heard:.1f} s, its start included",
        "that rollback": f"{took:.1f} s",
        "traffic": str(results),
    }.items():
        record_property(name, said)
        print(f"{name}: {said}")
    assert half == ["web/1", "web/1", second_image, second_image]
    assert "somebody must approve" in asked.stderr
    assert "fleet.resume" in asked.stderr
    assert [bool(row.approved_by) for row in passed if row.number == 2][-1:] == [True]
    assert not good & whole
    assert len(whole) == 4
    assert "rollback by" in superseded
    assert fleet.serving() == [second_image] * 4
    assert len(set(fleet.containers()) & whole) >= 3
    assert fleet.status()["pinned"] == ["web/1"]
    assert sampler.lowest() >= 4
    nobody_was_turned_away(results, at_least=int(wanted * 0.95))


def test_a_pause_a_cancel_and_an_abort_are_heard_by_a_driver_at_work(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=2)
    fleet.declare(surge=2)
    fleet.rollout()
    fleet.declare(surge=1)

    driver = fleet.start_rollout("--image", second_image)
    driver.until("Launching")
    fleet.command("fleet.pause", "--because", "the phones ring")
    paused = driver.end(code=4)
    in_hand = sorted(fleet.serving())
    fleet.rollout("--image", second_image, code=4)
    fleet.command("fleet.resume")

    fleet.rollout("--image", second_image)

    driver = fleet.start_rollout("--image", "web/1")
    driver.until("Launching")
    fleet.command("fleet.cancel")
    cancelled = driver.end(code=3)
    stopped = sorted(fleet.serving())

    driver = fleet.start_rollout("--image", "web/1")
    driver.until("Launching")
    fleet.command("fleet.abort", "--yes", "--because", "enough")
    aborted = driver.end(code=3)

    assert "the phones ring" in paused
    assert in_hand == ["web/1", second_image]
    assert "was cancelled by" in cancelled
    assert stopped == ["web/1", second_image]
    assert "rollback by" in aborted
    assert fleet.serving() == [second_image, second_image]
    assert fleet.status()["pinned"] == ["web/1"]


def test_what_fails_its_smoke_test_never_gets_traffic(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=1)
    fleet.rollout()
    good = set(fleet.containers())
    hook = fleet.project.folder / "smoke.sh"
    hook.write_text(
        "#!/bin/sh\n"
        'curl --silent --fail "http://$OVENBIRD_ADDRESS/healthz" || exit 9\n'
        'echo "$OVENBIRD_IMAGE says nothing of birds"\nexit 7\n'
    )
    hook.chmod(0o755)
    fleet.declare(rollout={"smoke": ["./smoke.sh"]})

    failed = fleet.rollout("--image", second_image, code=1)

    registered = select(steps.c.token).join(rollouts)
    mine = registered.where(rollouts.c.fleet == fleet.name, steps.c.verb == "register")
    assert "ended with exit code 7" in failed.stderr
    assert {row.token for row in fleet.rows(mine)} == good
    assert fleet.serving() == ["web/1"]


def switch_seen(sampler: Sampler, back: set[str], left: set[str]) -> float:
    """The seconds, as HAProxy shows them, from the first of ``back`` to the last drain of
    ``left``."""
    listed = [s for s in sampler.samples if s.sessions.keys() & back]
    over = [s for s in listed if not (s.sessions.keys() & left) - s.draining]
    return over[0].at - listed[0].at


def switch_written(fleet: LiveFleet) -> float:
    """The seconds from a rollback's first intent to register to the moment when the last one was
    draining. Whatever is ended later is drained once more."""
    query = select(steps).join(rollouts).order_by(steps.c.id.desc())
    mine = query.where(rollouts.c.fleet == fleet.name, rollouts.c.kind == "rollback")
    taken = fleet.rows(mine)
    began = min(row.intended_at for row in taken if row.verb == "register")
    drained = {row.token: row.ended_at for row in taken if row.verb == "withdraw"}
    return float((max(drained.values()) - began).total_seconds())
