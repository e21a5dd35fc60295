"""What an operator wishes of a fleet between rollouts: another size, a new machine, quarantine.

Each verb writes its wish durably, under the lease, and then drives one repair within the same
floor, ceiling and budget as ever, launching only the settled image. What a killed driver leaves of
it, the next `tend` finishes. Nothing here asks or prints.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta

from ovenbird.fleet.health import CONSOLE_LINES
from ovenbird.rollout import Act, let_others_end, nothing, open_entrances, roll_out
from ovenbird.rollout.bucket import is_listed
from ovenbird.rollout.consoles import Consoles
from ovenbird.rollout.drive import Outcome
from ovenbird.rollout.goal import Chosen, choose_repair
from ovenbird.rollout.intent import foresee_repair
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.setting import Setting, require_room, require_unchanged
from ovenbird.state.history import Deed
from ovenbird.values.errors import BalancerUnreachable, Blocked, ConfigurationError
from ovenbird.values.fleet import Kind
from ovenbird.values.instance import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a verb would do. ``text`` is its plan, ``write`` makes the wish durable.

    ``setting`` is the fleet as it will be. Without ``chosen`` nothing is launched or ended: the
    wish is recorded, and ``told`` says what that means. ``then`` is done when all has arrived.
    """

    setting: Setting
    text: str
    because: str
    write: Act
    chosen: Chosen | None = None
    told: str = ""
    then: Act = nothing
    needs_an_answer: bool = True


def carry_out(wish: Wish) -> str:
    """Write a wish and drive the fleet there; return how it came out.

    Raises `Busy` while somebody else is at work on it, before anything is written, and what a
    repair raises: then the wish stands, and the next `tend` goes on.
    """
    setting, chosen = wish.setting, wish.chosen
    if chosen is None:
        with setting.leases.taken("repair") as lease:
            let_others_end(setting, lease)
            require_unchanged(setting, repairs=True)
            wish.write(lease)
            wish.then(lease)
        return wish.told
    outcome = Outcome(before=chosen.before, after=str(chosen.goal))
    roll_out(setting, chosen, outcome, because=wish.because, wish=wish.write, then=wish.then)
    return f"{wish.told}{outcome.because}"


def scale(setting: Setting, size: int | None, *, because: str) -> Wish:
    """Wish for ``size`` instances whatever the file says, or with None for the file's again.

    Raises `ConfigurationError` for a size that the fleet's limits leave no room in.
    """
    _refuse_jobs(setting, "has no size")
    _refuse_removed(setting)
    fleet, key = setting.fleet, setting.key
    file = fleet.size if fleet.file_size is None else fleet.file_size
    if size is None:
        scaled = replace(fleet, size=file, file_size=None)
    else:
        scaled = replace(fleet, size=size, file_size=file)
    require_room(scaled)
    after = replace(setting, fleet=scaled)
    recorded = setting.book.standing().size
    sizes = (file if recorded is None else recorded, scaled.size)

    def write(lease: Lease) -> None:
        deed, now = (setting.by, because), setting.clock.now()
        setting.book.resize(size, lease.require, sizes=sizes, deed=deed, at=now)

    now = f"size {scaled.size} (file {file})" if size is not None else f"size {file}, of its file"
    head, why = f"{key}: size {sizes[0]} → {now}", because or f"scaled to {scaled.size}"
    chosen = choose_repair(after)
    if chosen is None:
        told = f"{key}: {now}; nothing has completed here yet, and the first rollout uses it"
        return Wish(setting=after, text=head, because=why, write=write, told=told)
    if chosen.barred is not None and scaled.size > sizes[0]:
        raise chosen.barred
    foreseen = foresee_repair(after, chosen, observed_in(after))
    return Wish(
        setting=after,
        text=f"{head}\n{foreseen.text}",
        because=why,
        write=write,
        chosen=chosen,
        told=f"{now}; ",
        needs_an_answer=foreseen.needs_an_answer or sizes[0] != sizes[1],
    )


def rebuild(setting: Setting, token: str, *, because: str) -> Wish:
    """Wish for a new machine of the settled image in the place of one.

    Raises `Blocked` where nothing has settled, or the engine does not show the instance.
    """
    chosen, observed = ready_for(setting), observed_in(setting)
    if chosen.barred is not None:
        raise chosen.barred
    instance = _found(setting, observed, token)
    if instance.kept and not is_listed(instance):
        raise ConfigurationError.of(
            f"{token} is kept out of service, so nothing takes its place.",
            remedy=f"It is ended in its time. To end the fleet: {_verb(setting, 'fleet.remove')}",
        )
    why = f"rebuild by {setting.by}" + (f": {because}" if because else "")

    def write(lease: Lease) -> None:
        lease.renew_or_raise()
        now = setting.clock.now()
        deed = _deed(setting, "rebuild", instance, after=chosen.goal.version, because=because)
        setting.records.unwant([token], because=why, at=now, deed=deed)

    wished = [replace(i, unwanted=why) if i.token == token else i for i in observed]
    foreseen = foresee_repair(setting, chosen, wished)
    return Wish(setting=setting, text=foreseen.text, because=why, write=write, chosen=chosen)


