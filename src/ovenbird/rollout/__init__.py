"""Replace a fleet: look, decide, act, look again.

Nothing is remembered between waves but what the journal holds: each wave is planned from what is
observed now. A rollout that was interrupted is finished by starting it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from ovenbird.rollout.advised import advisory_hold
from ovenbird.rollout.before import JobFailed, before_first_wave
from ovenbird.rollout.described import document_of
from ovenbird.rollout.drive import Driver, Outcome
from ovenbird.rollout.goal import Chosen, choose_rollback, still_allowed
from ovenbird.rollout.inside import inside
from ovenbird.rollout.journal import Begun
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.pacing import Cancelled, standing_hold
from ovenbird.rollout.setting import Setting, require_unchanged
from ovenbird.values.errors import (
    Blocked,
    GoalFailed,
    GoalRefuted,
    OvenbirdError,
    RollbackFailed,
    Superseded,
)
from ovenbird.values.procedure import OnFailure

OUTCOMES = {3: "blocked", 4: "inconclusive"}
"""What an exit code is called in the journal; all others are failed."""


Act = Callable[[Lease], None]
"""One thing more that is done under the lease of a rollout."""


def nothing(_: Lease) -> None:
    """Nothing more is wished."""


def roll_out(
    setting: Setting,
    chosen: Chosen,
    outcome: Outcome,
    *,
    retry: bool = False,
    because: str = "",
    emergency: bool = False,
    wish: Act = nothing,
    then: Act = nothing,
) -> None:
    """Bring a fleet to its goal, wave by wave, and write into ``outcome`` what was done.

    ``wish`` is written under the lease before the first look, ``then`` done when all has arrived.
    ``emergency`` ignores windows, soaks and metrics, and is written down. Raises `GoalFailed` (1)
    where the goal does not become healthy, `Blocked` (3) where nothing can move, `Inconclusive`
    (4) where nothing is seen or a person's word is needed, and `RollbackFailed` (5) for a
    rollback instead of the first. What serves still does then. Where the fleet says
    ``on_failure: rollback``, a failed rollout goes back before it raises.
    """
    try:
        _roll_out(
            setting,
            chosen,
            outcome,
            retry=retry,
            because=because,
            emergency=emergency,
            wish=wish,
            then=then,
        )
    except GoalFailed as failure:
        if not outcome.driven or not _owes_a_rollback(setting, chosen, failure):
            raise
        raise go_back(setting, failure) from failure


def open_entrances(setting: Setting) -> None:
    """Make every balancer of a fleet ready; a site's own HAProxy that is down is started."""
    with setting.calls.alone():
        for balancer in setting.balancers:
            balancer.open()


def _roll_out(
    setting: Setting,
    chosen: Chosen,
    outcome: Outcome,
    *,
    retry: bool,
    because: str,
    emergency: bool,
    wish: Act = nothing,
    then: Act = nothing,
) -> None:
    try:
        with setting.leases.taken(chosen.kind, at_once=setting.fleet.budget.fleets) as lease:
            let_others_end(setting, lease)
            require_unchanged(setting, repairs=chosen.kind == "repair")
            still_allowed(setting, chosen, retry=retry)
            wish(lease)
            hold = standing_hold(setting, chosen, emergency=emergency) or advisory_hold(
                setting, chosen, emergency=emergency
            )
            if hold is not None and chosen.resumed is None:
                raise hold  # nothing is in hand, so no goal is fixed either
            if chosen.kind != "repair":  # which may have nothing to launch
                setting.vouching.require(chosen.version, chosen.artifact)
            open_entrances(setting)
            begun = _begin(setting, chosen, lease, because=because, emergency=emergency)
            if retry:
                setting.book.forgive(chosen.goal)
            driver = Driver(setting, chosen, begun, lease, outcome, emergency=emergency)
            outcome.driven = True
            try:
                before_first_wave(setting, chosen, begun, lease)
                outcome.because = driver.drive(retry=retry)
            except OvenbirdError as error:
                raise _closed(setting, chosen, begun, lease, error) from error
            now = setting.clock.now()
            served = setting.book.has_served(chosen.goal.version)  # not in a fleet of size 0
            setting.journal.end(
                begun,
                lease.require,
                outcome="done",
                told="; ".join(filter(None, [outcome.because, inside(setting, chosen)])),
                at=now,
                settles=served and chosen.kind != "repair",
            )
            then(lease)
    except OvenbirdError as error:
        outcome.because = error.problem
        outcome.outcome = _word(error)
        raise
    outcome.outcome = "done"


