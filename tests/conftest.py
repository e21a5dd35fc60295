"""What a whole run needs of the machine, lent for its time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH = 1024
"""Every systemd inside an instance takes about a dozen, and the kernel's 128 are for all of a
user: ten instances at once would fail with messages that say something else."""

_before = pytest.StashKey[int]()


def pytest_sessionstart(session: pytest.Session) -> None:
    before = int(INSTANCES.read_text())
    may = os.access(INSTANCES, os.W_OK) and not hasattr(session.config, "workerinput")
    if may and before < ENOUGH:
        session.config.stash[_before] = before
        INSTANCES.write_text(str(ENOUGH))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if before := session.config.stash.get(_before, 0):
        INSTANCES.write_text(str(before))


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short path, since a socket's may have no more than a hundred bytes."""
    return tmp_path_factory.mktemp("t")
