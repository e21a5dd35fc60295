"""Unit tests start no process and open no connection, and every run of them is the same run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

from ovenbird.state.database import Database, sqlite_url

settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, database=None, max_examples=2000)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--hypothesis-profile", default=None):
        settings.load_profile("steady")


def _forbid(what: str) -> Any:
    def forbidden(*args: object, **kwargs: object) -> NoReturn:
        pytest.fail(
            f"A unit test {what}. Hand it a value or a fake, or move it to tests/integration.",
            pytrace=True,
        )

    return forbidden


@pytest.fixture(autouse=True)
def _no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make processes and connections fail the test that asks for them.

    `Popen.__init__` and not `Popen`: who imported the class by name meets the wall as well, and
    pytest-subprocess can still put its own class in the place of it.
    """
    process, connection = _forbid("started a process"), _forbid("opened a connection")
    monkeypatch.setattr(subprocess.Popen, "__init__", process)
    for name in ("fork", "posix_spawn", "posix_spawnp", "system"):
        monkeypatch.setattr(os, name, process)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, connection)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a site could be. tests/contract has it on a server instead, and runs the same tests."""
    return sqlite_url(tmp_path / "ovenbird.db")


@pytest.fixture(scope="session")
def tables_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables and nothing in them: to be copied, since to make it takes long."""
    file = tmp_path_factory.mktemp("tables") / "ovenbird.db"
    Database.open(sqlite_url(file)).close()
    return file


@pytest.fixture
def database(tables_alone: Path, tmp_path: Path, url: str) -> Iterator[Database]:
    """A site's database in which nothing has been written yet."""
    shutil.copyfile(tables_alone, tmp_path / "ovenbird.db")
    database = Database.open(url)
    yield database
    database.close()
