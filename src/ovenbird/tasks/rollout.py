"""rollout, rollout.all, rollback, fleet.abort: what changes servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.fleet import ENV, setting_of, settings_of
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovenbird.rollout.goal import Chosen
    from ovenbird.rollout.setting import Setting

COMMON = {
    "fleet": "A fleet of inventories/ENV/fleets.yml.",
    "env": "The environment.",
    "image": "Another image than the fleet's own: web/2 or web@candidate.",
    "yes": "Do it without asking.",
    "plan": "Only print the plan.",
    "because": "Why; kept in the history.",
    "json": "Print one JSON document on stdout.",
}
EMERGENCY = {
    "emergency": "Ignore windows, soaks, approvals, metrics and advisories. Needs --because; kept.",
}


@verb(
    positional=["fleet"],
    help={
        **COMMON,
        **EMERGENCY,
        "retry": "Try a goal again that has failed here: end its failed instance.",
        "wait": "Wait for whoever is at work on this fleet instead of giving up.",
    },
)
def rollout(
    _: Any,
    fleet: str,
    env: str = ENV,
    image: str = "",
    yes: bool = False,
    plan: bool = False,
    retry: bool = False,
    wait: bool = False,
    emergency: bool = False,
    because: str = "",
    json: bool = False,
) -> None:
    """Replace a fleet's instances with an image, wave by wave; prints its plan first."""
    from ovenbird.rollout.goal import choose

    console = Console()
    setting = setting_of(env, fleet, console)
    _carry_out(
        setting,
        lambda s: choose(s, image=image, retry=retry),
        console,
        yes=yes,
        plan=plan,
        retry=retry,
        wait=wait,
        emergency=emergency,
        because=because,
        json=json,
    )


@verb(
    name="all",
    help={"env": COMMON["env"], "yes": COMMON["yes"], "plan": COMMON["plan"], **EMERGENCY}
    | {"because": COMMON["because"]},
)
def all_(
    _: Any,
    env: str = ENV,
    yes: bool = False,
    plan: bool = False,
    emergency: bool = False,
    because: str = "",
) -> None:
    """Roll an environment's fleets in the order of their stages, each after the last has soaked."""
    from ovenbird.rollout.goal import choose
    from ovenbird.rollout.stages import in_stages, roll_all

    console = Console()
    settings = settings_of(env, console)
    if not settings:
        console.step(f"{env} has no fleets: nothing was done")
        return

    def roll(setting: Setting) -> bool:
        with console.inside(f"{setting.key} (stage {setting.fleet.stage})"):
            return _carry_out(
                setting_of(env, setting.fleet.name, console),  # as it is when its turn comes
                lambda s: choose(s),
                console,
                yes=yes,
                plan=plan,
                emergency=emergency,
                because=because,
            )

    if plan:
        for stage in in_stages(settings):
            for setting in stage:
                roll(setting)
        return
    if not roll_all(settings, roll, soaks=not emergency):
        console.step("Stopped here: the fleets after it were left as they are")


@verb(positional=["fleet"], help=COMMON)
def rollback(
    _: Any,
    fleet: str,
    env: str = ENV,
    image: str = "",
    yes: bool = False,
    plan: bool = False,
    because: str = "",
    json: bool = False,
) -> None:
    """Go back to the last image that completed here; pins the fleet against the one it left."""
    from ovenbird.rollout.goal import choose_rollback

    console = Console()
    setting = setting_of(env, fleet, console)
    _carry_out(
        setting,
        lambda s: choose_rollback(s, image=image),
        console,
        yes=yes,
        plan=plan,
        because=because,
        json=json,
    )


