"""The volumes of a site: what is listed, what is orphaned, and the one way to delete one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from invoke import Context, Exit
from tests.driving import Scene

from ovenbird.assembly.volumes import Stored, delete_volume, volume_named, volumes_of
from ovenbird.provider import Engine
from ovenbird.state.database import Database
from ovenbird.tasks import volume as tasks
from ovenbird.values.errors import Blocked, Busy, ConfigurationError
from ovenbird.values.fleet import VolumeSpec
from ovenbird.values.limits import Limits

FILE = """fleets:
  web:
    image: web@stable
    size: SIZE
    provider: memory
    volumes: [{name: VOLUME, path: /var/lib/app}]
    health: {tcp: true}
"""
FAMILY = """families:
  web:
    from: {oci: debian:12}
    sources: ["deb http://deb.debian.org/debian bookworm main"]
    playbook: playbooks/base.yml
    launch: {port: 80}
"""


def written(project: Path, *, size: int = 2, volume: str = "data") -> None:
    """Write the project's files, with a fleet ``web`` of this size."""
    for name, text in (
        ("packer/images.yml", FAMILY),
        (
            "inventories/dev/fleets.yml",
            FILE.replace("SIZE", str(size)).replace("VOLUME", volume),
        ),
    ):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Two of web/1 serve, each with its volume."""
    written(tmp_path)
    scene = Scene.of(
        database,
        tmp_path,
        size=2,
        volumes=(VolumeSpec(name="data", path="/var/lib/app"),),
        limits=Limits(max_surge=0, max_unavailable=1),
    )
    scene.roll("web/1")
    return scene


def listed(scene: Scene, project: Path, **only: str) -> list[Stored]:
    return volumes_of(project, scene.site, engine_of=engine_of(scene), **only)


def engine_of(scene: Scene) -> Callable[[str], Engine]:
    return lambda _name: scene.provider


def test_each_volume_is_told_with_its_slot_and_who_uses_it(scene: Scene, tmp_path: Path) -> None:
    found = listed(scene, tmp_path)

    assert [s.where for s in found] == ["dev/web-0", "dev/web-1"]
    assert [s.volume.used_by for s in found] == [(t,) for t in scene.tokens("web/1")]
    assert [s.orphaned for s in found] == ["", ""]
    assert listed(scene, tmp_path, fleet="shop") == []
    with pytest.raises(ConfigurationError, match="no environment 'prod'"):
        listed(scene, tmp_path, env="prod")


def test_what_nobody_will_use_again_is_orphaned(scene: Scene, tmp_path: Path) -> None:
    written(tmp_path, size=1)
    assert [s.orphaned for s in listed(scene, tmp_path)] == ["", "its fleet has 1 slots"]

    written(tmp_path, volume="other")
    why = {s.orphaned for s in listed(scene, tmp_path)}
    assert why == {"its fleet has no volume data any more"}

    (tmp_path / "inventories/dev/fleets.yml").write_text("fleets: {}\n")
    assert {s.orphaned for s in listed(scene, tmp_path)} == {"its fleet is in no file"}


def test_one_in_use_is_not_deleted(scene: Scene, tmp_path: Path) -> None:
    stored = listed(scene, tmp_path)[0]

    with pytest.raises(Blocked, match="is in use by") as told:
        delete_volume(tmp_path, scene.site, stored, clock=scene.clock, engine_of=engine_of(scene))

    assert told.value.exit_code == 3
    assert len(listed(scene, tmp_path)) == 2


def test_one_that_nobody_uses_is_deleted_and_the_history_says_by_whom(
    scene: Scene, tmp_path: Path
) -> None:
    scene.wanting(size=1).roll()
    stored = listed(scene, tmp_path)[1]

    delete_volume(
        tmp_path,
        scene.site,
        stored,
        because="moved",
        clock=scene.clock,
        engine_of=engine_of(scene),
    )

    assert [s.where for s in listed(scene, tmp_path)] == ["dev/web-0"]
    told = [d for d in scene.history if d.verb == "delete volume"]
    assert [(d.before, d.because, d.outcome) for d in told] == [
        (stored.volume.name, "moved", "begun"),
        (stored.volume.name, "moved", "done"),
    ]


def test_while_somebody_is_at_work_on_its_fleet_nothing_is_deleted(
    scene: Scene, tmp_path: Path
) -> None:
    """Between two instances of a rollout a volume is free, and wanted."""
    scene.wanting(size=1).roll()
    stored = listed(scene, tmp_path)[1]

    with scene.driver().leases.taken("rollout"), pytest.raises(Busy) as told:
        delete_volume(tmp_path, scene.site, stored, clock=scene.clock, engine_of=engine_of(scene))

    assert told.value.exit_code == 3
    assert len(listed(scene, tmp_path)) == 2


def test_a_name_that_is_none_is_refused(scene: Scene, tmp_path: Path) -> None:
    found = listed(scene, tmp_path)
    name = found[0].volume.name

    assert volume_named(found, name) is found[0]
    with pytest.raises(ConfigurationError, match="There is no volume") as told:
        volume_named(found, name[:-1])
    assert told.value.exit_code == 2


@pytest.mark.parametrize(
    ("flags", "typed", "deleted"),
    [
        ({"yes": True, "confirm": "NAME"}, "", True),
        ({"yes": True}, "NAME", True),
        ({}, "y\nNAME", True),
        ({"confirm": "NAME"}, "y", True),
        ({}, "n\nNAME", False),
        ({"yes": True}, "y", False),
        ({}, "y\ny", False),
    ],
)
def test_it_asks_twice(
    flags: dict[str, object],
    typed: str,
    deleted: bool,
    scene: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene.wanting(size=1).roll()
    name = listed(scene, tmp_path)[1].volume.name
    at_the_command_line(scene, tmp_path, monkeypatch, typed=typed.replace("NAME", name))

    given = {key: name if value == "NAME" else value for key, value in flags.items()}
    tasks.delete.body(Context(), name, **given)

    assert (len(listed(scene, tmp_path)) == 1) is deleted


@pytest.mark.parametrize(
    "flags", [{}, {"yes": True}, {"confirm": "NAME"}, {"yes": True, "confirm": "another"}]
)
def test_without_a_terminal_both_answers_must_be_given(
    flags: dict[str, object], scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.wanting(size=1).roll()
    name = listed(scene, tmp_path)[1].volume.name
    at_the_command_line(scene, tmp_path, monkeypatch, typed=None)
    given = {key: name if value == "NAME" else value for key, value in flags.items()}

    with pytest.raises(Exit) as told:
        tasks.delete.body(Context(), name, **given)

    assert told.value.code == 2
    assert len(listed(scene, tmp_path)) == 2


def at_the_command_line(
    scene: Scene, project: Path, monkeypatch: pytest.MonkeyPatch, *, typed: str | None
) -> None:
    """Stand in the project, with somebody who types, or with no terminal."""
    import io
    import sys

    from ovenbird.assembly import volumes
    from ovenbird.console import Console
    from ovenbird.state import site

    monkeypatch.chdir(project)
    monkeypatch.setattr(site, "open_site", lambda: scene.site)
    monkeypatch.setattr("ovenbird.assembly.project_folder", lambda _folder: project)
    monkeypatch.setattr(volumes, "engine_named", lambda *_, **__: scene.provider)
    monkeypatch.setattr(Console, "interactive", property(lambda _: typed is not None))
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed or ""))
