"""What image.gc prints, asks, and exits with; and how a retention is written."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from tests.builders import NOW
from tests.driving import Scene
from tests.unit.test_configuration import BASE, WEB, a_project

from ovenbird import config
from ovenbird.assembly import cleaning
from ovenbird.bake.ingredients import recipe_of
from ovenbird.care import clean_up as module
from ovenbird.care.clean_up import plan
from ovenbird.care.store import Store
from ovenbird.console import Console
from ovenbird.state.database import Database
from ovenbird.state.tables import artifacts, versions
from ovenbird.tasks.image_gc import _number, carry_out
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.retention import Retention


class Terminal(Console):
    """A console with somebody at it who answers always the same."""

    def __init__(self, *, answer: bool | None) -> None:
        self.err, self.out, self.answer = io.StringIO(), io.StringIO(), answer
        super().__init__(err=self.err, out=self.out)

    @property
    def interactive(self) -> bool:
        return self.answer is not None

    def ask(self, question: str) -> bool:
        self.note(question)
        return bool(self.answer)


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Store:
    """Four images of web, 75 days old, of which the third runs and the fourth is the newest."""
    scene = Scene.of(database, tmp_path, size=1)
    with database.begin() as db:
        db.execute(update(versions).values(baked_at=NOW))
        db.execute(update(artifacts).values(size=3 << 20))
    scene.roll("web/3")
    scene.clock.pass_by(75 * 86400)
    return Store(
        site=scene.site,
        engines={"memory": scene.provider},
        fleets={scene.key: {"memory"}},
        named={},
        retention={"web": Retention(keep=1, min_age=timedelta(days=30))},
        parents={},
        clock=scene.clock,
        console=Console(err=scene.said, out=scene.said),
        by="ann@here",
    )


def deleted(store: Store) -> set[str]:
    with store.site.database.reading() as db:
        rows = db.execute(select(versions.c.number, versions.c.state)).all()
    return {f"web/{row.number}" for row in rows if row.state == "retired"}


def test_it_prints_what_goes_and_what_stays_and_why(store: Store) -> None:
    terminal = Terminal(answer=None)

    carry_out(store, plan(store), terminal, only_look=True)

    lines = [" ".join(line.split()) for line in terminal.out.getvalue().splitlines()]
    assert lines[0] == "image size because"
    assert lines[2:] == [
        "web/1 goes 3 MiB 75d old, and nothing needs it",
        "web/2 goes 3 MiB 75d old, and nothing needs it",
        "web/4 stays 3 MiB the newest",
        "web/3 stays 3 MiB web@stable points at it",
    ]
    assert deleted(store) == set()


def test_it_asks_and_a_no_deletes_nothing(store: Store) -> None:
    terminal = Terminal(answer=False)

    carry_out(store, plan(store), terminal)

    assert terminal.err.getvalue() == "Delete them?\nNothing was done.\n"
    assert deleted(store) == set()


def test_where_nobody_can_be_asked_nothing_is_deleted(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="no terminal to ask on") as told:
        carry_out(store, plan(store), Terminal(answer=None))

    assert told.value.exit_code == 2
    assert deleted(store) == set()


def test_a_yes_deletes_and_tells_how_much_that_was(store: Store) -> None:
    terminal = Terminal(answer=True)

    carry_out(store, plan(store), terminal)

    assert terminal.err.getvalue().endswith("‣ Deleted 2 of 2, 6 MiB\n")
    assert deleted(store) == {"web/1", "web/2"}

    again = Terminal(answer=None)
    carry_out(store, plan(store), again, yes=True)
    assert again.err.getvalue() == "‣ Nothing goes: nothing was done\n"


def test_its_document_tells_all_and_stdout_holds_nothing_else(store: Store) -> None:
    terminal = Terminal(answer=None)

    carry_out(store, plan(store, at_most=1), terminal, yes=True, json=True)

    shown = json.loads(terminal.out.getvalue())
    gone = {"because": "75d old, and nothing needs it", "engines": ["memory"], "size": 3 << 20}
    assert shown["going"] == [{"image": "web/1", **gone}]
    assert shown["waiting"] == [{"image": "web/2", **gone}]
    assert [each["image"] for each in shown["kept"]] == ["web/4", "web/3"]
    assert (shown["deleted"], shown["freed"]) == (["web/1"], 3 << 20)
    assert (shown["stayed"], shown["unfinished"]) == ([], [])


def test_what_was_deleted_before_an_error_is_in_the_document_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = plan(store)

    def full(*_: object, **__: object) -> None:
        raise Blocked("The disk is full.", remedy="Free some.")

    monkeypatch.setattr(module, "_delete_log", full)
    terminal = Terminal(answer=None)
    with pytest.raises(Blocked):
        carry_out(store, seen, terminal, yes=True, json=True)

    assert json.loads(terminal.out.getvalue())["freed"] == 3 << 20


@pytest.mark.parametrize("text", ["0", "-1", "many", "1001", "٣"])
def test_a_number_that_is_none_names_its_flag(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--at-most says"):
        _number(text, "--at-most", 1000)


# How it is written.

KEEP = "    parent: base\n    retention: {keep: 10, min_age: 30d}\n"


def families(folder: Path, retention: str) -> Retention | None:
    text = WEB.replace("    parent: base\n", f"    parent: base\n{retention}")
    a_project(folder, images=BASE + text)
    return config.load_families(folder)["web"].retention


@pytest.mark.parametrize(
    ("written", "keep", "hours"),
    [
        ("{keep: 10, min_age: 30d}", 10, 720),
        ("{keep: 1, min_age: 12h}", 1, 12),
        ("{keep: 3, min_age: 8w}", 3, 8 * 168),
        ("{keep: 3}", 3, 720),
    ],
)
def test_a_retention_is_read(tmp_path: Path, written: str, keep: int, hours: int) -> None:
    read = families(tmp_path, f"    retention: {written}\n")

    assert read == Retention(keep=keep, min_age=timedelta(hours=hours))
    assert families(tmp_path / "none", "") is None


@pytest.mark.parametrize(
    ("written", "problem", "remedy"),
    [
        ("{keep: 0}", "retention.keep is out of range: 0", "a number from 1 to 1000"),
        ("{min_age: 30d}", "retention.keep is missing", "a number from 1 to 1000"),
        ("{keep: 1, min_age: 30}", "retention.min_age must be an age, not 30", "12h, 30d or 8w"),
        ("{keep: 1, min_age: 5m}", "retention.min_age must be an age, not '5m'", "12h, 30d"),
        ("{keep: 1, min_age: 9999w}", "must be an age, not '9999w'", "up to ten years"),
        ("{keep: 1, max: 3}", "there is no key retention.max", "keep, min_age"),
        ("10", "retention must be a mapping, not a whole number", "{keep: 10, min_age: 30d}"),
    ],
)
def test_a_retention_that_cannot_be_meant_is_told_with_its_line(
    tmp_path: Path, written: str, problem: str, remedy: str
) -> None:
    with pytest.raises(ConfigurationError) as told:
        families(tmp_path, f"    retention: {written}\n")

    (fault,) = told.value.faults
    assert (fault.file, fault.line) == ("packer/images.yml", 8)
    assert problem in fault.problem
    assert remedy in fault.remedy


def test_a_retention_is_no_ingredient_of_an_image(tmp_path: Path) -> None:
    project = a_project(tmp_path, images=BASE + WEB.replace("    parent: base\n", KEEP))
    (tmp_path / "playbooks/seal.yml").write_text("- hosts: bake\n  roles: []\n")
    family = config.load_families(project)["web"]
    assert family.retention is not None
    bare = replace(family, retention=None)

    with_it, without = (
        recipe_of(each, project=project, variables={}, parent=None) for each in (family, bare)
    )

    assert with_it == without


def test_a_store_looks_at_every_fleet_of_every_file_and_at_what_no_file_has(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene.of(database, tmp_path).beside("gone")
    scene.roll("web/1")
    images = BASE + WEB.replace("    parent: base\n", KEEP)
    project = a_project(tmp_path / "project", images=images)
    monkeypatch.setattr(cleaning, "engine_named", lambda *_, **__: scene.provider)

    store = cleaning.store_of(project, scene.site, Console(err=io.StringIO()))

    assert {f"{key.env}/{key.name}": set(at) for key, at in store.fleets.items()} == {
        "dev/web": {"podman"},
        "dev/gone": {"memory"},
    }
    assert store.named == {"web/2": ("inventories/dev/fleets.yml:2",)}
    assert sorted(store.engines) == ["memory", "podman"]
    assert store.parents == {"web": "base"}
    assert list(store.retention) == ["web"]
    for family, problem in (("base", "base has no retention"), ("shop", "no family 'shop'")):
        with pytest.raises(ConfigurationError, match=problem):
            cleaning.store_of(project, scene.site, Console(err=io.StringIO()), family=family)


def test_a_fault_in_any_file_ends_it_before_it_looks(database: Database, tmp_path: Path) -> None:
    scene = Scene.of(database, tmp_path / "site")
    project = a_project(tmp_path / "project", fleets="fleets: {web: {image: 7}}\n")

    with pytest.raises(ConfigurationError, match=r"inventories/dev/fleets\.yml"):
        cleaning.store_of(project, scene.site, Console(err=io.StringIO()))
