"""Who runs what: over every environment, with what no file and no record accounts for."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from tests.builders import an_artifact
from tests.driving import Scene

from ovenbird.assembly import rolling, surveying
from ovenbird.catalog import Catalog
from ovenbird.console import Console
from ovenbird.report.left import Left, left_of, places_of
from ovenbird.report.rows import Asked, Images, findings
from ovenbird.report.status import status_of
from ovenbird.state.database import Database
from ovenbird.state.tables import instances
from ovenbird.tasks.check import asked_for, demand_nothing_found, nothing_to_show, tell_faults
from ovenbird.tasks.documents import survey_document
from ovenbird.values.errors import ConfigurationError, EngineUnreachable, Found, Inconclusive
from ovenbird.values.fleet import Fleet, LaunchData, Order
from ovenbird.values.image import Contract


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    scene = Scene.of(database, tmp_path, size=2)
    scene.roll()
    return scene


def left(scene: Scene) -> Left:
    return left_of(
        scene.site,
        scene.key,
        ["memory"],
        Images(Catalog(scene.site.database).versions()),
        engine_of=lambda _: scene.provider,
        now=scene.clock.now(),
    )


def test_a_status_tells_how_far_each_instance_is_behind(scene: Scene) -> None:
    rows = status_of(scene.driver()).rows

    assert [(row.version, row.behind, row.in_use) for row in rows] == [("web/1", 3, True)] * 2


def test_one_without_a_record_is_told_and_hides_no_other(scene: Scene) -> None:
    known, unknown = scene.tokens("web/1")
    with scene.site.database.begin() as db:
        db.execute(delete(instances).where(instances.c.token == unknown))

    status = status_of(scene.driver())

    assert status.problem == ""
    assert [(row.token, bool(row.unowned)) for row in status.rows] == [
        (known, False),
        (unknown, True),
    ]
    assert any("1 unowned under its name" in remark for remark in status.remarks)
    (found,) = findings(status.rows, Asked(), status.now)
    assert f"{unknown} is unowned: this site has no record of it" in found


def test_one_of_another_site_is_told_with_whose_it_is(scene: Scene) -> None:
    theirs = replace(scene.key, site="elsewhere")
    order = Order(
        token="theirs",
        fleet=theirs,
        version="web/1",
        artifact=an_artifact("m-1"),
        contract=Contract(port=80),
        launch=LaunchData(),
        slot=7,
    )
    scene.provider.site, mine = "elsewhere", scene.provider.site
    scene.provider.launch(order)
    scene.provider.site = mine

    row = status_of(scene.driver()).rows[-1]

    assert (row.token, row.image) == ("theirs", None)
    assert "it belongs to the site elsewhere" in row.unowned


def test_a_fleet_that_left_its_file_is_told_with_every_instance_and_ended_by_nothing(
    scene: Scene,
) -> None:
    told = left(scene)

    assert [row.token for row in told.rows] == scene.tokens("web/1")
    assert all("left inventories/dev/fleets.yml" in row.unowned for row in told.rows)
    assert "invoke fleet.remove web --env dev" in told.sentence
    assert scene.asked("terminate") == []


def test_an_engine_that_does_not_answer_hides_no_instance_that_is_recorded(scene: Scene) -> None:
    silent = EngineUnreachable("memory says nothing.", remedy="Wait.")
    scene.provider.fail_next("instances", silent)

    told = left(scene)

    assert sorted(row.token for row in told.rows) == sorted(scene.tokens("web/1"))
    assert {(row.health, row.because) for row in told.rows} == {
        ("unknown", "its engine cannot be asked")
    }
    assert told.problem == "memory says nothing."


def test_an_instance_knows_its_provider_also_where_an_older_record_names_only_its_place(
    scene: Scene,
) -> None:
    assert places_of(scene.site.database) == {("dev", "web"): {"memory"}}
    with scene.site.database.begin() as db:
        db.execute(update(instances).values(provider="", place="podman on one:/var/lib"))

    assert places_of(scene.site.database) == {("dev", "web"): {"podman"}}


class Files:
    """Environments and what their files say: fleets, or the fault of a file."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self._scene, self.envs = scene, dict[str, ConfigurationError | dict[str, Fleet]]()
        monkeypatch.setattr(surveying, "load_environments", lambda _: sorted(self.envs))
        monkeypatch.setattr(surveying, "load_fleets", self._load)
        monkeypatch.setattr(rolling, "setting", lambda *_: scene.driver())
        monkeypatch.setattr(surveying, "engine_named", lambda *_, **__: scene.provider)

    def _load(self, _: Path, env: str) -> dict[str, Fleet]:
        said = self.envs.get(env)
        if said is None:
            said = ConfigurationError.of(f"There is no environment {env!r}.", remedy="None.")
        if isinstance(said, ConfigurationError):
            raise said
        return said

    def survey(self, **only: str) -> surveying.Survey:
        console = Console(err=io.StringIO(), out=io.StringIO())
        return surveying.survey(Path(), self._scene.site, console, **only)


