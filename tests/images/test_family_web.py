"""What a web instance shows, asked from inside: the smoke check from outside is Ovenbird's own."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest

ASK = """
import json, sys, urllib.error, urllib.request
def ask(path):
    try:
        answer = urllib.request.urlopen("http://127.0.0.1:" + sys.argv[1] + path, timeout=5)
    except urllib.error.HTTPError as refused:
        answer = refused
    return [answer.status, answer.read().decode(), dict(answer.headers)]
print(json.dumps({path: ask(path) for path in ("/", "/healthz", "/version", "/nowhere")}))
"""


@pytest.fixture(scope="module")
def answers(host: Any, port: int | None) -> dict[str, Any]:
    asked = host.run("/usr/bin/python3 -I -c %s %s", ASK, str(port or 80))
    assert asked.rc == 0, asked.stderr
    answers: dict[str, Any] = json.loads(asked.stdout)
    return answers


def test_nginx_runs_and_nothing_else_listens(
    host: Any, survey: dict[str, Any], port: int | None
) -> None:
    assert host.run("systemctl is-active nginx && systemctl is-enabled nginx").rc == 0
    assert survey["listening"] == [port or 80]


def test_its_page_greets_with_the_launch_data(
    answers: dict[str, Any], survey: dict[str, Any]
) -> None:
    status, page, _ = answers["/"]
    assert status == 200
    assert html.escape(survey["config"]["ovenbird"]["version"]) in page
    assert html.escape(survey["config"].get("greeting", "No greeting in the launch data")) in page


def test_its_version_is_plain_text_for_programs(
    answers: dict[str, Any], survey: dict[str, Any]
) -> None:
    ours = survey["config"]["ovenbird"]
    assert answers["/version"][:2] == [200, f"{ours['version']} {ours['instance']}\n"]
    assert answers["/version"][2]["X-Ovenbird-Instance"] == ours["instance"]


def test_it_says_that_it_is_healthy(answers: dict[str, Any]) -> None:
    assert answers["/healthz"][:2] == [200, "ok\n"]


def test_what_it_does_not_have_is_not_found(answers: dict[str, Any]) -> None:
    assert answers["/nowhere"][0] == 404


def test_no_secret_is_on_its_page(host: Any, answers: dict[str, Any]) -> None:
    # The comparison happens inside: a secret never comes out, also not into a failing test's text.
    find = "grep -rlF -f {} /run/ovenbird-web"
    told = host.run(f"find /run/ovenbird/secrets -type f -size +0 -exec {find} \\;")
    assert told.stdout == ""