def let_others_end(setting: Setting, lease: Lease) -> None:
    """Wait until no call of whoever had the lease before is under way.

    On this host the kernel knows, also of the programs that a dead driver started; of another
    host's we know only the intents: each is waited for as long as the longest call may take.
    """
    setting.calls.quiet()
    if lease.previous is None or not lease.elsewhere:
        return
    waited = lease.previous.silence.total_seconds()
    air = setting.journal.in_the_air
    while waited < setting.calls.longest and (air() or air(jobs=True)):
        setting.console.progress(f"waiting for the calls of {lease.previous}")
        setting.clock.sleep(0.5)
        waited += 0.5


def _begin(
    setting: Setting, chosen: Chosen, lease: Lease, *, because: str, emergency: bool
) -> Begun:
    resumed = chosen.resumed
    if (
        resumed is not None
        and resumed.goal == chosen.goal
        and setting.journal.resume(resumed, lease.require, emergency=emergency)
    ):
        return resumed
    begun = Begun(
        id=f"rollout-{secrets.token_hex(6)}",
        kind=chosen.kind,
        before=chosen.before,
        goal=chosen.goal,
        untried=chosen.untried,
        owner=setting.by,
        started_at=setting.clock.now(),
        because=because,
        emergency=emergency,
    )
    leaves = chosen.kind == "rollback" and chosen.before not in ("", chosen.goal.version)
    reason = because or f"rolled back to {chosen.goal}"
    pins = (chosen.before, reason) if leaves else None
    if chosen.kind != "repair":
        setting.book.describe(document_of(setting.fleet))
    setting.journal.begin(begun, lease.require, pins=pins)
    return begun


def _closed(
    setting: Setting, chosen: Chosen, begun: Begun, lease: Lease, error: OvenbirdError
) -> OvenbirdError:
    """Write down how it ended. A failed rollback calls a person, and nothing else is tried.

    Who was superseded writes nothing: the rollout is somebody else's now.
    """
    if isinstance(error, Superseded):
        return error
    outcome, now = _word(error), setting.clock.now()
    bad = error.why if isinstance(error, GoalRefuted) and chosen.kind != "repair" else ""
    try:
        setting.journal.end(
            begun,
            lease.require,
            outcome=outcome,
            told=error.problem,
            at=now,
            refutes=bad,
            goes_back=_owes_a_rollback(setting, chosen, error),
        )
    except Blocked as unwritten:  # the database is what failed, or the lease is lost
        error.add_note(unwritten.problem)
        return error
    if chosen.kind == "rollback" and outcome == "failed":
        return RollbackFailed(
            f"The rollback of {setting.key} to {chosen.goal} failed: {error.problem}",
            remedy="Everything is kept as it is. Look at the instances (invoke status) and their "
            "consoles before you do anything else.",
            evidence=error.evidence,
        )
    return error


def _owes_a_rollback(setting: Setting, chosen: Chosen, error: OvenbirdError) -> bool:
    back = setting.fleet.procedure.on_failure is OnFailure.ROLLBACK
    rolled = isinstance(error, GoalFailed) and not isinstance(error, JobFailed)
    return back and chosen.kind == "rollout" and rolled


def go_back(setting: Setting, failure: GoalFailed) -> OvenbirdError:
    """Roll back after a failure, as the fleet wishes; return what the operator is told."""
    try:
        chosen = choose_rollback(setting)
    except Blocked as nowhere:
        failure.add_note(nowhere.problem)
        return failure
    setting.console.step(f"Going back to {chosen.goal}: {failure.problem}")
    back = Outcome(before=chosen.before, after=str(chosen.goal))
    _roll_out(
        setting,
        chosen,
        back,
        retry=False,
        because=f"on failure: {failure.problem}",
        emergency=False,
    )
    return GoalFailed(
        f"{failure.problem} It was rolled back to {chosen.goal}.",
        remedy=f"Bake a fixed image. {chosen.before} is refused here until: invoke fleet.unpin "
        f"{setting.fleet.name} --env {setting.key.env} --because …",
        evidence=failure.evidence,
    )


def _word(error: OvenbirdError) -> str:
    if isinstance(error, Cancelled):
        return "cancelled"
    if isinstance(error, Superseded):
        return "superseded"
    return OUTCOMES.get(error.exit_code, "failed")
