"""What an image keeps of its apt sources, what a bake is lent in their place, and their state."""

from __future__ import annotations

import urllib.request
from email.message import Message
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError

import pytest

from ovenbird import process
from ovenbird.bake.lend import lend_to
from ovenbird.packages.index import moved, package_state
from ovenbird.packages.mirrors import mirrors_of_this_machine
from ovenbird.packages.sources import Source, apt_options, lend
from ovenbird.process import Finished
from ovenbird.values.errors import Blocked
from ovenbird.values.family import BakeEnvironment

DEBIAN = "deb http://deb.debian.org/debian bookworm main"
SECURITY = "deb http://deb.debian.org/debian-security bookworm-security main"
SIGNED = "deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] https://example.org/apt stable main"
ALONE = BakeEnvironment(mirror="")


@pytest.mark.parametrize("line", [DEBIAN, SECURITY, SIGNED, f"{DEBIAN} contrib non-free"])
def test_a_source_is_written_as_it_was_read(line: str) -> None:
    assert str(Source.parse(line)) == line


def test_without_a_mirror_a_bake_fetches_from_what_the_image_keeps() -> None:
    assert [str(s) for s in lend([DEBIAN, SIGNED], ALONE)] == [DEBIAN, SIGNED]


def test_a_named_mirror_keeps_each_archives_path() -> None:
    lent = lend([DEBIAN, SECURITY], BakeEnvironment(mirror="http://mirror:8080/"))

    assert [source.uri for source in lent] == [
        "http://mirror:8080/debian",
        "http://mirror:8080/debian-security",
    ]


