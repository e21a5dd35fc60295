"""Decide where a rollout goes: resolved once, to one version and one set of launch data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ovenbird.fleet.launch import resolve
from ovenbird.rollout.journal import OPEN, Begun
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import (
    Blocked,
    ConfigurationError,
    GoalFailed,
    OvenbirdError,
    Tampered,
)
from ovenbird.values.fleet import LaunchData
from ovenbird.values.image import Artifact, ImageRef, ImageState, Version
from ovenbird.values.instance import Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A goal with all that its launches need. ``resumed`` is the rollout that it goes on with;
    ``barred`` is why nothing may be launched of it, where there is still something to end."""

    kind: str
    goal: Goal
    version: Version
    artifact: Artifact
    launch: LaunchData
    before: str
    untried: bool
    resumed: Begun | None = None
    notes: tuple[str, ...] = ()
    barred: OvenbirdError | None = None


def choose(setting: Setting, *, image: str = "", retry: bool = False) -> Chosen:
    """Resolve the goal of a rollout.

    A rollout that has not ended keeps its goal, wherever the channel has moved, unless
    ``image`` names another; one whose goal is named again goes on, with the checkpoints that it
    has passed. Raises `Blocked` for what is revoked or pinned, `GoalFailed` at once for a goal
    that has failed here before, unless ``retry``.
    """
    _refuse_removed(setting)
    open_ = setting.journal.unfinished()
    goes_on = open_ is not None and open_.kind == "rollout" and open_.wish != "cancel"
    resumed = open_ if goes_on else None
    kept = resumed.goal.version if resumed else str(setting.fleet.image)
    ref = ImageRef.parse(image or kept)
    _require_family(setting, ref)
    version = setting.catalog.launchable(ref)
    if resumed is not None and resumed.goal.version != str(version):
        resumed = None
    chosen = _chosen(setting, version, kind="rollout", resumed=resumed)
    still_allowed(setting, chosen, retry=retry)
    return chosen


def still_allowed(setting: Setting, chosen: Chosen, *, retry: bool) -> None:
    """Refuse a goal that must not run here now; asked again when nobody else can change it.

    Raises `Blocked` for what is revoked or pinned, `GoalFailed` for what has failed here.
    """
    if chosen.kind == "repair" and (chosen.barred or not setting.bounds.size):
        return  # nothing is launched
    if chosen.kind != "repair":
        _refuse_removed(setting)
    version = setting.catalog.launchable(ImageRef.parse(chosen.goal.version))
    if chosen.kind != "rollout":
        return
    if because := setting.book.standing().pins.get(str(version)):
        raise Blocked(
            f"{setting.key} was rolled back from {version}, which is refused here since: "
            f"{because}.",
            remedy=f"Roll to another image, or allow it again: invoke fleet.unpin "
            f"{setting.fleet.name} --env {setting.fleet.env} --because …",
        )
    if (failure := setting.book.failure_of(chosen.goal)) and not retry:
        at, why = failure
        raise GoalFailed(
            f"{version} failed in {setting.key} on {at.astimezone():%Y-%m-%d %H:%M}: {why}.",
            remedy="Nothing was launched. Bake a successor, or try it once more with --retry.",
        )


def choose_rollback(setting: Setting, *, image: str = "") -> Chosen:
    """Resolve the last image that completed a rollout here before what runs now.

    Raises `Blocked` where there is none that is present and may launch.
    """
    _refuse_removed(setting)
    begun = _rollback_to_finish(setting)
    left = begun.before if begun is not None else _leaving(setting)
    if image:
        ref = ImageRef.parse(image)
        _require_family(setting, ref)
        return _chosen(setting, setting.catalog.launchable(ref), kind="rollback", before=left)
    if begun is not None:
        version = setting.catalog.launchable(ImageRef.parse(begun.goal.version))
        resumed = begun if begun.outcome in OPEN and begun.wish != "cancel" else None
        return _chosen(setting, version, kind="rollback", before=left, resumed=resumed)
    _refuse_where_no_image_helps(setting)
    version = _last_good(setting, {left, *setting.book.standing().pins})
    return _chosen(setting, version, kind="rollback", before=left)


def _rollback_to_finish(setting: Setting) -> Begun | None:
    """Return the last rollback here where it has not arrived, whatever stopped it: another one
    goes on with it, and never leaves what it was going to."""
    last = setting.journal.last()
    arrived = last is None or last.outcome in ("done", "superseded")
    return last if last is not None and last.kind == "rollback" and not arrived else None


def _last_good(setting: Setting, refused: Collection[str]) -> Version:
    """Find the last image that completed a rollout here, is there, and may launch."""
    for name in setting.journal.completed():
        version = setting.catalog.resolve(ImageRef.parse(name))
        good = name not in refused and setting.book.has_served(name)  # not in a fleet of size 0
        if good and version.launchable and _is_held(setting, version):
            return version
    raise Blocked(
        f"{setting.key} has nothing to go back to: no other image that may launch has completed "
        "a rollout here.",
        remedy="Bake a fixed image and roll it out, or name one with --image.",
    )


def _refuse_where_no_image_helps(setting: Setting) -> None:
    """Refuse to leave an image that serves well because of the launch data beside it."""
    last, settled = setting.journal.last(), setting.book.standing().settled
    if last is None or settled is None or last.outcome in ("done", "superseded"):
        return
    if last.goal.version == settled.version and last.goal != settled:
        raise Blocked(
            f"{setting.key} runs {settled} already: its last rollout changed only its launch data, "
            "so another image would get the same.",
            remedy=f"Put the values back in inventories/{setting.key.env}/fleets.yml and roll out "
            "again. Another image all the same: --image.",
        )


