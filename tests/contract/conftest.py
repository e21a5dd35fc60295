"""What the contract suites need of the world: a small image for podman, a PostgreSQL server."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import pytest
from tests.postgres import PostgresServer

from ovenbird import process
from ovenbird.provider import podman_engine
from ovenbird.provider.podman import PodmanProvider
from ovenbird.state.database import Database
from ovenbird.values.image import Artifact

PROGRAMS = ("/bin/sh", "/bin/cat", "/bin/sleep", "/usr/bin/stat")
INIT = """#!/bin/sh
# 37 is SIGRTMIN+3, by which systemd is asked to halt.
trap 'echo asked to stop; sleep 0.3; exit 0' 37
echo "started as $*"
stat -c '%a %n' /run/ovenbird/config.json /run/ovenbird/secrets/token
cat /run/ovenbird/config.json
echo ready
sleep 1000 & wait
"""
SCRIPTS = {"/sbin/init": INIT}


def a_small_image(
    programs: Sequence[str] = PROGRAMS, scripts: Mapping[str, str] = MappingProxyType(SCRIPTS)
) -> bytes:
    """Make a tar of this host's shell, a few programs and their libraries: 3 MB, nothing fetched.

    Any Debian or Ubuntu has them, so the suite needs no package and no registry.
    """
    holder = io.BytesIO()
    with tarfile.open(fileobj=holder, mode="w") as tar:
        for folder in ("run", "proc", "sys", "dev", "tmp", "etc", "var", "var/lib"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        libraries: set[str] = set()
        for program in programs:
            said = process.run(("ldd", program), doing="Listing libraries").stdout
            libraries |= set(re.findall(r"/[^ )]+", said))
        for path in (*programs, *sorted(libraries)):
            _add(tar, path, Path(path).read_bytes())
        for path, text in scripts.items():
            _add(tar, path, text.encode())
    return holder.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.size, entry.mode = len(content), 0o755
    tar.addfile(entry, io.BytesIO(content))


@pytest.fixture(scope="session")
def podman_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests' podman keeps its settings; skips where there is no usable podman."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    wrong = [fact for fact in podman_engine.facts() if not fact.ok]
    if wrong:
        pytest.skip(f"podman cannot run instances here: {wrong[0].detail}")
    return tmp_path_factory.mktemp("podman")


@pytest.fixture(scope="session")
def small_artifact(podman_folder: Path) -> Iterator[Artifact]:
    """The small image in podman's store, removed when the session ends."""
    env = podman_engine.environment(podman_folder)
    name = f"localhost/ovenbird-contract-{uuid4().hex[:8]}"
    imported = process.run(
        # The message makes the id unique: two sessions at once must not share an image.
        ("podman", "import", "--quiet", f"--message={name}", "-", name),
        doing="Importing the small image",
        env=env,
        stdin=a_small_image(),
    )
    try:
        yield Artifact(
            provider="podman",
            id=imported.stdout.strip(),
            template="",
            parent="",
            token="",
            location=PodmanProvider(folder=podman_folder, site="contract").locate(),
            size=0,
            baked_at=datetime(2026, 11, 22, tzinfo=UTC),
        )
    finally:
        process.run(("podman", "rmi", name), doing="Removing the small image", env=env)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A server for all tests that only use it, with a database ``template`` of the last schema."""
    with PostgresServer() as server:
        server.sql("CREATE DATABASE template")
        Database.open(server.url("template")).close()
        yield server


@pytest.fixture
def url(postgresql: PostgresServer) -> str:
    """An empty database on a server: where a site could be."""
    return postgresql.fresh_database()


@pytest.fixture
def database(postgresql: PostgresServer) -> Iterator[Database]:
    """A site's database on a server, in which nothing has been written yet."""
    database = Database.open(postgresql.fresh_database("template"))
    yield database
    database.close()
