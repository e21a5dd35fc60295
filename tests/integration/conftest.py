"""One baked project for the whole session, and fleets in it that live for one test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.baking import containers, images, open_ledgers, secrets
from tests.live import LiveFleet
from tests.postgres import PostgresServer
from tests.project import SMOKE, TITLE, Project

from ovenbird.state.database import Database

NEVER_ANSWERS = """
# An image for tests: its port accepts, and nothing ever answers.
[Service]
Type=simple
PIDFile=
ExecStartPre=
ExecStart=
ExecStart=/usr/bin/python3 -c \
    'import socket, time; door = socket.create_server(("", 80)); time.sleep(1e6)'
"""
STOP = "stop: {signal: SIGRTMIN+3, timeout: 20}\n"
JOBS = """      jobs:
        migrate: [/bin/sh, -c, "echo migrating; sleep 4; echo migrated"]
        break: [/bin/sh, -c, "echo this cannot be migrated; exit 3"]
"""
PROOF_OF_WEB = "tests/images/test_family_web.py"


BAKED = {
    "test_after_a_rollback.py",
    "test_bad_images.py",
    "test_bake.py",
    "test_bake_cut_short.py",
    "test_bake_lent.py",
    "test_json.py",
}
"""Files that share one baked project; the other live ones share another, beside it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a baked project in one process, so that two are baked at the most."""
    for item in items:
        if "oven_project" in getattr(item, "fixturenames", ()):
            group = "baked" if item.path.name in BAKED else "rolled"
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def oven_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy of this project with ``web/1`` baked and stable: about a minute, once a session.

    With OVENBIRD_TEST_OVEN=FOLDER it is kept there, and the next session bakes nothing again.
    """
    kept = os.environ.get("OVENBIRD_TEST_OVEN")
    home = Path(kept) if kept else tmp_path_factory.mktemp("oven")
    project = Project.copied(home / "project", site=home / "site")
    try:
        project.bake(changes={})
        project.run("image.promote", "web/1", "stable")
        yield project
    finally:
        if not kept:
            project.close()


@pytest.fixture(scope="session")
def second_image(oven_project: Project) -> str:
    """Another good image of web: the same but for its title, and with two jobs."""
    return oven_project.bake(changes={TITLE: "web_title: The second\n", STOP: STOP + JOBS})


@pytest.fixture(scope="session")
def ill_image(oven_project: Project) -> str:
    """An image that answers 500, and was proven by a smoke check that wants just that."""
    return oven_project.bake(
        changes={
            TITLE: "web_title: The ill one\n      web_healthz_status: 500\n",
            SMOKE: "smoke: {http: /healthz, status: 500}",
            f"tests: [{PROOF_OF_WEB}]": "tests: []",
        },
        without=PROOF_OF_WEB,
    )


@pytest.fixture(scope="session")
def silent_image(oven_project: Project) -> str:
    """An image whose port accepts and never answers, proven by its engine alone."""
    unit = oven_project.folder / "roles/web/templates/nginx-ends-gracefully.conf"
    before = unit.read_text()
    unit.write_text(before + NEVER_ANSWERS)
    try:
        return oven_project.bake(
            changes={
                SMOKE: "smoke: {engine: true}",
                f"tests: [{PROOF_OF_WEB}]": "tests: []",
            },
            without=PROOF_OF_WEB,
        )
    finally:
        unit.write_text(before)


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count(os.getpid() * 100)


@pytest.fixture
def new_fleet(oven_project: Project, _numbers: Iterator[int]) -> Iterator[Callable[..., LiveFleet]]:
    """Make fleets that nobody has rolled yet: ``new_fleet(size=2, env="staging", name="web")``."""
    made: list[LiveFleet] = []

    def make(*, size: int = 3, env: str = "dev", name: str = "") -> LiveFleet:
        fleet = LiveFleet(oven_project, name or f"web-{next(_numbers)}", env=env)
        fleet.declare(size=size)
        made.append(fleet)
        return fleet

    yield make
    for fleet in made:
        fleet.retire()


@pytest.fixture
def fleet(new_fleet: Callable[..., LiveFleet]) -> LiveFleet:
    """A fleet of three that nobody has rolled yet."""
    return new_fleet()


@pytest.fixture
def leaves_nothing(oven_project: Project) -> Iterator[None]:
    """Compare what is at the engine and in the site before and after."""
    before = [see(oven_project) for see in (containers, images, secrets, open_ledgers)]
    yield
    after = [see(oven_project) for see in (containers, images, secrets, open_ledgers)]
    assert [now - then for then, now in zip(before, after, strict=True)] == [set()] * 4


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A real server for one file of tests."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A database of its own for each test."""
    return server.fresh_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database.open(url)
    yield database
    database.close()
