"""Volumes, order, kinds and jobs become values; the faults of each are in tests/broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovenbird import config
from ovenbird.values.fleet import Fleet, JobSpec, Kind, OrderHook, VolumeSpec
from ovenbird.values.limits import Bounds, Limits

ROOT = Path(__file__).parents[2]
FAMILY = """families:
  web:
    from: {oci: debian:12}
    sources: ["deb http://deb.debian.org/debian bookworm main"]
    playbook: playbooks/base.yml
    launch: {port: 80}
"""
DATA = "volumes: [{name: data, path: /var/lib/app/}]"


def a_fleet(folder: Path, *written: str) -> Fleet:
    """The fleet dev/web that has these lines."""
    lines = "".join(f"    {each}\n" for each in written)
    for name, text in (
        ("packer/images.yml", FAMILY),
        ("inventories/dev/fleets.yml", f"fleets:\n  web:\n    image: web/2\n{lines}"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return config.load_fleets(folder, "dev")["web"]


def test_a_fleet_is_a_service_that_keeps_nothing(tmp_path: Path) -> None:
    fleet = a_fleet(tmp_path, "size: 2")

    assert (fleet.kind, fleet.volumes, fleet.order) == (Kind.SERVICE, (), None)
    assert (fleet.job, fleet.before_first_wave) == (None, None)
    assert fleet.limits == Limits(max_surge=1, max_unavailable=0)


def test_with_volumes_the_old_one_is_ended_first(tmp_path: Path) -> None:
    fleet = a_fleet(tmp_path, "size: 3", DATA)

    assert fleet.volumes == (VolumeSpec(name="data", path="/var/lib/app"),)
    assert fleet.is_stateful
    assert fleet.limits.of(3) == Bounds(size=3, surge=0, unavailable=1)


@pytest.mark.parametrize(
    ("written", "limits"),
    [
        ("{max_unavailable: 2}", Limits(max_surge=0, max_unavailable=2)),
        ("{max_surge: 0}", Limits(max_surge=0, max_unavailable=1)),
        ('{max_surge: "0%", max_unavailable: 50%}', Limits(max_surge="0%", max_unavailable="50%")),
    ],
)
def test_what_limits_do_not_say_suits_the_volumes(
    written: str, limits: Limits, tmp_path: Path
) -> None:
    assert a_fleet(tmp_path, "size: 4", DATA, f"limits: {written}").limits == limits


@pytest.mark.parametrize(
    ("written", "hook"),
    [
        ("[who-leads, --now]", OrderHook(argv=("who-leads", "--now"))),
        ("{command: [who-leads], timeout: 5s}", OrderHook(argv=("who-leads",), timeout=5.0)),
    ],
)
def test_an_order_is_a_program(written: str, hook: OrderHook, tmp_path: Path) -> None:
    assert a_fleet(tmp_path, "size: 1", DATA, f"order: {written}").order == hook


@pytest.mark.parametrize(
    "path", ["/data", "/var/lib/app", "/srv/app", "/opt/app/data", "/home/app", "/var/log/app"]
)
def test_a_volume_may_lie_where_an_image_puts_nothing_that_it_needs(
    path: str, tmp_path: Path
) -> None:
    volumes = f"volumes: [{{name: data, path: {path}}}]"

    assert a_fleet(tmp_path, "size: 1", volumes).volumes[0].path == path


def test_a_job_is_a_name_and_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ovenbird.config import fleets

    monkeypatch.setattr(fleets, "job_faults", lambda *_, **__: iter(()))

    jobs = a_fleet(tmp_path, "kind: job", "job: {job: report, timeout: 1h}")
    service = a_fleet(tmp_path, "size: 1", "before_first_wave: migrate")

    assert (jobs.kind, jobs.size) == (Kind.JOB, 0)
    assert jobs.job == JobSpec(name="report", timeout=3600.0)
    assert service.before_first_wave == JobSpec(name="migrate", timeout=600.0)


def test_one_function_alone_deletes_volumes() -> None:
    """No verb, no upkeep and no clean-up: whoever writes a second one has to change this test."""
    source = ROOT / "src" / "ovenbird"
    words = ('"volume", "rm"', "volume rm", "volume prune", "system prune", '"rm", "-v"')
    places = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if any(word in path.read_text() for word in words)
    }
    callers = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if ".delete_volume(" in path.read_text()
    }

    assert places == {"provider/podman_volumes.py"}
    ports = {p for p in callers if p.startswith("provider/") or p == "rollout/bounded.py"}
    assert callers - ports == {"assembly/volumes.py"}
