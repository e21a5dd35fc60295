"""Who changed which fleet from what to what, when and why: also when the things are gone."""

from __future__ import annotations

import io
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete
from tests.builders import NOW
from tests.driving import Scene

from ovenbird.care import acts
from ovenbird.console import Console
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, deeds, record
from ovenbird.state.tables import artifacts, channels, instances, steps, versions
from ovenbird.tasks.show import show_history

VERBS = ("rollout", "rollback", "repair", "scale", "rebuild", "quarantine", "remove", "run")
"""Every verb that leaves a fleet another than it was."""


@pytest.fixture
def year(database: Database) -> Database:
    """One deed a day on dev/web, and a bake of an image of that name."""
    with database.begin() as db:
        for day, verb in enumerate(VERBS):
            at = NOW - timedelta(days=day)
            record(db, Deed(at=at, by="ann@one", verb=verb, subject="web", env="dev", after="x"))
        record(db, Deed(at=NOW, by="ann@one", verb="bake", subject="web"))
        record(db, Deed(at=NOW, by="bob@two", verb="scale", subject="web", env="prod"))
    return database


def test_a_fleet_is_not_mistaken_for_what_else_has_its_name(year: Database) -> None:
    assert {deed.verb for deed in deeds(year, subject="web")} == {*VERBS, "bake"}
    assert {deed.verb for deed in deeds(year, fleet="web")} == set(VERBS)
    assert [deed.by for deed in deeds(year, fleet="web", env="prod")] == ["bob@two"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_can_be_asked_for(year: Database, verb: str) -> None:
    assert [deed.verb for deed in deeds(year, fleet="web", env="dev", verb=verb)] == [verb]


def test_since_counts_the_moment_itself(year: Database) -> None:
    found = deeds(year, env="dev", since=NOW - timedelta(days=2))

    assert [deed.verb for deed in found] == ["repair", "rollback", "rollout"]


def test_nothing_found_is_said(year: Database) -> None:
    out = io.StringIO()

    show_history(Console(out=out), deeds(year, verb="scael"))

    assert out.getvalue() == "Nothing of that kind is in the history.\n"


def test_the_history_is_whole_when_all_that_it_tells_of_is_gone(
    database: Database, tmp_path: Path
) -> None:
    scene = Scene.of(database, tmp_path, size=2)
    scene.roll(because="the first")
    scene.roll("web/2", because="a new title")
    scene.roll_back(because="5xx")
    first, second = scene.tokens("web/1")
    acts.carry_out(acts.rebuild(scene.driver(), first, because="its disk"))
    until = timedelta(hours=1)
    acts.carry_out(acts.quarantine(scene.driver(), second, until, because="odd"))
    acts.carry_out(acts.scale(scene.driver(), 3, because="the sale"))
    before = deeds(database, fleet="web")

    with database.begin() as db:
        for table in (steps, instances, channels, artifacts, versions):
            db.execute(delete(table))
    shutil.rmtree(tmp_path / "here" / "consoles")

    after = deeds(database, fleet="web")
    assert after == before
    told = [(d.verb, d.before, d.because) for d in reversed(after) if d.verb != "repair"]
    assert told == [
        ("rollout", "", "the first"),
        ("rollout", "web/1", "a new title"),
        ("rollback", "web/2", "5xx"),
        ("rebuild", first, "its disk"),
        ("quarantine", second, "odd"),
        ("scale", "2", "the sale"),
    ]
    assert all(d.by and d.at.tzinfo for d in after)