@pytest.fixture
def files(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files(scene, monkeypatch)


def test_a_broken_file_hides_only_its_own_fleets(files: Files, scene: Scene) -> None:
    broken = ConfigurationError.of("size must be 0 or more.", remedy="Write 3.", file="f", line=7)
    files.envs = {"dev": {"web": scene.fleet}, "prod": broken}

    seen = files.survey()

    assert [status.fleet.name for status in seen.fleets] == ["web"]
    assert seen.faults == [broken]
    document = survey_document(seen, None)
    assert document["faults"] == ["f:7: size must be 0 or more.\n  Write 3."]
    with pytest.raises(ConfigurationError, match="size must be 0"):
        tell_faults(Console(err=io.StringIO()), seen.faults)


def test_the_fleets_of_a_broken_file_are_not_said_to_have_left_it(files: Files) -> None:
    files.envs = {"dev": ConfigurationError.of("Broken.", remedy="Mend it.")}

    seen = files.survey()

    assert (seen.left, len(seen.faults)) == ([], 1)


def test_a_fleet_whose_environment_has_no_file_any_more_is_told(files: Files) -> None:
    for only in ({}, {"env": "dev"}, {"env": "dev", "fleet": "web"}):
        (gone,) = files.survey(**only).left
        assert (gone.env, gone.name, len(gone.rows)) == ("dev", "web", 2)
    document = survey_document(files.survey(), ["it is unowned"])
    assert document["found"] == ["it is unowned"]


def test_an_environment_that_never_was_is_refused(files: Files) -> None:
    assert "no environment 'prod'" in files.survey(env="prod").faults[0].problem
    with pytest.raises(ConfigurationError, match="There is no fleet 'shop' in any environment"):
        files.survey(fleet="shop")


def test_what_could_not_be_seen_is_not_well(files: Files, scene: Scene) -> None:
    files.envs = {"dev": {"web": scene.fleet}}
    for _ in range(2):
        scene.provider.fail_next("instances", EngineUnreachable("Silence.", remedy="Wait."))

    seen = files.survey()

    assert seen.unseen == ["dev/web"]
    with pytest.raises(Inconclusive, match="1 fleet could not be looked at: dev/web"):
        demand_nothing_found([], unseen=seen.unseen)
    demand_nothing_found(None, unseen=seen.unseen)  # a plain status tells it, and is no error


def test_a_finding_ends_with_exit_6() -> None:
    with pytest.raises(Found, match="1 thing is not as asked for") as caught:
        demand_nothing_found(["it is unowned"], unseen=["dev/web"])

    assert caught.value.exit_code == 6
    demand_nothing_found([], unseen=[])


def test_what_a_check_allows_is_read_and_nothing_is_checked_unasked() -> None:
    asked = asked_for(check=True, max_age="30d", max_behind="2")
    assert asked is not None
    assert asked.max_age is not None
    assert (asked.max_age.days, asked.max_behind) == (30, 2)
    assert asked_for(check=False, max_age="", max_behind="") is None
    with pytest.raises(ConfigurationError, match="none was asked for"):
        asked_for(check=False, max_age="30d", max_behind="")
    with pytest.raises(ConfigurationError, match="'two' is no number of images"):
        asked_for(check=True, max_age="", max_behind="two")


def test_nothing_at_all_is_one_sentence() -> None:
    assert nothing_to_show(env="").startswith("There is no environment and no instance yet")
    assert "names no fleet" in nothing_to_show(env="dev")
