"""Advisories from a server: sent again only when they have changed, kept when it is gone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ovenbird.packages.advisory_data import Known, known_of
from ovenbird.values.advisory import AdvisorySettings, AdvisorySource, Shape
from ovenbird.values.errors import Inconclusive

ENTRY = {"description": "", "releases": {"bookworm": {"status": "open", "urgency": "high"}}}


@dataclass
class Tracker:
    """A server with one document, and what it was asked."""

    content: bytes = field(default_factory=lambda: json.dumps({"a": {"CVE-1": ENTRY}}).encode())
    etag: str = '"1"'
    status: int = 200
    cut: bool = False
    answered: list[int] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(tracker: Tracker) -> Iterator[Tracker]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            same = self.headers.get("If-None-Match") == tracker.etag
            status = 304 if same and tracker.status == 200 else tracker.status
            tracker.answered.append(status)
            self.send_response(status)
            self.send_header("ETag", tracker.etag)
            body = b"" if status == 304 else tracker.content
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if tracker.cut else body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        tracker.url = f"http://127.0.0.1:{server.server_port}/json"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield tracker
        finally:
            server.shutdown()
            thread.join()


def known(url: str, cache: Path, *, later: timedelta = timedelta(0)) -> Known:
    source = AdvisorySource(shape=Shape.DEBIAN_TRACKER, place=url, scope="bookworm")
    return known_of(
        AdvisorySettings(sources=(source,)),
        {"a"},
        project=cache,
        cache=cache / "advisories",
        now=datetime.now(UTC) + later,
    )


def test_what_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    with serving(Tracker()) as tracker:
        first, second = known(tracker.url, tmp_path), known(tracker.url, tmp_path)
        tracker.content, tracker.etag = json.dumps({"a": {"CVE-2": ENTRY}}).encode(), '"2"'
        third = known(tracker.url, tmp_path)

    assert tracker.answered == [200, 304, 200]
    assert first.digest == second.digest != third.digest
    assert [a.id for a in second.advisories] == ["CVE-1"]
    assert [a.id for a in third.advisories] == ["CVE-2"]


def test_a_server_that_is_gone_leaves_its_last_copy_which_tells_its_age(tmp_path: Path) -> None:
    with serving(Tracker()) as tracker:
        known(tracker.url, tmp_path)

    offline = known(tracker.url, tmp_path, later=timedelta(hours=5))

    assert [a.id for a in offline.advisories] == ["CVE-1"]
    assert offline.notes == (f"{tracker.url} does not answer; what is kept of it is 5 h old",)


def test_a_last_copy_that_is_too_old_is_inconclusive(tmp_path: Path) -> None:
    with serving(Tracker()) as tracker:
        known(tracker.url, tmp_path)

    with pytest.raises(Inconclusive, match="are 8 d old, and its server does not answer") as told:
        known(tracker.url, tmp_path, later=timedelta(days=8))

    assert told.value.exit_code == 4


def test_a_confirmed_copy_is_as_young_as_its_confirmation(tmp_path: Path) -> None:
    with serving(Tracker()) as tracker:
        known(tracker.url, tmp_path)
        for path in (tmp_path / "advisories").iterdir():
            then = (datetime.now(UTC) - timedelta(days=30)).timestamp()
            os.utime(path, (then, then))

        confirmed = known(tracker.url, tmp_path)

    assert tracker.answered[-1] == 304
    assert confirmed.notes == ()


@pytest.mark.parametrize(("status", "cut"), [(404, False), (500, False), (200, True)])
def test_an_answer_that_is_none_does_not_take_the_place_of_the_last_copy(
    status: int, cut: bool, tmp_path: Path
) -> None:
    with serving(Tracker()) as tracker:
        known(tracker.url, tmp_path)
        tracker.status, tracker.cut, tracker.etag = status, cut, '"2"'
        tracker.content = b"x" * 1000

        kept = known(tracker.url, tmp_path)

    assert [a.id for a in kept.advisories] == ["CVE-1"]
    assert len(kept.notes) == 1


def test_without_a_server_and_without_a_copy_it_is_inconclusive(tmp_path: Path) -> None:
    with serving(Tracker()) as tracker:
        pass

    with pytest.raises(Inconclusive, match="nothing of them is kept here") as told:
        known(tracker.url, tmp_path)

    assert told.value.exit_code == 4


def test_a_copy_that_was_damaged_is_asked_for_whole(tmp_path: Path) -> None:
    with serving(Tracker()) as tracker:
        known(tracker.url, tmp_path)
        for path in (tmp_path / "advisories").glob("*"):
            if path.suffix != ".json":
                path.write_bytes(b"half")

        mended = known(tracker.url, tmp_path)

    assert tracker.answered == [200, 200]
    assert [a.id for a in mended.advisories] == ["CVE-1"]