@pytest.fixture
def _of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for apt: this machine fetches from a mirror of its own."""
    indexes = "bookworm http://here/debian/\nbookworm-security http://here/debian-security/\n"
    options = (
        'APT::Architecture "amd64";\nAcquire::Retries "3";\nAcquire::Check-Valid-Until "0";\n'
        'Acquire::http::Pipeline-Depth "0";\nAcquire::Languages "de";\n'
    )

    def answer(argv: list[str], *, doing: str) -> Finished:
        said = options if argv[0] == "apt-config" else indexes
        return Finished(code=0, stdout=said, stderr="")

    monkeypatch.setattr(process, "run", answer)


@pytest.mark.usefixtures("_of_this_machine")
def test_the_mirror_of_this_machine_stands_in_for_the_same_archive() -> None:
    lent = lend([DEBIAN, SECURITY], BakeEnvironment(mirror="host"))

    assert [s.uri for s in lent] == ["http://here/debian/", "http://here/debian-security/"]


@pytest.mark.usefixtures("_of_this_machine")
def test_somebody_elses_archive_of_the_same_suite_keeps_its_own_address() -> None:
    line = "deb https://packages.example.org/nginx bookworm main"

    assert [str(s) for s in lend([line], BakeEnvironment(mirror="host"))] == [line]


@pytest.mark.usefixtures("_of_this_machine")
def test_a_bake_is_lent_the_options_that_reach_this_machines_packages() -> None:
    assert apt_options(BakeEnvironment(mirror="host", proxy="http://proxy:3142")) == (
        'Acquire::Retries "3";',
        'Acquire::Check-Valid-Until "0";',
        'Acquire::http::Pipeline-Depth "0";',
        'Acquire::http::Proxy "http://proxy:3142";',
        'Acquire::https::Proxy "http://proxy:3142";',
    )


def test_without_mirror_and_proxy_nothing_is_asked_and_nothing_lent() -> None:
    assert apt_options(ALONE) == ()


def lent_folder(tmp_path: Path, environment: BakeEnvironment = ALONE) -> Path:
    folder = tmp_path / "lent"
    lend_to(
        folder,
        sources=[Source.parse(DEBIAN)],
        options=['Acquire::Retries "3";'],
        environment=environment,
        secrets=[("registry-token", b"hunter2")],
    )
    return folder


def test_what_is_lent_is_readable_to_its_owner_alone(tmp_path: Path) -> None:
    folder = lent_folder(tmp_path)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "secrets" / "registry-token").stat().st_mode & 0o777 == 0o400
    assert (folder / "secrets" / "registry-token").read_bytes() == b"hunter2"


def test_apt_in_the_build_instance_reads_the_lent_sources_and_no_others(tmp_path: Path) -> None:
    folder = lent_folder(tmp_path)

    assert (folder / "sources.list").read_text() == f"{DEBIAN}\n"
    apt = (folder / "apt.conf").read_text()
    assert 'Dir::Etc::sourcelist "/run/ovenbird-bake/sources.list";' in apt
    assert 'Dir::Etc::sourceparts "-";' in apt
    assert "APT_CONFIG=/run/ovenbird-bake/apt.conf" in (folder / "environment").read_text()


def test_a_proxy_is_said_to_the_programs_of_a_bake(tmp_path: Path) -> None:
    environment = BakeEnvironment(mirror="", proxy="http://me:hunter2@proxy:3142")

    said = (lent_folder(tmp_path, environment) / "environment").read_text()

    assert "http_proxy=http://me:hunter2@proxy:3142\n" in said
    assert "hunter2" not in repr(environment)


class Mirror:
    """An archive whose indexes are what a test says, asked without a connection."""

    def __init__(self) -> None:
        self.indexes = {"bookworm": b"one", "bookworm-security": b"two"}
        self.asked: list[str] = []

    def open(self, url: str, *, timeout: float) -> BytesIO:
        self.asked.append(url)
        index = self.indexes.get(url.split("/")[5])
        if index is None:
            raise HTTPError(url, 404, "Not Found", Message(), None)
        return BytesIO(index)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Mirror:
    mirror = Mirror()
    monkeypatch.setattr(urllib.request, "build_opener", lambda *_: mirror)
    return mirror


def state_of(*lines: str) -> str:
    return package_state([Source.parse(line) for line in lines], ALONE)


def test_the_state_of_packages_is_read_from_the_signed_indexes(mirror: Mirror) -> None:
    assert len(state_of(DEBIAN, SECURITY)) == 64
    assert mirror.asked == [
        "http://deb.debian.org/debian/dists/bookworm/InRelease",
        "http://deb.debian.org/debian-security/dists/bookworm-security/InRelease",
    ]


def test_the_state_is_the_same_until_an_index_moves(mirror: Mirror) -> None:
    before = state_of(DEBIAN, SECURITY)
    assert state_of(SECURITY, DEBIAN, DEBIAN) == before
    mirror.indexes["bookworm-security"] = b"three"

    assert state_of(DEBIAN, SECURITY) != before


def test_the_same_indexes_from_another_mirror_are_the_same_state(mirror: Mirror) -> None:
    security = "deb http://a-mirror/debian-security/ bookworm-security main"
    debian = "deb http://mirror/debian/ bookworm main"

    assert state_of(security, debian) == state_of(DEBIAN, SECURITY)


def test_an_image_without_sources_has_a_state_too(mirror: Mirror) -> None:
    assert len(state_of()) == 64
    assert mirror.asked == []


def test_a_mirror_that_does_not_answer_is_blocked_and_its_address_not_told(
    mirror: Mirror,
) -> None:
    mirror.indexes.clear()

    with pytest.raises(Blocked, match="The package index of bookworm cannot be read") as refused:
        state_of("deb http://me:hunter2@example.org/debian bookworm main")

    assert refused.value.exit_code == 3
    assert "hunter2" not in str(refused.value) + refused.value.remedy


def test_indexes_that_moved_during_a_bake_make_a_state_that_equals_no_other() -> None:
    assert moved("a" * 64, "b" * 64) not in ("a" * 64, "b" * 64, moved("b" * 64, "a" * 64))


def test_this_machines_mirrors_are_asked_for_once_until_its_apt_is_configured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(argv: list[str], *, doing: str) -> Finished:
        asked.append(argv[0])
        return Finished(code=0, stdout="bookworm http://here/debian/\n" * 2, stderr="")

    monkeypatch.setattr(process, "run", answer)
    cache = tmp_path / "cache" / "mirrors.json"

    mirrors = [mirrors_of_this_machine(cache=cache) for _ in range(3)]

    assert mirrors == [[("bookworm", "http://here/debian/")]] * 3
    assert asked == ["apt-get"]
    monkeypatch.setenv("APT_CONFIG", "/etc/other.conf")
    mirrors_of_this_machine(cache=cache)
    assert asked == ["apt-get", "apt-get"]
