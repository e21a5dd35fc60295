"""Give up what has drifted: have it replaced by the settled image, and remember because of what.

The wish is durable before anything moves. The diff stays in the table ``changes`` and the console
is saved by the ending, so that what happened to a machine can be read when it is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from ovenbird.care.acts import Wish, ready_for, require_quarantine
from ovenbird.care.changes import Sightings
from ovenbird.care.drift import Finding, Survey
from ovenbird.fleet.drift import Bucket
from ovenbird.fleet.health import CONSOLE_LINES
from ovenbird.rollout.consoles import Consoles
from ovenbird.rollout.intent import foresee_repair
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.setting import Setting
from ovenbird.state.history import Deed
from ovenbird.values.instance import Instance


def give_up(found: Survey, *, quarantine: timedelta | None = None, because: str = "") -> Wish:
    """Wish for what is drifted or revoked to be replaced, and for nothing else.

    With ``quarantine`` the old ones are kept out of service for so long. Raises `Blocked` where
    nothing has settled or the settled image may not launch, and `ConfigurationError` where an
    instance of this fleet cannot be in quarantine.
    """
    setting, leaving = found.setting, found.given_up
    if quarantine is not None:
        require_quarantine(setting)
    chosen = ready_for(setting)
    if chosen.barred is not None:
        raise chosen.barred
    until = None if quarantine is None else setting.clock.now() + quarantine
    why = {finding.token: reason(finding) for finding in leaving}

    def write(lease: Lease) -> None:
        lease.renew_or_raise()
        now = setting.clock.now()
        paths = {f.token: [each.path for each in f.drift] for f in leaving}
        Sightings(setting.site.database, setting.key).give_up(paths, at=now)
        for finding in leaving:
            _write(setting, finding, why[finding.token], until=until, because=because, at=now)

    observed = _wished(setting, why, quarantined=until is not None)
    notes = [f"{token}: {told}" for token, told in why.items()]
    if until is not None:
        notes.append(f"kept out of service until {until:%Y-%m-%d %H:%M} UTC, then ended")
    return Wish(
        setting=setting,
        text=foresee_repair(setting, chosen, observed, notes=notes).text,
        because=because or f"drift in {', '.join(why)}",
        write=write,
        chosen=chosen,
        told=f"{len(leaving)} given up; ",
    )


def reason(finding: Finding) -> str:
    """Say why an instance is given up, in one line: "drifted: /etc/x, /etc/y and 3 more"."""
    paths = [each.path for each in finding.drift]
    if not paths:
        return finding.because
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    told = f"drifted: {', '.join(paths[:3])}{more}"
    return f"{finding.because}; {told}" if finding.bucket is not Bucket.DRIFTED else told


def _wished(setting: Setting, why: Mapping[str, str], *, quarantined: bool) -> tuple[Instance, ...]:
    """Look again, now at the balancers too, and see the fleet as it will be wished."""
    return tuple(
        replace(
            i,
            unwanted=why[i.token],
            kept=i.kept or quarantined,
            quarantined=i.quarantined or quarantined,
        )
        if i.token in why
        else i
        for i in Lookout(setting).look_twice()
    )


def _write(
    setting: Setting,
    finding: Finding,
    why: str,
    *,
    until: datetime | None,
    because: str,
    at: datetime,
) -> None:
    deed = Deed(
        at=at,
        by=setting.by,
        verb="drift",
        env=setting.key.env,
        subject=setting.key.name,
        before=f"{finding.token} {finding.version}",
        after=why if until is None else f"quarantine until {until:%Y-%m-%d %H:%M} UTC; {why}",
        because=because,
    )
    if until is None:
        setting.records.unwant([finding.token], because=why, at=at, deed=deed)
        return
    text = setting.provider.console(finding.token, lines=CONSOLE_LINES)
    Consoles(setting.site.folder / "consoles").save(finding.token, text, at=at)
    setting.records.quarantine([finding.token], until=until, because=why, at=at, deed=deed)