def choose_repair(setting: Setting) -> Chosen | None:
    """Resolve what replaces a lost instance: the settled image, with the launch data of now.

    None where no rollout has ever completed here. One that may not be launched is `barred`: what
    has to end still ends. Where a rollback is leaving the settled image,
    what it goes back to. For a size of 0 nothing is launched, so the
    image may be revoked.
    """
    settled = setting.book.standing().settled
    if settled is None:
        return None
    if not setting.bounds.size:
        return choose_removal(setting, ())
    pins = setting.book.standing().pins
    try:
        if settled.version in pins:  # a rollback has begun to leave it, and has not arrived
            version = _last_good(setting, pins)
        else:
            version = setting.catalog.launchable(ImageRef.parse(settled.version))
        return replace(_chosen(setting, version, kind="repair"), untried=False)
    except (Blocked, ConfigurationError, Tampered) as why:  # revoked, gone, without its secrets
        cleaning = choose_removal(setting, ())
        return cleaning and replace(cleaning, barred=why)


def choose_run(setting: Setting, *, image: str = "", adopts: bool = False) -> Chosen:
    """Resolve the image whose job a fleet of kind job runs now, or ``image``, with its launch data.

    Raises `Blocked` for one that may not launch, unless it ``adopts`` one that has been launched.
    """
    ref = ImageRef.parse(image or str(setting.fleet.image))
    _require_family(setting, ref)
    find = setting.catalog.resolve if adopts else setting.catalog.launchable
    return _chosen(setting, find(ref), kind="run")


def choose_removal(setting: Setting, versions: Sequence[str]) -> Chosen | None:
    """Make a goal for ending all of a fleet: nothing is launched, so its image may be revoked and
    its secrets gone. ``versions`` are those that run; None where nothing ever did."""
    settled = setting.book.standing().settled
    goal = settled or next((Goal(version=name, launch_hash="none") for name in versions), None)
    if goal is None:
        return None
    version = setting.catalog.resolve(ImageRef.parse(goal.version))
    artifact = version.artifact(setting.fleet.provider) or version.artifacts[0]
    return Chosen(
        kind="repair",
        goal=goal,
        version=version,
        artifact=artifact,
        launch=LaunchData(hash=goal.launch_hash),
        before=goal.version,
        untried=False,
    )


def _refuse_removed(setting: Setting) -> None:
    if (since := setting.book.standing().removed_at) is not None:
        raise Blocked(
            f"{setting.key} is being removed since {since.astimezone():%Y-%m-%d %H:%M}.",
            remedy=f"Let that end first: invoke fleet.remove {setting.fleet.name} "
            f"--env {setting.key.env}; after it, a rollout is a first launch.",
        )


def _require_family(setting: Setting, ref: ImageRef) -> None:
    if ref.family != setting.fleet.image.family:
        raise ConfigurationError.of(
            f"{setting.key} runs images of {setting.fleet.image.family}, not of {ref.family}.",
            remedy=f"Name an image of {setting.fleet.image.family}, or another fleet.",
            file=setting.fleet.file,
            line=setting.fleet.line,
        )


def _is_held(setting: Setting, version: Version) -> bool:
    artifact = version.artifact(setting.fleet.provider)
    return artifact is not None and setting.provider.present(artifact)


def _leaving(setting: Setting) -> str:
    """Name the version that a rollback leaves: of the rollout that is open or failed, or the
    settled one."""
    last, standing = setting.journal.last(), setting.book.standing()
    if last is not None and last.kind == "rollout" and last.outcome not in ("done", "superseded"):
        return last.goal.version
    return standing.settled.version if standing.settled else ""


def _chosen(
    setting: Setting,
    version: Version,
    *,
    kind: str,
    before: str = "",
    resumed: Begun | None = None,
) -> Chosen:
    artifact = version.artifact(setting.fleet.provider)
    if artifact is None:
        raise ConfigurationError.of(
            f"{version} has no artifact for {setting.fleet.provider}.",
            remedy=f"Bake it there: invoke bake {version.family} --on {setting.fleet.provider}",
            file=setting.fleet.file,
            line=setting.fleet.line,
        )
    if not setting.provider.present(artifact):
        raise Blocked(
            f"{setting.fleet.provider} does not hold {version} any more ({artifact.id[:19]}).",
            remedy=f"Nothing was touched. Bake it again: invoke bake {version.family} --force",
        )
    if kind != "repair":  # a fleet that is well is looked after whatever the catalog says
        setting.catalog.require_vouched(version, artifact)
    launch = resolve(
        setting.fleet.launch,
        contract=version.contract,
        site_key=setting.site.key,
        project=setting.project,
        volumes=setting.fleet.volumes,
        fleet=setting.fleet.name,
        file=setting.fleet.file,
        line=setting.fleet.line,
    )
    settled = setting.book.standing().settled
    tried = setting.book.has_served(str(version))
    return Chosen(
        kind=kind,
        goal=Goal(version=str(version), launch_hash=launch.hash),
        version=version,
        artifact=artifact,
        launch=launch,
        before=before or (settled.version if settled else ""),
        untried=not tried,
        resumed=resumed,
        notes=tuple(_notes(version, resumed, settled, launch)),
    )


def _notes(
    version: Version, resumed: Begun | None, settled: Goal | None, launch: LaunchData
) -> Sequence[str]:
    notes = []
    if resumed is not None:
        begun = f"{resumed.started_at.astimezone():%Y-%m-%d %H:%M}"
        notes.append(
            f"goes on with the {resumed.kind} to {resumed.goal} that {resumed.owner} began {begun}"
        )
    if version.state is ImageState.DEPRECATED:
        notes.append(f"{version} is deprecated: {version.state_because}")
    if settled and settled.version == str(version) and settled.launch_hash != launch.hash:
        notes.append("same image, changed launch data")
    return notes
