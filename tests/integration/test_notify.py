"""People are told through Apprise: here a webhook of this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ovenbird.patch import Came
from ovenbird.patch.notify import message, send, worth_telling
from ovenbird.values.errors import ConfigurationError, Inconclusive

# Apprise asks for a module of Python's that 3.13 has no more, where it is there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Hook:
    """Keeps what it was sent, and answers ``status``."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                hook.heard.append(json.loads(self.rfile.read(length)))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_address[1]}/s3cr3t"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


CAME = [
    Came(family="base", told=["nothing in base/1 has an update"]),
    Came(family="web", outcome="failed", did=["baked web/2"], told=["it broke"], remedy="Look."),
]


def test_a_webhook_hears_what_was_done_and_what_is_left_to_a_person(hook: Hook) -> None:
    send([hook.url], *message(CAME, site="s1"))

    (heard,) = hook.heard
    assert heard["title"] == "Ovenbird (s1): patch run failed, 1 step taken"
    assert "web: baked web/2; it broke" in heard["message"]
    assert "Look." in heard["message"]


def test_one_that_does_not_take_it_is_told_without_its_url(hook: Hook) -> None:
    hook.status = 500

    with pytest.raises(Inconclusive) as told:
        send([hook.url], "title", "text")
    assert "s3cr3t" not in f"{told.value.problem}{told.value.remedy}"


def test_what_is_no_url_is_named_by_its_number_alone() -> None:
    with pytest.raises(ConfigurationError, match="number 1 is no URL") as told:
        send(["s3cr3t:no-such-thing"], "title", "text")
    assert "s3cr3t" not in told.value.problem


def test_a_night_in_which_nothing_happened_wakes_nobody() -> None:
    assert not worth_telling(CAME[:1])
    assert worth_telling(CAME)
