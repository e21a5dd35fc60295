"""Play a sequence of moves on a fleet in memory, and hold it against the rules at every call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import pytest
from tests.driving import Killed, Scene
from tests.sequences.death import Death, WatchedMemory, a_site_with_images
from tests.sequences.moves import PASSES, SIZES, Kind, Move
from tests.sequences.rules import Watch

from ovenbird.care import acts
from ovenbird.care.acts import Wish, carry_out
from ovenbird.care.drift import survey
from ovenbird.care.give_up import give_up
from ovenbird.care.removal import remove
from ovenbird.care.tend import tend
from ovenbird.catalog import Catalog
from ovenbird.clock import Clock
from ovenbird.fleet.health import Probe
from ovenbird.rollout import act, bounded, lookout, reins
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import GoalFailed, OvenbirdError
from ovenbird.values.image import ImageRef, ImageState
from ovenbird.values.instance import EngineState, Look, Seen, Verdict

AN_HOUR = timedelta(hours=1)
IMAGES = ("web/1", "web/2", "web/3", "web/4")


def play(kind: Kind, moves: Sequence[Move]) -> None:
    """Play it from a fleet that runs web/1, and see that all is well at its end. Raises
    `AssertionError` with the rule that was broken."""
    with a_day(kind) as day:
        for number, move in enumerate(moves):
            try:
                day.make(move)
                day.watch.between()
            except AssertionError as broken:
                broken.add_note(f"at move {number}: {move}")
                raise
        day.end()


@contextmanager
def a_day(kind: Kind) -> Iterator[Day]:
    """Lend a fleet of that kind that runs web/1."""
    death, numbers = Death(), count(1)
    with a_site_with_images(death) as (database, folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(act, "_token", lambda setting: f"dev-web-{next(numbers):010d}")
        patch.setattr(bounded, "within", lambda _seconds, call, *, late: call())
        patch.setattr(lookout, "look_at_all", _look_at_each)
        scene = Scene.of(database, folder, **kind.wanted)
        memory = scene.provider.memory = WatchedMemory(death)
        watch = Watch(scene, scene.driver().bounds)
        memory.watcher = watch
        day = Day(scene, death, watch)
        scene.roll("web/1")
        yield day


def _look_at_each(
    probe: Probe, seen: Sequence[Seen], clock: Clock, *, longest: float
) -> dict[str, Look]:
    """Look without threads: nothing hangs here, and starting them is most of the time."""
    return {each.token: probe.look(each, clock.now()) for each in seen}


@dataclass(frozen=True, slots=True)
class Day:
    """One fleet, and what happens to it."""

    scene: Scene
    death: Death
    watch: Watch
    planned: list[Wish] = field(default_factory=list)

    def make(self, move: Move) -> None:
        """Let a move happen. What a verb refuses, and the death of its driver, are no faults."""
        answered = self.planned.pop() if self.planned else None
        verb = self._verb(move)
        if verb is None:
            self.touch(move.what, move.which)
        else:
            self._say(verb, move)
        if answered is not None:
            self.watch.bounds = answered.setting.bounds
            with suppress(OvenbirdError):
                carry_out(answered)

    def _say(self, verb: Callable[[], object], move: Move) -> None:
        self.scene.clock.wake()
        if move.beside:
            slept = count(1)
            self.scene.clock.once(
                lambda: next(slept) >= move.when, lambda: self.touch(move.beside, move.which)
            )
        try:
            with self.death.awaiting(move.dies):
                verb()
        except (OvenbirdError, Killed):
            return
        finally:
            self.scene.clock.forget()

    def _verb(self, move: Move) -> Callable[[], object] | None:
        scene, which = self.scene, move.which
        verbs: dict[str, Callable[[], object]] = {
            "roll": lambda: self._roll(move),
            "retry": lambda: self._roll(move, retry=True),
            "roll back": lambda: scene.roll_back(driver=self._driver()),
            "tend": lambda: tend(self._driver()),
            "tend --resume": lambda: tend(self._driver(), resume=True),
            "scale": lambda: self._carry_out(acts.scale, SIZES[which]),
            "scale reset": lambda: self._carry_out(acts.scale, None),
            "rebuild": lambda: self._carry_out(acts.rebuild, self._one(which)),
            "quarantine": lambda: self._carry_out(acts.quarantine, self._one(which), AN_HOUR),
            "drift": lambda: survey(self._driver(), writable=()),
            "drift --repair": lambda: self._repair_drift(quarantine=which % 2 == 1),
            "remove": lambda: self._carry_out(remove),
            "unpin": lambda: self._driver().book.unpin(by="ann", because="", at=scene.clock.now()),
            "pause": lambda: reins.pause(self._driver(), because=""),
            "resume": lambda: reins.resume(self._driver(), because=""),
            "cancel": lambda: reins.cancel(self._driver()),
            "revoke": lambda: self._judge(which, ImageState.REVOKED),
            "plan a scale": lambda: self._plan(acts.scale, SIZES[which]),
            "plan a rebuild": lambda: self._plan(acts.rebuild, self._one(which)),
            "plan a quarantine": lambda: self._plan(acts.quarantine, self._one(which), AN_HOUR),
        }
        return verbs.get(move.what)

    def touch(self, hand: str, which: int) -> None:
        """Do what nobody asked Ovenbird for."""
        provider, clock = self.scene.provider, self.scene.clock
        seen = sorted(provider.instances(self.scene.key), key=lambda s: s.token)
        lost = [s.token for s in seen if s.state is EngineState.LOST]
        runs = [s.token for s in seen if s.state is EngineState.RUNNING]
        if hand == "pass by":
            clock.pass_by(PASSES[which % len(PASSES)])
        elif hand == "find":
            if lost:
                provider.find(lost[which % len(lost)])
        elif runs:
            token = runs[which % len(runs)]
            match hand:
                case "exit":
                    provider.exit(token)
                case "lose":
                    provider.lose(token)
                case "ail":
                    provider.answer(token, Verdict.FAIL)
                case "write":
                    provider.write(token, f"/etc/{which % 2}")
                case _:
                    raise ValueError(hand)

    def end(self) -> None:
        """Kill nobody any more, and see that the fleet becomes what is wanted."""
        scene = self.scene
        scene.clock.wake()
        scene.clock.pass_by(PASSES[1])  # what its engine says is gone is believed by now
        for number, image in enumerate(IMAGES):
            scene.provider.becomes(image, Verdict.PASS)
            self._judge(number, ImageState.ACTIVE)
        reins.resume(self._driver(), because="")
        standing = self._driver().book.standing()
        if standing.pins and standing.removed_at is None and self._is_leaving():
            scene.roll_back(driver=self._driver())
        try:
            tend(self._driver())
            tend(self._driver(), resume=True)
            tend(self._driver())
        except GoalFailed:  # its replacements died one by one, and none serves: a person's turn
            if settled := self._driver().book.standing().settled:
                scene.roll(settled.version, driver=self._driver(), retry=True)
        self.watch.between()
        self._require_whole()
        settled = self._driver().book.standing().settled
        if settled is not None:
            scene.roll(settled.version, driver=self._driver(), retry=True)
            self.watch.between()
            size = self._driver().fleet.size
            assert scene.serving == ({settled.version: size} if size else {}), scene.serving
        tend(self._driver())
        if settled is not None:  # what fails before anything has settled is kept for a look
            self._require_no_more()

    def _require_whole(self) -> None:
        """As many serve as are wanted, none is there that nobody wants, nothing is in the air."""
        setting = self._driver()
        assert setting.journal.in_the_air() == [], setting.journal.in_the_air()
        size = setting.fleet.size if setting.book.standing().settled else 0
        assert sum(self.scene.serving.values()) >= size, self.scene.serving
        now, records = self.scene.clock.now(), setting.records.of([])
        for seen in self.scene.provider.instances(self.scene.key):
            until = records[seen.token].quarantined_until
            over = until is not None and until <= now and seen.state is not EngineState.LOST
            assert not over, f"{seen.token}: its quarantine is over"

    def _require_no_more(self) -> None:
        """Beside what serves there is only what is kept, in its time, or lost."""
        now, records = self.scene.clock.now(), self._driver().records.of([])
        served = {entry.token for entry in self.scene.balancer.entries()}
        for seen in self.scene.provider.instances(self.scene.key):
            until = records[seen.token].kept_until
            kept = until is not None and until > now
            lost = seen.state is EngineState.LOST
            assert seen.token in served or kept or lost, f"{seen.token} is there for nothing"

    def _is_leaving(self) -> bool:
        standing = self._driver().book.standing()
        return standing.settled is not None and standing.settled.version in standing.pins

    def _driver(self) -> Setting:
        setting = self.scene.driver()
        self.watch.bounds = setting.bounds
        return setting

    def _roll(self, move: Move, *, retry: bool = False) -> None:
        image = IMAGES[move.which % len(IMAGES)]
        self.scene.provider.becomes(image, Verdict.FAIL if move.bad else Verdict.PASS)
        self.scene.roll(image, driver=self._driver(), retry=retry)

    def _judge(self, which: int, state: ImageState) -> None:
        image, catalog = IMAGES[which % len(IMAGES)], Catalog(self.scene.site.database)
        now = self.scene.clock.now()
        catalog.judge(ImageRef.parse(image), state, by="ann", because="a day", at=now)

    def _plan(self, verb: Callable[..., Wish], *about: object) -> None:
        self.planned[:] = [verb(self._driver(), *about, because="")]

    def _carry_out(self, verb: Callable[..., Wish], *about: object) -> None:
        wish = verb(self._driver(), *about, because="")
        self.watch.bounds = wish.setting.bounds
        carry_out(wish)

    def _repair_drift(self, *, quarantine: bool) -> None:
        found = survey(self._driver(), writable=())
        if found.given_up:
            carry_out(give_up(found, quarantine=AN_HOUR if quarantine else None))

    def _one(self, which: int) -> str:
        tokens = sorted(s.token for s in self.scene.provider.instances(self.scene.key))
        return tokens[which % len(tokens)] if tokens else "dev-web-0"