def quarantine(setting: Setting, token: str, lasting: timedelta, *, because: str) -> Wish:
    """Wish for an instance to be out of service for good, and kept for a look for ``lasting``.

    Its successor serves first where the limits have surge. Of one that is in quarantine already
    only the end of its time changes. Raises as `rebuild`, and as `require_quarantine`.
    """
    require_quarantine(setting)
    chosen, observed = ready_for(setting), observed_in(setting)
    instance, until = _found(setting, observed, token), setting.clock.now() + lasting
    is_out = instance.quarantined and not is_listed(instance)
    if chosen.barred is not None and not is_out:
        raise chosen.barred
    why = f"quarantine by {setting.by}: {because}"

    def write(lease: Lease) -> None:
        lease.renew_or_raise()
        now, after = setting.clock.now(), f"until {until:%Y-%m-%d %H:%M} UTC"
        text = setting.provider.console(token, lines=CONSOLE_LINES)
        Consoles(setting.site.folder / "consoles").save(token, text, at=now)
        deed = _deed(setting, "quarantine", instance, after=after, because=because)
        setting.records.quarantine([token], until=until, because=why, at=now, deed=deed)

    wished = [
        replace(i, unwanted=why, kept=True, quarantined=True) if i.token == token else i
        for i in observed
    ]
    kept = f"{token} is kept out of service until {until:%Y-%m-%d %H:%M} UTC, then ended"
    foreseen = foresee_repair(setting, chosen, wished, notes=[kept])
    return Wish(
        setting=setting,
        text=foreseen.text,
        because=why,
        write=write,
        chosen=None if is_out else chosen,
        told=kept if is_out else f"{kept}; ",
    )


def observed_in(setting: Setting) -> tuple[Instance, ...]:
    """Look at a fleet, once more behind its entrance where that was down."""
    try:
        return Lookout(setting).look_twice()
    except BalancerUnreachable:
        open_entrances(setting)  # the site's own front door was down
        return Lookout(setting).look_twice()


def require_quarantine(setting: Setting) -> None:
    """Refuse a fleet whose instances cannot be out of service and run: `ConfigurationError`."""
    if setting.fleet.is_stateful:
        why = "holds its volumes for as long as it is there, so its successor could not start"
    elif not setting.balancers:
        why = "has no balancer to be taken out of, and goes on with its work while it runs"
    else:
        return
    raise ConfigurationError.of(
        f"An instance of {setting.key} in quarantine {why}.",
        remedy="Nothing was done. To replace it: invoke fleet.rebuild INSTANCE",
        file=setting.fleet.file,
        line=setting.fleet.line,
    )


def ready_for(setting: Setting) -> Chosen:
    """Resolve what takes the place of an instance; raise where nothing can, or may not now."""
    _refuse_jobs(setting, "has no machine to replace")
    _refuse_removed(setting)
    chosen = choose_repair(setting)
    if chosen is None:
        raise Blocked(
            f"Nothing has completed in {setting.key} yet, so no image has settled to launch.",
            remedy=f"Nothing was done. Roll out first: invoke rollout {setting.fleet.name} "
            f"--env {setting.key.env}",
        )
    return chosen


def _found(setting: Setting, observed: Collection[Instance], token: str) -> Instance:
    for instance in observed:
        if instance.token == token:
            return instance
    raise Blocked(
        f"{setting.provider.name} does not show {token} any more.",
        remedy=f"Nothing was done. What is missing is replaced by: invoke tend "
        f"--env {setting.key.env} --fleet {setting.fleet.name}",
    )


def _refuse_jobs(setting: Setting, why: str) -> None:
    if setting.fleet.kind is Kind.JOB:
        raise ConfigurationError.of(
            f"{setting.key} runs a job on demand, and {why}.",
            remedy=f"Nothing was done. To run it: {_verb(setting, 'fleet.run')}",
            file=setting.fleet.file,
            line=setting.fleet.line,
        )


def _refuse_removed(setting: Setting) -> None:
    if setting.book.standing().removed_at is not None:
        raise Blocked(
            f"{setting.key} is being removed.",
            remedy=f"Nothing was done. Let that end first: {_verb(setting, 'fleet.remove')}",
        )


def _verb(setting: Setting, verb: str) -> str:
    return f"invoke {verb} {setting.fleet.name} --env {setting.key.env}"


def _deed(setting: Setting, verb: str, instance: Instance, *, after: str, because: str) -> Deed:
    return Deed(
        at=setting.clock.now(),
        by=setting.by,
        verb=verb,
        env=setting.key.env,
        subject=setting.key.name,
        before=instance.token,
        after=after,
        because=because,
    )
