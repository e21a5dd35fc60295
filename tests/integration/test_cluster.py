"""A cluster on one machine comes up, is left as it is, and goes without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import a_cluster, require_lxd, traces

from ovenbird import cluster as clusters
from ovenbird.clock import SystemClock
from ovenbird.cluster import member
from ovenbird.console import Console
from ovenbird.values.errors import Blocked, ConfigurationError

pytestmark = pytest.mark.xdist_group("lxd")

PATIENCE = 20.0
"""Seconds until the kernel has let go of a namespace."""

UP = """
import sys
from pathlib import Path
from ovenbird import cluster
from ovenbird.clock import SystemClock
from ovenbird.console import Console
cluster.up(Path(sys.argv[1]), members=2, console=Console(), clock=SystemClock())
"""


@pytest.fixture
def before() -> Iterator[dict[str, set[str]]]:
    """What there was; afterwards nothing more may be there."""
    require_lxd()
    there = traces()
    yield there
    ends = time.monotonic() + PATIENCE
    while (left := _more(there)) and time.monotonic() < ends:
        time.sleep(0.2)
    assert not left


def _more(before: dict[str, set[str]]) -> dict[str, set[str]]:
    now = traces()
    return {what: more for what in now if (more := now[what] - before[what])}


def test_three_members_come_up_and_leave_no_trace(before: dict[str, set[str]]) -> None:
    with a_cluster() as made:
        listed = member.lxc(made.members[1], "cluster", "list", "--format", "csv")
        again = clusters.up(made.folder, members=3, console=Console(), clock=SystemClock())
        with pytest.raises(Blocked, match="A cluster is up in"):
            clusters.up(Path("/tmp/obc-no"), members=3, console=Console(), clock=SystemClock())
        more = _more(before)

        assert [line.split(",")[0] for line in listed.splitlines() if "ONLINE" in line] == [
            "n1",
            "n2",
            "n3",
        ]
        assert again == made
        assert len(made.pin) == 64
        assert f'pin: "{made.pin}"' in made.described()
        assert {"processes", "namespaces", "loop devices"} <= more.keys()


def test_a_daemon_that_was_killed_comes_back(before: dict[str, set[str]]) -> None:
    with a_cluster(members=2) as made:
        first = made.members[0]
        member.kill_daemon(first)
        member.start(first, clock=SystemClock())

        assert "n2" in member.lxc(first, "cluster", "list", "--format", "csv")
    assert before


def test_what_a_killed_up_left_is_taken_down(before: dict[str, set[str]]) -> None:
    with tempfile.TemporaryDirectory(prefix="obc-", dir="/tmp") as made:
        Path(made).chmod(0o711)
        folder = Path(made) / "c"
        first = subprocess.Popen([sys.executable, "-c", UP, str(folder)], stderr=subprocess.DEVNULL)
        while not (folder / "n2").exists():
            assert first.poll() is None
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert _more(before)["processes"]

        clusters.down(folder, console=Console())

        assert not folder.exists()


def test_a_folder_that_instances_cannot_reach_is_refused(tmp_path: Path) -> None:
    require_lxd()
    with pytest.raises(ConfigurationError, match="cannot be entered") as refused:
        clusters.up(tmp_path / "c", members=1, console=Console(), clock=SystemClock())

    assert refused.value.exit_code == 2
    assert not (tmp_path / "c").exists()


def test_a_cluster_of_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="0 members") as refused:
        clusters.up(Path("/tmp/obc-no"), members=0, console=Console(), clock=SystemClock())

    assert refused.value.exit_code == 2
