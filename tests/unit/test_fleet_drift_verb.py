"""``fleet.drift``: what it prints, what it ends with, and what it leaves alone."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from invoke import Exit
from tests.driving import Scene

from ovenbird.provider.memory import MemoryProvider
from ovenbird.state.database import Database
from ovenbird.tasks import drift as task
from ovenbird.values.errors import EngineUnreachable
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import ChangeKind, Seen

X = "/etc/x"
FAMILIES = """\
families:
  web:
    from: {oci: docker.io/library/debian}
    playbook: playbooks/web.yml
    launch:
      writable: [/var/log/nginx]
"""


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    return scene


@pytest.fixture
def invoked(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """The verb, in a project with one family, on the fleet of the scene."""
    project = tmp_path / "here"
    (project / "packer").mkdir(parents=True)
    (project / "packer" / "images.yml").write_text(FAMILIES)
    monkeypatch.chdir(project)
    monkeypatch.setattr("ovenbird.tasks.fleet.settings_of", lambda *_: [scene.driver()])
    heard = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield scene
    for number, handler in heard.items():
        signal.signal(number, handler)


def code_of(**flags: object) -> int:
    try:
        task.drift.body(None, **flags)
    except Exit as end:
        return int(end.code)
    return 0


def test_a_check_ends_with_6_for_drift_and_0_after_the_repair(invoked: Scene) -> None:
    assert code_of(check=True) == 0
    token = invoked.tokens("web/1")[0]
    invoked.provider.write(token, X)

    assert code_of(check=True) == 6
    assert code_of() == 0, "without --check it only tells"
    assert code_of(check=True, repair=True, yes=True) == 0
    assert token not in invoked.tokens("web/1")


def test_a_check_ends_with_4_where_it_is_not_known(invoked: Scene) -> None:
    invoked.provider.fail_next("changes", EngineUnreachable("It is busy.", remedy="Wait."))

    assert code_of(check=True) == 4


def test_one_fleet_that_cannot_be_looked_at_hides_no_drift_of_another(
    invoked: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(MemoryProvider):
        def instances(self, fleet: FleetKey) -> Collection[Seen]:
            raise EngineUnreachable("It is away.", remedy="Wait.")

    away = invoked.beside("api").driver(provider=Silent(site=invoked.site.id))
    monkeypatch.setattr("ovenbird.tasks.fleet.settings_of", lambda *_: [away, invoked.driver()])
    assert code_of(check=True) == 3
    invoked.provider.write(invoked.tokens("web/1")[0], X)
    assert code_of(check=True) == 6


def test_what_is_undeclared_is_told_with_the_line_to_add_and_where(
    invoked: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    for token in invoked.tokens("web/1"):
        invoked.provider.write(token, "/var/cache/app")
    before = invoked.tokens("web/1")

    assert code_of(check=True, repair=True, yes=True) == 6
    said = capsys.readouterr().out
    assert said.count("undeclared: ") == 1
    assert "/var/cache/app changed in 3 of 3 instances" in said
    assert "writable: [/var/log/nginx, /var/cache/app]" in said
    assert "packer/images.yml line 6" in said
    assert invoked.tokens("web/1") == before
    families = FAMILIES.replace("[/var/log/nginx]", "[/var/log/nginx, /var/cache/app]")
    Path("packer/images.yml").write_text(families)
    assert code_of(check=True) == 0, "it holds at once"


def test_many_paths_are_folded_to_the_first_ten(
    invoked: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    token = invoked.tokens("web/1")[0]
    for n in range(23):
        invoked.provider.write(token, f"/etc/x{n:02}", ChangeKind.ADDED)
    code_of()
    said = capsys.readouterr().out

    assert "/etc/x09" in said
    assert "/etc/x10" not in said
    assert "and 13 more" in said


def test_a_plan_replaces_nothing(invoked: Scene) -> None:
    token = invoked.tokens("web/1")[0]
    invoked.provider.write(token, X)

    assert code_of(repair=True, plan=True) == 0
    assert token in invoked.tokens("web/1")


def test_an_environment_without_a_fleet_says_so(
    invoked: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ovenbird.tasks.fleet.settings_of", lambda *_: [])

    assert code_of(check=True) == 0
    assert "dev has no fleets" in capsys.readouterr().err


def test_quarantine_without_a_repair_is_refused(invoked: Scene) -> None:
    assert code_of(quarantine=True) == 2
