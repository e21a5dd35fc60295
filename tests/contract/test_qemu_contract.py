"""The contract on real virtual machines, with a tiny guest that boots in a few seconds."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.engine import a_disk
from tests.project import until
from tests.qemu import require_qemu, tiny

from ovenbird.provider.contract import Opened, ProviderContract
from ovenbird.provider.contract_day_two import DayTwoContract
from ovenbird.provider.contract_hosts import HostContract
from ovenbird.provider.qemu import QemuProvider
from ovenbird.provider.qemu_launch import ROOM
from ovenbird.provider.qemu_machine import Machine
from ovenbird.values.engine import QemuSettings
from ovenbird.values.image import Artifact

SMALL = QemuSettings(memory="128m")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A site's folder on a disk of its own, that a test may fill."""
    require_qemu()
    if os.geteuid() != 0:
        pytest.skip("a disk that may be filled has to be mounted, which needs root")
    with a_disk(size="1g") as at:
        yield at


@pytest.fixture(scope="module")
def small(folder: Path) -> Artifact:
    return tiny(folder)


class TestQemu(HostContract, DayTwoContract, ProviderContract):
    patience = 60.0

    @pytest.fixture
    def opened(self, folder: Path) -> Opened:
        return lambda site: QemuProvider(folder=folder, site=site, settings=SMALL)

    @pytest.fixture
    def artifact(self, small: Artifact) -> Artifact:
        return small

    @pytest.fixture
    def end_by_itself(self, folder: Path) -> Callable[[str], None]:
        def end(token: str) -> None:
            pid = _machine(folder, token).pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            until(lambda: _machine(folder, token).pid() is None)

        return end

    @pytest.fixture
    def full(self, folder: Path) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def filled() -> Iterator[None]:
            facts, ballast = os.statvfs(folder), folder / "ballast"
            with ballast.open("wb") as file:
                room = facts.f_bavail * facts.f_frsize
                os.posix_fallocate(file.fileno(), 0, room - (ROOM // 2 << 20))
            try:
                yield
            finally:
                ballast.unlink()

        return filled

    @pytest.fixture
    def change(self, folder: Path) -> Callable[[str, str], None]:
        def by_hand(token: str, path: str) -> None:
            written = _machine(folder, token).written()
            assert written is not None
            url = f"http://127.0.0.1:{written.port}/cgi-bin/by-hand?{path}"
            for _ in range(100):  # until it has booted
                try:
                    with urllib.request.urlopen(url, timeout=20) as answer:
                        assert answer.read() == b"done\n"
                        return
                except OSError:
                    time.sleep(0.2)
            raise AssertionError(_machine(folder, token).tail(1000))

        return by_hand

    @pytest.fixture
    def a_job(self) -> Callable[[int | None], tuple[str, ...]]:
        return lambda code: ("/bin/go-on" if code is None else f"/bin/end-{code}",)

    @pytest.fixture
    def shown(self, folder: Path) -> Callable[[str], str]:
        def show(token: str) -> str:
            machine = _machine(folder, token)
            argv = Path(f"/proc/{machine.pid()}/cmdline").read_text()
            environment = Path(f"/proc/{machine.pid()}/environ").read_text()
            assert machine.folder.stat().st_mode & 0o077 == 0
            return argv + environment + (machine.folder / "order.json").read_text()

        return show


def _machine(folder: Path, token: str) -> Machine:
    return Machine(folder / "qemu", token)
