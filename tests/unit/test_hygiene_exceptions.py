"""What may be in an image for a while: who says so, why, and until when."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ovenbird.config import load_exceptions
from ovenbird.config.exceptions import FILE
from ovenbird.hygiene.scan import judge
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.exception import Exceptions, SecretException
from ovenbird.values.secret import Finding, SecretKind

TODAY = date(2026, 11, 24)
GOOD = """\
exceptions:
  - secret: token
    path: /srv/demo/*.env
    reason: a token of the public demo
    owner: ada
    expires: 2026-12-31
  - advisory: CVE-2026-12345
    package: nginx
    reason: that module is not built in
    owner: web
    expires: "2026-11-24"
"""


def loaded(project: Path, text: str) -> Exceptions:
    path = project / FILE
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return load_exceptions(project, today=TODAY)


def faults(project: Path, text: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigurationError) as refused:
        loaded(project, text)
    assert refused.value.exit_code == 2
    assert all(fault.remedy for fault in refused.value.faults)
    return refused.value.faults


def an_entry(**changed: str) -> str:
    entry = {
        "secret": "token",
        "path": "/srv/x",
        "reason": "why",
        "owner": "ada",
        "expires": "2026-12-31",
        **changed,
    }
    lines = [f"    {name}: {value}" for name, value in entry.items() if value != "left out"]
    return "exceptions:\n  -\n" + "\n".join(lines) + "\n"


def a_finding(path: str, kind: SecretKind = SecretKind.TOKEN) -> Finding:
    return Finding(path=path, line=1, kind=kind, where="layer 1 of 1", hint="a token")


def test_without_the_file_nothing_is_allowed(tmp_path: Path) -> None:
    assert load_exceptions(tmp_path, today=TODAY) == Exceptions()


def test_an_exception_counts_on_its_last_day_and_knows_its_line(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD)

    assert [(e.kind, e.path, e.expires, e.line) for e in found.secrets] == [
        (SecretKind.TOKEN, "/srv/demo/*.env", date(2026, 12, 31), 2)
    ]
    (advisory,) = found.advisories
    assert (advisory.expires, advisory.line) == (TODAY, 7)
    assert advisory.allows("CVE-2026-12345", package="nginx")
    assert not advisory.allows("CVE-2026-12345", package="apache2")


@pytest.mark.parametrize("missing", ["reason", "owner", "expires"])
def test_an_exception_says_why_who_and_until_when(missing: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, an_entry(**{missing: "left out"}))

    assert (fault.file, fault.problem) == (FILE, f"exception 1: {missing} is missing.")


@pytest.mark.parametrize("empty", ["reason", "owner"])
def test_an_empty_reason_is_none(empty: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, an_entry(**{empty: '"  "'}))

    assert fault.problem == f"exception 1: {empty} is empty."


@pytest.mark.parametrize(
    "day", ["never", "2026-02-30", "2026-13-01", '"2026-2-3"', "31.12.2026", '""']
)
def test_what_is_no_date_is_a_fault_and_not_for_ever(day: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, an_entry(expires=day))

    assert fault.line == 7
    assert "expires is no date" in fault.problem


def test_a_day_that_is_over_is_a_fault(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, an_entry(expires="2026-11-22"))

    assert (fault.line, fault.problem) == (7, "exception 1 ended on 2026-11-22, 2 days ago.")


def test_a_day_out_of_sight_is_for_ever_by_another_name(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, an_entry(expires="9999-12-31"))

    assert "lasts a year at most" in fault.problem


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (an_entry(secret="tokn"), 3, "Did you mean token?"),
        (an_entry(path="srv/x"), 4, "must begin with /"),
        (an_entry(path='"/**"'), 4, "would allow everything"),
        (an_entry(until="x"), 8, "there is no key until"),
        (an_entry(advisory="CVE-2026-1"), 3, "one secret or one advisory"),
        ("exceptions:\n  - 3\n", 2, "one secret or one advisory"),
        ("exceptions: {}\n", 1, "must be a list"),
        ("- secret: token\n", 1, "must hold one key"),
        (an_entry(secret="left out", path="left out", advisory="nonsense"), 6, "nonsense"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    text: str, line: int, problem: str, tmp_path: Path
) -> None:
    (fault,) = faults(tmp_path, text)

    assert (fault.line, problem in fault.problem) == (line, True), fault


@pytest.mark.parametrize(
    ("glob", "path", "allowed"),
    [
        ("/srv/*.env", "/srv/a.env", True),
        ("/srv/*.env", "/srv/b/a.env", False),
        ("/srv/**", "/srv/b/a.env", True),
        ("/srv/?.env", "/srv/ab.env", False),
        ("/srv/a.env", "/srv/aXenv", False),
    ],
)
def test_a_star_stays_in_its_folder_and_two_do_not(glob: str, path: str, allowed: bool) -> None:
    exception = SecretException(
        kind=SecretKind.TOKEN, path=glob, reason="r", owner="o", expires=TODAY
    )

    assert exception.allows(a_finding(path)) is allowed
    assert not exception.allows(a_finding(path, SecretKind.PRIVATE_KEY))


def test_an_exception_that_no_finding_needed_is_told() -> None:
    used, unused = (
        SecretException(kind=SecretKind.TOKEN, path=path, reason="r", owner="o", expires=TODAY)
        for path in ("/srv/a", "/srv/b")
    )

    verdict = judge([a_finding("/srv/a"), a_finding("/srv/c")], [used, unused])

    assert [finding.path for finding in verdict.bad] == ["/srv/c"]
    assert [by for _, by in verdict.allowed] == [used]
    assert verdict.unused == (unused,)
