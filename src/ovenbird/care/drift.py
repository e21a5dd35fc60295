"""Look for what was changed by hand in a fleet, and wish for it to be replaced.

The files of every instance are compared with its image by the engine, from outside. Nothing is
touched by the look; what it found is kept, so that the next one knows since when.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ovenbird.care.changes import KEPT, Sighting, Sightings
from ovenbird.fleet.drift import Bucket, Examined, Undeclared, bucket_of, folded, less, undeclared
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import ConfigurationError, OvenbirdError
from ovenbird.values.image import ImageRef, ImageState, Version
from ovenbird.values.instance import Change, Goal, Health, Instance, Look, Seen, Verdict

AT_ONCE = 8
"""Instances that an engine is asked about side by side."""

LONGEST = 30.0
"""Seconds after which what was not answered counts as unknown."""


class _Unasked:
    """A probe that does not knock."""

    def look(self, instance: Seen, at: datetime) -> Look:
        return Look(token=instance.token, at=at, verdict=Verdict.NO_ANSWER, detail="not asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One instance, its bucket, and what changed in it beyond what is allowed.

    ``drift`` is what makes it drifted, the undeclared left out. ``aside`` says why it is out of
    service already (quarantine, say), or is "": then it is neither repaired nor counted.
    """

    token: str
    version: str
    bucket: Bucket
    because: str
    launched_at: datetime
    changes: tuple[Sighting, ...] = ()
    drift: tuple[Sighting, ...] = ()
    aside: str = ""

    @property
    def is_given_up(self) -> bool:
        """Say whether a repair would replace it."""
        return self.bucket in (Bucket.DRIFTED, Bucket.REVOKED) and not self.aside


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A fleet at one moment: every instance in one bucket, and what is undeclared in ``asked``
    instances of it."""

    setting: Setting
    at: datetime
    findings: tuple[Finding, ...]
    undeclared: tuple[Undeclared, ...]
    asked: int

    @property
    def given_up(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.is_given_up)

    def count(self, bucket: Bucket) -> int:
        """Count the instances of a bucket, those that are aside left out."""
        return sum(f.bucket is bucket and not f.aside for f in self.findings)


def survey(setting: Setting, *, writable: Collection[str]) -> Survey:
    """Put every instance of a fleet into its bucket. ``writable`` is what the fleet's family lets
    its instances change today; what each image was baked with is allowed besides.

    Neither probes nor balancers are asked: files do not depend on them. One whose changes are
    not told in time is unknown and never clean. Raises `EngineUnreachable` where the engine does
    not list its instances, and `Blocked` where they live at another place.
    """
    quiet = replace(setting, balancers=(), probe_for=lambda _accepted: _Unasked())
    lookout = Lookout(quiet, tolerant=True)
    observed = lookout.look()
    here = {i.token: i for i in observed}
    listed = {t for t in here if lookout.is_listed(t) and here[t].health is not Health.LOST}
    answers = _asked(setting, listed)
    there = _still_there(setting, answers)
    aside = {token: _aside(here[token], lookout) for token in here}
    versions = {name: _version(setting, name) for name in {i.version for i in observed}}
    left = {
        token: _less(answer, versions[here[token].version], writable)
        for token, answer in answers.items()
        if not isinstance(answer, str) and token in there
    }
    now = setting.clock.now()
    sightings = Sightings(setting.site.database, setting.key)
    known = sightings.note(left, at=now)
    counted = {token: each for token, each in left.items() if not aside[token]}
    launched = {token: here[token].launched_at for token in counted}
    again = sightings.given_up(since=now - KEPT)
    common = undeclared(counted, launched, again)
    goals = _goals(setting)
    examiner = _Examiner(goals, versions, answers, left, known, common)
    return Survey(
        setting=setting,
        at=now,
        findings=(
            *(examiner.found(i, aside[i.token]) for i in sorted(observed, key=_by_token)),
            *_unowned(lookout, setting),
            *_late(lookout),
        ),
        undeclared=folded(common),
        asked=len(counted),
    )


def _by_token(instance: Instance) -> str:
    return instance.token


def _asked(setting: Setting, tokens: Collection[str]) -> dict[str, Collection[Change] | str]:
    """Ask the engine what changed in each; the answer, or why there is none."""
    answers: dict[str, Collection[Change] | str] = {}
    failures: list[Exception] = []
    places = threading.Semaphore(AT_ONCE)

    def ask(token: str) -> None:
        with places:
            try:
                answers[token] = setting.provider.changes(token)
            except OvenbirdError as error:
                answers[token] = error.problem
            except Exception as error:  # noqa: BLE001 - raised again by whoever waits
                failures.append(error)

    # Daemons, so that an engine that never answers cannot keep us from ending.
    threads = [threading.Thread(target=ask, args=(each,), daemon=True) for each in tokens]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + LONGEST
    for thread in threads:
        thread.join(max(ends - time.monotonic(), 0))
    if failures:
        raise failures[0]
    late = f"{setting.provider.name} did not say within {LONGEST:g} s what changed in it"
    return {token: answers.get(token, late) for token in tokens}


def _still_there(setting: Setting, answers: Mapping[str, Collection[Change] | str]) -> set[str]:
    """Name those that are there after the answers. Nothing has changed in one that is gone, so
    the engine lists its instances again where an answer is empty; an answer costs less."""
    if all(answers.values()):
        return set(answers)
    return {seen.token for seen in setting.provider.instances(setting.key)}


def _version(setting: Setting, name: str) -> Version | None:
    """Find a version; None where the catalog does not know it any more."""
    try:
        return setting.catalog.resolve(ImageRef.parse(name))
    except ConfigurationError:
        return None


def _less(
    answer: Collection[Change], version: Version | None, writable: Collection[str]
) -> tuple[Change, ...]:
    if version is None:
        return less(answer, writable)
    return less(answer, (*version.contract.writable, *writable), version.ambient)


def _aside(instance: Instance, lookout: Lookout) -> str:
    record = lookout.records.get(instance.token)
    if instance.quarantined and record is not None and record.quarantined_until is not None:
        return f"in quarantine until {record.quarantined_until:%Y-%m-%d %H:%M} UTC"
    return "kept out of service for a switch back" if instance.kept else ""


def _goals(setting: Setting) -> tuple[Goal, ...]:
    """What is current: the settled image, and that of a rollout which has not ended."""
    settled, open_ = setting.book.standing().settled, setting.journal.unfinished()
    return (*([settled] if settled else []), *([open_.goal] if open_ else []))


@dataclass(frozen=True, slots=True)
class _Examiner:
    """Puts what was found of one fleet's instances together, one by one."""

    goals: tuple[Goal, ...]
    versions: Mapping[str, Version | None]
    answers: Mapping[str, Collection[Change] | str]
    left: Mapping[str, tuple[Change, ...]]
    known: Mapping[str, tuple[Sighting, ...]]
    common: tuple[Undeclared, ...]

    def found(self, instance: Instance, aside: str) -> Finding:
        token, version = instance.token, self.versions[instance.version]
        as_it_runs = replace(instance, unwanted="")
        drift = less(self.left.get(token, ()), [each.path for each in self.common])
        examined = Examined(
            lost=instance.health is Health.LOST,
            answered=token in self.left and version is not None,
            revoked=version is not None and version.state is ImageState.REVOKED,
            current=not self.goals or any(g.is_run_by(as_it_runs) for g in self.goals),
            drift=drift,
        )
        bucket, paths = bucket_of(examined), {change.path for change in drift}
        changes = self.known.get(token, ())
        return Finding(
            token=token,
            version=instance.version,
            bucket=bucket,
            because=self._because(bucket, instance, len(drift), len(changes)),
            launched_at=instance.launched_at,
            changes=changes,
            drift=tuple(each for each in changes if each.path in paths),
            aside=aside,
        )

    def _because(self, bucket: Bucket, instance: Instance, drifted: int, changed: int) -> str:
        match bucket:
            case Bucket.LOST:
                return instance.because
            case Bucket.UNKNOWN:
                return self._why_unknown(instance)
            case Bucket.REVOKED:
                version = self.versions[instance.version]
                return f"{version} is revoked: {version.state_because if version else ''}"
            case Bucket.DRIFTED:
                return f"{drifted} path{'s' if drifted > 1 else ''} changed"
            case Bucket.STALE:
                same = instance.version == self.goals[0].version
                return "other launch data" if same else f"the fleet's image is {self.goals[0]}"
            case _:
                return "as its image, but for what is undeclared" if changed else "as its image"

    def _why_unknown(self, instance: Instance) -> str:
        answer = self.answers.get(instance.token, "")
        if isinstance(answer, str) and answer:
            return answer
        if self.versions[instance.version] is None:
            return f"the catalog does not know {instance.version}"
        gone = instance.token in self.answers
        return "it went away meanwhile" if gone else "its engine does not list it yet"


def _unowned(lookout: Lookout, setting: Setting) -> list[Finding]:
    findings = []
    for seen in sorted(lookout.unowned, key=lambda each: each.token):
        foreign = seen.fleet.site != setting.key.site
        because = f"belongs to site {seen.fleet.site}" if foreign else "stands in no record here"
        findings.append(
            Finding(
                token=seen.token,
                version=seen.version,
                bucket=bucket_of(Examined(owned=False)),
                because=because,
                launched_at=seen.launched_at,
            )
        )
    return findings


def _late(lookout: Lookout) -> list[Finding]:
    return [
        Finding(
            token=seen.token,
            version=seen.version,
            bucket=bucket_of(Examined(answered=False)),
            because="it was ended, and runs all the same",
            launched_at=seen.launched_at,
            aside="invoke tend puts it in order",
        )
        for seen in lookout.late
    ]
