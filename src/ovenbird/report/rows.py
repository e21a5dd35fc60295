"""One line of a status: an instance, and all that somebody between rollouts asks of it.

Pure: what was seen and what is remembered go in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ovenbird.rollout.records import Record
from ovenbird.values.image import ImageState, Version
from ovenbird.values.instance import EngineState, Instance, Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One instance of one fleet. ``behind`` counts the launchable versions of its family that are
    newer; it and ``image`` are None for what the catalog does not know. ``in_use`` says that it may
    get work: it is neither kept nor in quarantine nor a job that has ended.
    ``unowned`` says why nothing of this site will ever end it by itself, or is ""."""

    env: str
    fleet: str
    token: str
    version: str
    health: str
    because: str
    launched_at: datetime
    launch_hash: str = ""
    slot: int = 0
    address: str | None = None
    image: Version | None = None
    behind: int | None = None
    kept_until: datetime | None = None
    quarantined_until: datetime | None = None
    unwanted: str = ""
    job: str = ""
    in_use: bool = True
    unowned: str = ""

    @property
    def told(self) -> str:
        """Say how it is, and what is meant for it: "in service; to be replaced: its disk"."""
        told = [self.because] if self.because else []
        if self.quarantined_until is not None:
            why = self.unwanted.removeprefix("quarantine ")
            told.append(f"in quarantine until {minute(self.quarantined_until)}: {why}")
        else:
            if self.kept_until is not None:
                told.append(f"kept until {minute(self.kept_until)}")
            if self.unwanted:
                told.append(f"to be replaced: {self.unwanted}")
        if self.image is not None and self.image.state is not ImageState.ACTIVE:
            told.append(f"its image is {self.image.state}")
        return "; ".join(told)


class Images:
    """What the catalog says of the versions that instances run."""

    def __init__(self, versions: Collection[Version]) -> None:
        self._known = {str(version): version for version in versions}

    def of(self, name: str) -> Version | None:
        return self._known.get(name)

    def behind(self, name: str) -> int | None:
        """Count the launchable versions of its family that are newer."""
        mine = self.of(name)
        if mine is None:
            return None
        family = [v for v in self._known.values() if v.family == mine.family and v.launchable]
        return sum(v.number > mine.number for v in family)


def members(
    instances: Sequence[Instance],
    records: Mapping[str, Record],
    images: Images,
    *,
    env: str,
    fleet: str,
) -> list[Row]:
    """Tell of the members of a fleet that was looked at."""
    rows = []
    for i in instances:
        known = records.get(i.token)
        rows.append(
            Row(
                env=env,
                fleet=fleet,
                token=i.token,
                version=i.version,
                health=str(i.health),
                because=i.because,
                launched_at=i.launched_at,
                launch_hash=i.launch_hash,
                slot=i.slot,
                address=i.address,
                kept_until=known.kept_until if known else None,
                quarantined_until=known.quarantined_until if known else None,
                unwanted=i.unwanted,
                in_use=not i.kept,
                image=images.of(i.version),
                behind=images.behind(i.version),
            )
        )
    return rows


def others(
    seen: Collection[Seen],
    images: Images,
    *,
    unowned: str = "",
    records: Mapping[str, Record] | None = None,
) -> list[Row]:
    """Tell of what an engine lists beside the members of a fleet: jobs, and what is nobody's."""
    rows = []
    for s in seen:
        known = (records or {}).get(s.token)
        state, code = str(s.state), "" if s.exit_code is None else f" with code {s.exit_code}"
        rows.append(
            Row(
                env=s.fleet.env,
                fleet=s.fleet.name,
                token=s.token,
                version=s.version,
                health=f"job {state}" if s.job else state,
                because=f"the job {s.job}{code}" if s.job else f"{state}{code}",
                launched_at=known.ordered_at if known else s.launched_at,
                launch_hash=s.launch_hash,
                slot=s.slot,
                address=s.address,
                kept_until=known.kept_until if known else None,
                quarantined_until=known.quarantined_until if known else None,
                unwanted=known.unwanted_because if known else "",
                job=s.job,
                in_use=s.state is EngineState.RUNNING and not (known and known.kept_until),
                unowned=unowned,
                image=images.of(s.version),
                behind=images.behind(s.version),
            )
        )
    return rows


def strangers(seen: Collection[Seen], images: Images, *, site: str) -> list[Row]:
    """Tell of what carries a fleet's name and is not this site's to end. The catalog knows nothing
    of another site's images, though their names may be the same."""
    nothing = Images(())
    return [
        row
        for each in seen
        for row in others(
            [each],
            images if each.fleet.site == site else nothing,
            unowned=_unowned_because(each, site=site),
        )
    ]


def _unowned_because(seen: Seen, *, site: str) -> str:
    """Say why an instance under a fleet's name is not this site's to end, and who may."""
    if seen.fleet.site != site:
        return f"it belongs to the site {seen.fleet.site}; end it with that site's OVENBIRD_STATE"
    return (
        "this site has no record of it; restore a newer backup of the database, or end it with "
        "its engine's own tool"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What ``status --check`` looks for beside unowned instances and revoked images."""

    max_age: timedelta | None = None
    max_behind: int | None = None


def findings(rows: Sequence[Row], asked: Asked, now: datetime) -> list[str]:
    """Say what is not as it should be: one sentence an instance and a rule.

    Age is that of the image's packages, since that is what a patch would make young again.
    """
    return [
        f"{row.env}/{row.fleet}: {row.token} {what}"
        for row in rows
        for what in _faults_of(row, asked, now)
    ]


def _faults_of(row: Row, asked: Asked, now: datetime) -> Iterator[str]:
    if row.unowned:
        yield f"is unowned: {row.unowned}"
    if not row.in_use:
        return
    if row.image is not None and row.image.state is ImageState.REVOKED:
        yield f"runs {row.version}, which is revoked: {row.image.state_because}"
    if asked.max_age is not None and row.image is None:
        yield f"runs {row.version}, whose age is not known: it is not in the catalog"
    elif asked.max_age is not None and row.image is not None:
        age = now - row.image.packages_at
        if age > asked.max_age:
            yield (
                f"runs {row.version}, whose packages are {_days(age)} days old "
                f"({_days(asked.max_age)} allowed)"
            )
    if asked.max_behind is None:
        return
    if row.image is None:
        yield f"runs {row.version}, and how far behind is not known: it is not in the catalog"
    elif (row.behind or 0) > asked.max_behind:
        newer = "1 newer image is" if row.behind == 1 else f"{row.behind} newer images are"
        yield f"runs {row.version}, and {newer} there ({asked.max_behind} allowed)"


def _days(span: timedelta) -> str:
    return f"{span.total_seconds() / 86400:.3g}"


def minute(at: datetime) -> str:
    """Tell a moment as the reader's clock shows it: "2026-11-23 02:00"."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}"
