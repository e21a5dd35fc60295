"""Two booted instances of one image, and what a survey of each has found.

    pytest tests/images/test_hygiene.py tests/images/test_identity.py \
        tests/images/test_family_web.py \
        --first podman://TOKEN --second podman://TOKEN --family web --port 80

Ovenbird runs this while it proves an image. ``host`` is every test's instance, each of the two in
turn, and any check that testinfra knows works on it; ``survey`` is what one look inside it found.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import testinfra

SURVEY = Path(__file__).with_name("survey.py")
ORDER = ("first", "second")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ovenbird", "the image that is proven")
    group.addoption("--first", metavar="HOST", help="testinfra host of an instance: podman://TOKEN")
    group.addoption("--second", metavar="HOST", help="another instance of the same image")
    group.addoption("--family", default="", help="the family of the image")
    group.addoption("--port", type=int, default=None, help="the port of its launch contract")


def pytest_collection_modifyitems(config: pytest.Config) -> None:
    if not (config.getoption("first") and config.getoption("second")):
        raise pytest.UsageError(
            "These are proofs of an image, and there is none: invoke prove IMAGE, "
            "or name two instances with --first and --second."
        )


class Instances:
    """Both instances, surveyed at most once and at the same time."""

    def __init__(self, config: pytest.Config) -> None:
        self._hosts = {name: testinfra.get_host(config.getoption(name)) for name in ORDER}

    def host(self, name: str) -> Any:
        return self._hosts[name]

    def survey(self, name: str) -> dict[str, Any]:
        return self._surveys[name]

    @cached_property
    def _surveys(self) -> dict[str, dict[str, Any]]:
        with ThreadPoolExecutor() as both:
            return dict(zip(ORDER, both.map(self._survey, ORDER), strict=True))

    def _survey(self, name: str) -> dict[str, Any]:
        looked = self._hosts[name].run("/usr/bin/python3 -I -c %s", SURVEY.read_text())
        assert looked.rc == 0, f"The {name} instance cannot be surveyed: {looked.stderr}"
        found: dict[str, Any] = json.loads(looked.stdout)
        return found


@pytest.fixture(scope="session")
def instances(request: pytest.FixtureRequest) -> Instances:
    return Instances(request.config)


@pytest.fixture(scope="session", params=ORDER)
def which(request: pytest.FixtureRequest) -> str:
    """Return "first" or "second": a test that asks for it, or for `host`, runs for each."""
    return str(request.param)


@pytest.fixture(scope="session")
def host(instances: Instances, which: str) -> Any:
    return instances.host(which)


@pytest.fixture(scope="session")
def survey(instances: Instances, which: str) -> dict[str, Any]:
    return instances.survey(which)


@pytest.fixture(scope="session")
def first(instances: Instances) -> dict[str, Any]:
    """Return the survey of the first instance, to compare with `second`."""
    return instances.survey("first")


@pytest.fixture(scope="session")
def second(instances: Instances) -> dict[str, Any]:
    return instances.survey("second")


@pytest.fixture(scope="session")
def family(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("family"))


@pytest.fixture(scope="session")
def port(request: pytest.FixtureRequest) -> int | None:
    port: int | None = request.config.getoption("port")
    return port
