from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.engine import PrivateEngine, a_disk
from tests.project import until

from ovenbird import process
from ovenbird.provider import Provider, podman_engine
from ovenbird.provider.contract import Opened, ProviderContract
from ovenbird.provider.contract_day_two import DayTwoContract
from ovenbird.provider.contract_hosts import HostContract
from ovenbird.provider.memory import MemoryProvider
from ovenbird.provider.podman import PodmanProvider
from ovenbird.provider.registry import provider_named, provider_names
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.image import Artifact


class TestMemoryInAFile(HostContract, DayTwoContract, ProviderContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        return lambda site: MemoryProvider(folder=tmp_path, site=site)

    @pytest.fixture
    def artifact(self) -> Artifact:
        return Artifact(
            provider="memory",
            id="m-1",
            template="",
            parent="",
            token="",
            location="",
            size=0,
            baked_at=datetime(2026, 11, 22, tzinfo=UTC),
        )

    @pytest.fixture
    def end_by_itself(self, opened: Opened, site: str) -> Callable[[str], None]:
        def end(token: str) -> None:
            provider = opened(site)
            assert isinstance(provider, MemoryProvider)
            provider.exit(token)

        return end

    @pytest.fixture
    def full(self, opened: Opened, site: str) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def without_room() -> Iterator[None]:
            provider = opened(site)
            assert isinstance(provider, MemoryProvider)
            provider.make_room(1)
            yield
            provider.make_room(None)

        return without_room

    @pytest.fixture
    def change(self, opened: Opened, site: str) -> Callable[[str, str], None]:
        def by_hand(token: str, path: str) -> None:
            provider = opened(site)
            assert isinstance(provider, MemoryProvider)
            provider.write(token, path)

        return by_hand

    @pytest.fixture
    def a_job(self, opened: Opened, site: str) -> Callable[[int | None], tuple[str, ...]]:
        def ends_with(code: int | None) -> tuple[str, ...]:
            provider = opened(site)
            assert isinstance(provider, MemoryProvider)
            provider.end_jobs_with(code)
            return ("/any",)

        return ends_with

    @pytest.fixture
    def shown(self, opened: Opened, site: str) -> Callable[[str], str]:
        def show(token: str) -> str:
            provider = opened(site)
            assert isinstance(provider, MemoryProvider)
            known = provider.inhabitant(token)
            return f"{known.seen}{known.console}" if known else ""

        return show


class TestMemoryInOneProcess(TestMemoryInAFile):
    @pytest.fixture
    def opened(self) -> Opened:
        first = MemoryProvider()

        def open_again(site: str) -> MemoryProvider:
            return MemoryProvider(site=site, memory=first.memory)

        return open_again


class TestPodman(HostContract, DayTwoContract, ProviderContract):
    @pytest.fixture
    def opened(self, podman_folder: Path) -> Opened:
        return lambda site: PodmanProvider(folder=podman_folder, site=site)

    @pytest.fixture
    def artifact(self, small_artifact: Artifact) -> Artifact:
        return small_artifact

    @pytest.fixture
    def end_by_itself(self, podman_folder: Path) -> Callable[[str], None]:
        def end(token: str) -> None:
            pid = _podman(podman_folder, "inspect", "--format={{.State.Pid}}", token)
            os.kill(int(pid), signal.SIGKILL)
            count = "--format={{.RestartCount}}"
            until(lambda: int(_podman(podman_folder, "inspect", count, token)) > 0)

        return end

    @pytest.fixture
    def full(
        self, small_artifact: Artifact, provider: Provider
    ) -> Callable[[], AbstractContextManager[None]]:
        """Let podman keep its containers where there is no space, and leave none there."""

        @contextmanager
        def without_space() -> Iterator[None]:
            with a_disk(size="16m") as disk, pytest.MonkeyPatch.context() as own:
                engine = PrivateEngine(disk / "engine")
                with engine.used(images_of=Path(small_artifact.location).parent):
                    engine.fill_the_disk()
                    own.setitem(vars(vars(provider)["_podman"]), "env", engine.environment)
                    yield
                    assert engine.podman("ps", "--all", "--quiet") == ""

        return without_space

    @pytest.fixture
    def change(self, podman_folder: Path) -> Callable[[str, str], None]:
        def by_hand(token: str, path: str) -> None:
            _podman(podman_folder, "exec", token, "/bin/sh", "-c", f"echo changed > {path}")

        return by_hand

    @pytest.fixture
    def a_job(self) -> Callable[[int | None], tuple[str, ...]]:
        def ends_with(code: int | None) -> tuple[str, ...]:
            script = "sleep 1000" if code is None else f"cat /run/ovenbird/config.json; exit {code}"
            return ("/bin/sh", "-c", script)

        return ends_with

    @pytest.fixture
    def shown(self, podman_folder: Path) -> Callable[[str], str]:
        def show(token: str) -> str:
            inspected = _podman(podman_folder, "inspect", token)
            return inspected + _podman(podman_folder, "ps", "--all", "--format=json")

        return show


def test_a_provider_is_found_by_the_name_that_a_fleet_uses(tmp_path: Path) -> None:
    found = provider_named("memory", folder=tmp_path, site="here")

    assert isinstance(found, MemoryProvider)
    assert {"memory", "podman"} <= set(provider_names())


def test_an_unknown_provider_is_refused_with_those_that_are_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        provider_named("vmware", folder=tmp_path, site="here")

    assert "memory, podman" in refused.value.remedy


def _podman(folder: Path, *argv: str) -> str:
    env = podman_engine.environment(folder)
    return process.run(("podman", *argv), doing=f"Running podman {argv[0]}", env=env).stdout
