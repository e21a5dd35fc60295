"""Delete images that nobody needs: look everywhere, choose, mark, and only then delete.

Who needs what is read again in the transaction that marks an image, since somebody may have
promoted it meanwhile. What is marked never launches; a clean-up that was killed is finished by the
next one. Where an engine does not answer nothing is deleted, on no engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import Timeout

from ovenbird.care.looked import baking, looked_at, merged, missing_of
from ovenbird.care.store import Store
from ovenbird.catalog import retiring
from ovenbird.catalog.needs import References
from ovenbird.catalog.retention import AT_MOST, SHARE, Line, Selection, chosen, why_kept
from ovenbird.rollout.references import references_in
from ovenbird.state.lock import lock_of
from ovenbird.values.errors import Blocked, Busy, EngineUnreachable
from ovenbird.values.image import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done: ``unfinished`` are retired already, and some engine still holds them;
    ``missing`` are those that a rollback would pass over, since its engine has lost them."""

    selection: Selection
    unfinished: tuple[Version, ...]
    references: References
    missing: frozenset[str]

    @property
    def is_empty(self) -> bool:
        return not (self.selection.going or self.unfinished)


@dataclass(slots=True, kw_only=True)
class Done:
    """What was done: ``stayed`` are those that somebody needed after all, or that are held."""

    deleted: list[str] = field(default_factory=list)
    stayed: list[tuple[str, str]] = field(default_factory=list)
    freed: int = 0


def plan(store: Store, *, at_most: int = AT_MOST, share: int = SHARE) -> Plan:
    """Look at the state and at every engine, and choose what goes. Nothing is changed.

    Raises `Inconclusive` and `Blocked` as `chosen` does.
    """
    missing: set[str] = set()
    while True:
        with store.site.database.reading() as db:
            versions, known = retiring.every_version(db), references_in(db, missing=missing)
        if not (more := missing_of(store, versions, {*known.back} - missing)):
            break
        missing |= more
    references = looked_at(store, versions, known)
    while True:
        selection = chosen(
            versions,
            references,
            store.retention,
            now=store.clock.now(),
            at_most=at_most,
            share=share,
        )
        # An engine is asked only about those that would go: each look may be a process.
        if not (held := _held(store, selection)):
            break
        in_use = {name: where for name, (what, where) in held.items() if what == "in use"}
        absent = {name: where for name, (what, where) in held.items() if what == "absent"}
        references = replace(
            references,
            in_use={**references.in_use, **in_use},
            absent={**references.absent, **absent},
        )
    unfinished = retiring.unfinished(versions)
    return Plan(
        selection=selection,
        unfinished=tuple(unfinished),
        references=references,
        missing=frozenset(missing),
    )


def clean_up(store: Store, plan: Plan, done: Done) -> None:
    """Do what was planned, and write into ``done`` as it goes.

    Raises `Busy` where another clean-up is at work, and the first `Blocked` of an engine that
    still uses what is marked, after all others are done.
    """
    with _alone(store):
        refused: list[Blocked] = []
        for version in plan.unfinished:
            _delete(store, version, done, refused)
        for line in plan.selection.going:
            with _no_bake(store, line.version) as bake:
                because = f"{bake} is under way" if bake else _mark(store, line, plan)
                if because:
                    store.console.step(f"{line.version} stays: {because}")
                    done.stayed.append((str(line.version), because))
                else:
                    _delete(store, line.version, done, refused)
        if refused:
            raise refused[0]


def _held(store: Store, selection: Selection) -> dict[str, tuple[str, str]]:
    """Find what an engine still uses of what would go, and what is not on this host."""
    found: dict[str, tuple[str, str]] = {}
    for line in selection.going:
        for artifact in line.version.artifacts:
            engine = store.engines[artifact.provider]
            if store.site.database.is_shared and not engine.present(artifact):
                found[str(line.version)] = ("absent", artifact.provider)
            elif engine.in_use(artifact):
                found[str(line.version)] = ("in use", artifact.provider)
    return found


def _mark(store: Store, line: Line, plan: Plan) -> str:
    """Retire it if it may still go, in the transaction that looks; else say why it stays."""
    name, now = str(line.version), store.clock.now()
    with store.site.database.begin() as db:
        versions = retiring.every_version(db)
        known = references_in(db, missing=plan.missing)
        references = merged(known, plan.references, baking=baking(store))
        why = why_kept(versions, references, store.retention, now=now)
        held = {str(v) for v in versions if v.artifacts}
        if name not in held or name in {str(v) for v in retiring.unfinished(versions)}:
            return "somebody has retired it meanwhile"
        child = next((v for v in versions if v.parent == name and v.artifacts), None)
        if name in why or child is not None:
            return why.get(name) or f"{child}, which was baked on it, is still there"
        retiring.retire(db, line.version, by=store.by, because=line.because, at=now)
    return ""


def _delete(store: Store, version: Version, done: Done, refused: list[Blocked]) -> None:
    """Delete what is left of a retired version: its artifacts, then the log of its bake."""
    for artifact in version.artifacts:
        with store.site.database.reading() as db:
            shared = retiring.is_shared(db, artifact)
        try:
            if not shared:
                store.engines[artifact.provider].delete(artifact)
        except EngineUnreachable:
            raise
        except Blocked as blocked:
            store.console.step(f"{version} is retired, and its artifact is still there")
            store.console.note(f"  {blocked.problem}")
            refused.append(blocked)
            return
        with store.site.database.begin() as db:
            retiring.forget(db, version, artifact, by=store.by, at=store.clock.now())
        done.freed += 0 if shared else artifact.size
    _delete_log(store, version)
    where = ", ".join(artifact.provider for artifact in version.artifacts)
    store.console.step(f"Deleted {version} at {where}")
    done.deleted.append(str(version))


def _delete_log(store: Store, version: Version) -> None:
    log = Path(version.log) if version.log else None
    if log is not None and log.parent == store.site.folder / "logs":
        with suppress(FileNotFoundError):
            log.unlink()
        with store.site.database.begin() as db:
            retiring.forget_log(db, version)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    lock = lock_of(store.site.folder, "image-gc")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise Busy(
            "Another clean-up of images is at work here.",
            remedy="Nothing was deleted by this one. Look again when it has ended.",
        ) from None
    with held:
        yield


@contextmanager
def _no_bake(store: Store, version: Version) -> Iterator[str]:
    """Hold off the bakes that could start from a version while it goes; yield the one that is
    under way already, or ""."""
    families = [child for child, parent in store.parents.items() if parent == version.family]
    with ExitStack() as held:
        for family in (version.family, *families):
            for artifact in version.artifacts:
                lock = lock_of(store.site.folder, f"bake-{family}-{artifact.provider}")
                try:
                    held.enter_context(lock.acquire(timeout=0))
                except Timeout:
                    yield f"a bake of {family}"
                    return
        yield ""
