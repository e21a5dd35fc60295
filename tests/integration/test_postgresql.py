"""A site on a server that several hosts share, and what its operators see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from tests.postgres import PostgresServer

from ovenbird.state.database import Database
from ovenbird.state.site import Site, open_site
from ovenbird.state.tables import history
from ovenbird.values.errors import ConfigurationError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def write(database: Database, verb: str) -> None:
    with database.begin() as db:
        db.execute(insert(history).values(at=NOON, by="ann", verb=verb, subject="web"))


def written(database: Database) -> list[str]:
    with database.begin() as db:
        return list(db.execute(select(history.c.verb).order_by(history.c.id)).scalars())


def host(folder: Path, url: str) -> Site:
    """Open a site as another host would, with a folder of its own."""
    return open_site({"OVENBIRD_STATE": url, "OVENBIRD_FOLDER": str(folder)})


def test_two_hosts_with_one_key_are_one_site(tmp_path: Path, url: str) -> None:
    first = host(tmp_path / "a", url)
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a/key", tmp_path / "b/key")
    second = host(tmp_path / "b", url)

    write(first.database, "bake")

    assert (second.id, second.key) == (first.id, first.key)
    assert written(second.database) == ["bake"]
    assert second.folder != first.folder
    assert second.database.is_shared
    for each in (first, second):
        each.database.close()


def test_a_host_without_the_key_is_refused_and_makes_none(tmp_path: Path, url: str) -> None:
    host(tmp_path / "a", url).database.close()

    with pytest.raises(ConfigurationError, match="key is missing") as refused:
        host(tmp_path / "b", url)

    assert refused.value.exit_code == 2
    assert "from the state folder of the host that made this site" in refused.value.remedy
    assert not (tmp_path / "b/key").exists()


def test_a_host_with_another_key_is_refused(tmp_path: Path, url: str) -> None:
    host(tmp_path / "a", url).database.close()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/key").write_bytes(b"b" * 32)

    with pytest.raises(ConfigurationError, match="is not the key of this site"):
        host(tmp_path / "b", url)


def test_of_two_hosts_that_make_a_site_at_once_one_gives_it_its_key(
    tmp_path: Path, url: str
) -> None:
    def opened(name: str) -> str:
        try:
            host(tmp_path / name, url).database.close()
        except ConfigurationError:
            return "refused"
        return "made"

    with ThreadPoolExecutor() as both:
        assert sorted(both.map(opened, "ab")) == ["made", "refused"]

    assert len(list(tmp_path.glob("*/key"))) == 1


def test_two_sites_on_one_server_do_not_meet(tmp_path: Path, server: PostgresServer) -> None:
    here, there = (host(tmp_path / name, server.fresh_database()) for name in "ab")

    with here.database.begin() as db:  # holds its site, and nobody else's
        db.execute(insert(history).values(at=NOON, by="ann", verb="bake", subject="web"))
        write(there.database, "promote")

    assert here.id != there.id
    assert (written(here.database), written(there.database)) == (["bake"], ["promote"])
    for each in (here, there):
        each.database.close()


def test_a_plain_url_is_as_good_as_one_that_names_its_driver(url: str) -> None:
    Database.open(url.replace("+psycopg", "")).close()
    Database.open(url.replace("postgresql+psycopg", "postgres")).close()


def test_what_was_committed_is_on_the_disk_though_a_role_may_forget_it(
    server: PostgresServer, url: str
) -> None:
    server.sql(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    database = Database.open(url)

    with database.begin() as db:
        assert db.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
        assert db.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"
    database.close()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://ann:s3cret@127.0.0.1:1/db", 3),
        ("postgresql+psycopg://ann:s3cret@no-such-host.invalid/db", 3),
        ("postgresql://ann:s3cret@w0rd@127.0.0.1/db", 2),
        ("postgresql://ann:s3cret@127.0.0.1:s3cret/db", 2),
        ("mysql://ann:s3cret@127.0.0.1/db", 2),
    ],
)
def test_one_sentence_and_no_password_tell_what_is_wrong(
    url: str, code: int, tmp_path: Path
) -> None:
    said = list_images(url, tmp_path)

    assert said.returncode == code, said.stderr
    assert said.stdout == ""
    assert said.stderr.lstrip().startswith("✗ ")
    assert "Traceback" not in said.stderr
    assert not [word for word in ("s3cret", "w0rd") if word in said.stderr]


def test_a_wrong_password_is_not_repeated(server: PostgresServer, tmp_path: Path) -> None:
    said = list_images(server.url().replace(server.password, "0vertly-wr0ng"), tmp_path)

    assert said.returncode == 3
    assert "password authentication failed" in said.stderr
    assert "0vertly" not in said.stderr


def list_images(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("ovenbird"), "image.list"],
        env={**os.environ, "OVENBIRD_STATE": url, "OVENBIRD_FOLDER": str(folder / "site")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