@verb(
    positional=["fleet"],
    help={key: COMMON[key] for key in ("fleet", "env", "yes", "plan", "because")},
)
def abort(
    _: Any,
    fleet: str,
    env: str = ENV,
    yes: bool = False,
    plan: bool = False,
    because: str = "",
) -> None:
    """Stop the rollout that is under way here, and roll the fleet back."""
    from ovenbird.rollout.goal import choose_rollback
    from ovenbird.rollout.reins import require_unfinished

    console = Console()
    setting = setting_of(env, fleet, console)
    open_ = require_unfinished(setting)
    why = because or f"aborted the {open_.kind} to {open_.goal}"
    _carry_out(setting, lambda s: choose_rollback(s), console, yes=yes, plan=plan, because=why)


def _carry_out(
    setting: Setting,
    choose: Callable[[Setting], Chosen],
    console: Console,
    *,
    yes: bool,
    plan: bool,
    because: str,
    json: bool = False,
    retry: bool = False,
    wait: bool = False,
    emergency: bool = False,
) -> bool:
    """Print the plan, ask, and do it; False where the answer was no."""
    from ovenbird.rollout import roll_out
    from ovenbird.rollout.drive import Outcome
    from ovenbird.rollout.stages import require_a_service
    from ovenbird.tasks.documents import outcome_document, plan_document
    from ovenbird.values.errors import ConfigurationError

    if emergency and not because:
        raise ConfigurationError.of(
            "An emergency rollout ignores windows and soaks, and says no reason.",
            remedy="Nothing was done. Say why: --emergency --because …",
        )
    require_a_service(setting)
    chosen = choose(setting)
    foreseen = _foreseen(setting, chosen, only_look=plan, emergency=emergency)
    console.note(foreseen.text)
    if plan:
        if json:
            console.document(plan_document(foreseen, chosen))
        return True
    if foreseen.needs_an_answer and not yes and not answered(console):
        return False
    outcome = Outcome(before=chosen.before, after=str(chosen.goal))
    try:
        if wait:
            make = lambda: setting_of(setting.key.env, setting.fleet.name, console)  # noqa: E731
            _when_free(make, choose, outcome, retry, because, emergency)
        else:
            roll_out(setting, chosen, outcome, retry=retry, because=because, emergency=emergency)
    finally:
        if json:
            console.document(outcome_document(outcome))
    console.step(f"{setting.key}: {outcome.because}")
    return True


def _when_free(
    make: Callable[[], Setting],
    choose: Callable[[Setting], Chosen],
    outcome: Any,
    retry: bool,
    because: str,
    emergency: bool,
) -> None:
    """Roll out as soon as whoever is at work has finished or died; all is looked at anew then."""
    from ovenbird.rollout import roll_out
    from ovenbird.values.errors import Busy, Superseded

    while True:
        try:
            setting = make()  # its size may be another one by now
            chosen = choose(setting)
            roll_out(setting, chosen, outcome, retry=retry, because=because, emergency=emergency)
        except Superseded:
            raise
        except Busy as busy:
            setting.console.progress(f"waiting: {busy.problem}")
            setting.clock.sleep(1.0)
        else:
            return


def _foreseen(setting: Setting, chosen: Chosen, *, only_look: bool, emergency: bool) -> Any:
    from ovenbird.rollout import open_entrances
    from ovenbird.rollout.intent import foresee
    from ovenbird.values.errors import BalancerUnreachable

    try:
        return foresee(setting, chosen, emergency=emergency)
    except BalancerUnreachable:
        if only_look:
            raise
        open_entrances(setting)  # the site's own front door was down
        return foresee(setting, chosen, emergency=emergency)


def answered(
    console: Console, question: str = "Do it?", *, does: str = "changes live servers"
) -> bool:
    """Ask whether to do it. Raises `ConfigurationError` where there is no terminal to ask on."""
    from ovenbird.values.errors import ConfigurationError

    if not console.interactive:
        raise ConfigurationError.of(
            f"This {does}, and there is no terminal to ask on.",
            remedy="Nothing was done. Answer with --yes, or look only with --plan.",
        )
    if console.ask(question):
        return True
    console.note("Nothing was done.")
    return False
