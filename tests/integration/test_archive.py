"""A signed apt archive over HTTP: what is believed, asked for again, and refused."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.archive import Archive, Key

from ovenbird.packages.archive import Offer, Rules, offers
from ovenbird.packages.sources import Source
from ovenbird.values.errors import Inconclusive

SUITE = "bakery-security"


@pytest.fixture
def archive() -> Iterator[Archive]:
    folder = Path(tempfile.mkdtemp(prefix="ovenbird-archive-"))
    with Archive(folder) as served:
        served.put("ovb-bread", "1.1", suite=SUITE)
        served.put("ovb-salt", "1.0", suite=SUITE)
        served.publish(SUITE)
        yield served
    shutil.rmtree(folder)


def asked(
    archive: Archive, tmp_path: Path, *, line: str = "", now: datetime | None = None
) -> list[Offer]:
    return offers(
        Source.parse(line or archive.source(SUITE)),
        names={"ovb-bread"},
        architectures={"amd64"},
        rules=Rules(cache=tmp_path / "cache"),
        now=now or datetime.now(UTC),
    )


def test_what_is_named_is_read_and_the_rest_is_left_alone(archive: Archive, tmp_path: Path) -> None:
    (offer,) = asked(archive, tmp_path)

    assert (offer.name, offer.version, offer.suite) == ("ovb-bread", "1.1", SUITE)
    assert offer.security


def test_what_has_not_changed_is_not_fetched_again(archive: Archive, tmp_path: Path) -> None:
    asked(archive, tmp_path)
    archive.asked.clear()
    asked(archive, tmp_path)
    assert archive.asked == [f"/dists/{SUITE}/InRelease"], "and that with a condition"

    archive.put("ovb-bread", "1.2", suite=SUITE)
    archive.publish(SUITE)
    assert sorted(offer.version for offer in asked(archive, tmp_path)) == ["1.1", "1.2"]


def test_a_key_in_ascii_armor_is_as_good(archive: Archive, tmp_path: Path) -> None:
    armored = archive.key.armored(tmp_path / "bakery.asc")

    line = archive.source(SUITE).replace(str(archive.key.public), str(armored))

    assert asked(archive, tmp_path, line=line)


def test_another_key_and_none_are_refused(archive: Archive, tmp_path: Path) -> None:
    other = Key(tmp_path / "other")
    try:
        line = archive.source(SUITE).replace(str(archive.key.public), str(other.public))
        with pytest.raises(Inconclusive, match="signed by no key that is trusted"):
            asked(archive, tmp_path, line=line)
    finally:
        other.close()
    line = archive.source(SUITE).replace(str(archive.key.public), "/nowhere/key.gpg")
    with pytest.raises(Inconclusive, match="it is not there"):
        asked(archive, tmp_path, line=line)
    with pytest.raises(Inconclusive, match="signed by no key that is trusted"):
        asked(archive, tmp_path, line=f"deb {archive.url} {SUITE} main")


def test_a_list_that_is_not_the_signed_one_is_refused(archive: Archive, tmp_path: Path) -> None:
    lists = archive.folder / f"dists/{SUITE}/main/binary-amd64"
    packed = lists / "Packages.gz"
    data = bytearray(packed.read_bytes())
    data[-1] ^= 1
    packed.write_bytes(data)

    with pytest.raises(Inconclusive, match="not what its signed index says"):
        asked(archive, tmp_path)


def test_what_stands_around_the_signed_text_is_not_read(archive: Archive, tmp_path: Path) -> None:
    index = archive.folder / f"dists/{SUITE}/InRelease"
    index.write_bytes(b"NotAutomatic: yes\n\n" + index.read_bytes())

    assert asked(archive, tmp_path), "else it would be a suite that is left alone"


def test_an_index_ends_when_it_says_unless_its_source_says_that_it_never_does(
    archive: Archive, tmp_path: Path
) -> None:
    late = datetime.now(UTC) + timedelta(days=30)

    with pytest.raises(Inconclusive, match="expired on"):
        asked(archive, tmp_path, now=late)
    line = archive.source(SUITE).replace("[", "[check-valid-until=no ")
    assert asked(archive, tmp_path, line=line, now=late)


def test_a_server_that_is_gone_or_has_no_such_suite_is_no_empty_archive(
    archive: Archive, tmp_path: Path
) -> None:
    with pytest.raises(Inconclusive, match="cannot be read: File not found"):
        asked(archive, tmp_path, line=archive.source("no-such-suite"))
    asked(archive, tmp_path)
    archive.stop()
    try:
        with pytest.raises(Inconclusive, match="cannot be read"):
            asked(archive, tmp_path)
    finally:
        archive.start()
