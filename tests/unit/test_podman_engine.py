from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ovenbird.provider import podman_engine
from ovenbird.provider.podman_engine import Host, Info, environment, judged, settings_for

GIB = 2**30


def a_host(
    *,
    cgroup_v2: bool = True,
    has_runc: bool = False,
    has_crun: bool = True,
    has_systemd: bool = True,
    may_raise_limits: bool = True,
    settings_of_others: bool = False,
) -> Host:
    return Host(
        cgroup_v2=cgroup_v2,
        has_runc=has_runc,
        has_crun=has_crun,
        has_systemd=has_systemd,
        may_raise_limits=may_raise_limits,
        settings_of_others=settings_of_others,
    )


def an_info(*, rootless: bool = False, controllers: str = "memory pids", version: str) -> Info:
    return Info.model_validate(
        {
            "host": {
                "cgroupControllers": controllers.split(),
                "security": {"rootless": rootless},
            },
            "store": {"graphRoot": "/var/lib/containers/storage"},
            "version": {"Version": version},
        }
    )


def test_an_ordinary_machine_needs_no_settings() -> None:
    assert settings_for(a_host()) == ""


def test_a_machine_with_old_cgroups_and_few_rights_gets_all_of_them() -> None:
    host = a_host(
        cgroup_v2=False, has_runc=True, has_crun=False, has_systemd=False, may_raise_limits=False
    )

    assert tomllib.loads(settings_for(host)) == {
        "containers": {"default_ulimits": ["nofile=4096:4096", "nproc=4096:4096"]},
        "engine": {"runtime": "runc", "cgroup_manager": "cgroupfs", "events_logger": "file"},
    }


def test_settings_are_written_once_and_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Host, "here", lambda: a_host(has_systemd=False))

    first = environment(tmp_path / "site")
    written = (tmp_path / "site" / "containers.conf").stat().st_mtime_ns
    again = environment(tmp_path / "site")

    assert first == again == {"CONTAINERS_CONF": str(tmp_path / "site" / "containers.conf")}
    assert (tmp_path / "site" / "containers.conf").stat().st_mtime_ns == written
    assert [p.name for p in (tmp_path / "site").iterdir()] == ["containers.conf"]


def test_an_administrators_own_settings_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Host, "here", lambda: a_host(cgroup_v2=False, settings_of_others=True))

    assert environment(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_good_machine_has_no_remedy_in_sight() -> None:
    facts = judged(an_info(version="4.3.1"), a_host(), free=50 * GIB)

    assert [f.name for f in facts if not f.ok or f.remedy] == []


@pytest.mark.parametrize(
    ("info", "host", "free", "name", "detail"),
    [
        (an_info(version="3.4.4"), a_host(), 50, "podman", "too old"),
        (an_info(version="4.3.1"), a_host(cgroup_v2=False), 50, "container runtime", "crun needs"),
        (
            an_info(version="4.3.1", rootless=True),
            a_host(cgroup_v2=False, has_runc=True),
            50,
            "podman mode",
            "rootless on cgroup v1",
        ),
        (
            an_info(version="5.0.0", rootless=True, controllers="pids"),
            a_host(),
            50,
            "podman mode",
            "not delegated",
        ),
        (an_info(version="5.0.0"), a_host(), 1, "podman disk", "1.0 GiB"),
    ],
)
def test_what_is_missing_is_told_with_a_remedy(
    info: Info, host: Host, free: int, name: str, detail: str
) -> None:
    (fact,) = [f for f in judged(info, host, free=free * GIB) if not f.ok]

    assert fact.name == name
    assert detail in fact.detail
    assert fact.remedy


def test_a_machine_without_podman_says_so_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    assert [(f.name, f.ok) for f in podman_engine.facts()] == [("podman", False)]
