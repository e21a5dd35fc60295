from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.lxd import OneLxd, lxd
from tests.project import until

from ovenbird.provider.contract import Opened, ProviderContract
from ovenbird.provider.contract_day_two import DayTwoContract
from ovenbird.provider.contract_hosts import HostContract
from ovenbird.provider.lxd import LxdProvider
from ovenbird.values.image import Artifact

__all__ = ["lxd"]


pytestmark = pytest.mark.xdist_group("lxd")


@pytest.fixture(scope="module")
def small(lxd: OneLxd) -> Artifact:
    return lxd.import_image()


class TestLxd(HostContract, DayTwoContract, ProviderContract):
    @pytest.fixture
    def opened(self, lxd: OneLxd, tmp_path: Path) -> Opened:
        return lambda site: LxdProvider(folder=tmp_path, site=site, settings=lxd.local)

    @pytest.fixture
    def artifact(self, small: Artifact) -> Artifact:
        return small

    @pytest.fixture
    def end_by_itself(self, lxd: OneLxd) -> Callable[[str], None]:
        def end(token: str) -> None:
            lxd.end(token)
            until(lambda: lxd.power_of(token) == "STOPPED")

        return end

    @pytest.fixture
    def full(self, lxd: OneLxd) -> Callable[[], AbstractContextManager[None]]:
        return lxd.full

    @pytest.fixture
    def change(self, lxd: OneLxd) -> Callable[[str, str], None]:
        def by_hand(token: str, path: str) -> None:
            lxd.run("lxc", "exec", token, "--", "/bin/sh", "-c", f"echo changed > {path}")

        return by_hand

    @pytest.fixture
    def a_job(self) -> Callable[[int | None], tuple[str, ...]]:
        return lambda code: ("/bin/go-on" if code is None else f"/bin/end-{code}",)

    @pytest.fixture
    def restart(self, lxd: OneLxd) -> Callable[[], None]:
        def crash_and_start() -> None:
            lxd.kill()
            lxd.start()

        return crash_and_start

    @pytest.fixture
    def shown(self, lxd: OneLxd) -> Callable[[str], str]:
        def show(token: str) -> str:
            return "".join(
                lxd.run("lxc", "query", path)
                for path in (f"/1.0/instances/{token}?recursion=1", "/1.0/instances?recursion=2")
            ) + lxd.run("lxc", "info", "--show-log", token)

        return show
