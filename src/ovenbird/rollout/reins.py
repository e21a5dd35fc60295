"""The reins of a rollout: pause, resume, cancel. They ask; the driver hears between its calls."""

from __future__ import annotations

from ovenbird.rollout.journal import Begun
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import Busy


def pause(setting: Setting, *, because: str) -> str:
    """Let rollouts of a fleet start no more work; return what the operator is told.

    A driver finishes the instance in hand and ends with exit code 4. Repairs and rollbacks go on.
    """
    setting.book.pause(by=setting.by, because=because, at=setting.clock.now())
    running = _running(setting)
    now = f"; its {running.kind} finishes the instance in hand" if running else ""
    return f"{setting.key} is paused{now}"


def resume(setting: Setting, *, because: str) -> str:
    """Take a pause back, and let a rollout pass the checkpoint that it waits at."""
    now, told = setting.clock.now(), []
    if setting.book.resume(by=setting.by, because=because, at=now):
        told.append("is not paused any more")
    open_ = setting.journal.unfinished()
    number = setting.checkpoints.approve(open_, by=setting.by, at=now) if open_ else None
    if number is not None:
        told.append(f"may pass checkpoint {number}")
    if not told:
        return f"{setting.key} is neither paused nor at a checkpoint: nothing was done"
    on = _running(setting) or open_ is None
    go = "" if on else f"; go on with: invoke rollout {setting.fleet.name} --env {setting.key.env}"
    return f"{setting.key} {' and '.join(told)}{go}"


def cancel(setting: Setting) -> str:
    """Stop a rollout where it is. A driver finishes the instance in hand; without one, what was
    interrupted is closed and keeps its goal no more."""
    open_ = setting.journal.unfinished()
    if open_ is None:
        return f"{setting.key} has no rollout under way: nothing was done"
    if _running(setting):
        setting.journal.ask(open_, "cancel", by=setting.by)
        return f"The {open_.kind} of {setting.key} to {open_.goal} was asked to stop here"
    with setting.leases.taken("rollout") as lease:
        at, told = setting.clock.now(), f"by {setting.by}"
        setting.journal.end(open_, lease.require, outcome="cancelled", told=told, at=at)
    return f"The {open_.kind} of {setting.key} to {open_.goal} is cancelled; see: invoke status"


def require_unfinished(setting: Setting) -> Begun:
    """Return the rollout that an abort is about. Raises `Busy` where a rollback is under way."""
    last = setting.journal.last()
    if last is not None and last.kind == "rollback" and _running(setting):
        raise Busy(
            f"{setting.key} is being rolled back already, by {last.owner}.",
            remedy="See how far it is: invoke status",
        )
    if last is None or last.outcome in ("done", "superseded"):
        raise Busy(
            f"{setting.key} has no rollout to abort.",
            remedy=f"To leave what has completed: invoke rollback {setting.fleet.name} "
            f"--env {setting.key.env}",
        )
    return last


def _running(setting: Setting) -> Begun | None:
    """Return the rollout that a living driver is at: not one that is at something else."""
    holder, open_ = setting.leases.holder(), setting.journal.unfinished()
    if holder is None or open_ is None or holder.kind != open_.kind:
        return None
    return open_ if setting.leases.is_alive(holder) and open_.outcome == "running" else None
