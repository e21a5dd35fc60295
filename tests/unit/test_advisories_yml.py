"""inventories/advisories.yml: what may stand in it, and where a fault is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ovenbird.config import load_advisories
from ovenbird.values.advisory import AdvisorySettings, AdvisorySource, Gate, Severity, Shape
from ovenbird.values.errors import ConfigurationError

SOURCES = "sources: [{osv: all.zip, ecosystem: 'Debian:12'}]\n"


def load(project: Path, text: str) -> AdvisorySettings:
    folder = project / "inventories"
    folder.mkdir(exist_ok=True)
    (folder / "advisories.yml").write_text(text)
    return load_advisories(project)


def test_a_project_without_the_file_asks_nobody_and_stops_nothing(tmp_path: Path) -> None:
    settings = load_advisories(tmp_path)

    assert settings.sources == ()
    assert settings.gate_for("production") is None


def test_sources_age_and_gates_are_read(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "sources:\n"
        "  - {debian_tracker: 'https://tracker.example/json', release: bookworm}\n"
        "  - {osv: data/all.zip, ecosystem: 'Debian:12'}\n"
        "max_age: 12h\n"
        "gates:\n"
        "  production: {severity: medium, fixable: false, unrated: low}\n"
        "  default: {}\n",
    )

    assert settings.sources == (
        AdvisorySource(
            shape=Shape.DEBIAN_TRACKER, place="https://tracker.example/json", scope="bookworm"
        ),
        AdvisorySource(shape=Shape.OSV, place="data/all.zip", scope="Debian:12"),
    )
    assert settings.max_age == timedelta(hours=12)
    strict = Gate(severity=Severity.MEDIUM, fixable=False, unrated=Severity.LOW)
    assert settings.gate_for("production") == strict
    assert settings.gate_for("staging") == Gate()


def test_without_a_default_only_the_named_have_a_gate(tmp_path: Path) -> None:
    settings = load(tmp_path, SOURCES + "gates: {production: {severity: high}}\n")

    assert settings.gate_for("staging") is None


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("sources: [{debian_tracker: x}]\n", 1, "needs its release"),
        ("sources: [{osv: x, release: bookworm}]\n", 1, "needs its ecosystem"),
        ("sources: [{release: bookworm}]\n", 1, "this is 0 of them"),
        ("sources: [{osv: x, debian_tracker: y}]\n", 1, "this is 2 of them"),
        ("sources: [{osv: 'https://u:p@h/x', ecosystem: Debian}]\n", 1, "credentials"),
        ("sources: [{osv: 'ftp://h/x', ecosystem: Debian}]\n", 1, "cannot be 'ftp://h/x'"),
        (SOURCES + "max_age: 7\n", 2, "must be an age, not a whole number"),
        (SOURCES + "max_age: 7w\n", 2, "must be an age, not '7w'"),
        (SOURCES + "gates: {dev: {severity: hihg}}\n", 2, "Did you mean high?"),
        (SOURCES + "gates: {dev: {severity: unrated}}\n", 2, "cannot be 'unrated'"),
        (SOURCES + "gates: {Dev: {}}\n", 2, "no name of a channel"),
        (SOURCES + "gates: {dev: {fixabel: true}}\n", 2, "Did you mean fixable?"),
        (SOURCES + "gate: {}\n", 2, "Did you mean gates?"),
        ("gates: {dev: {}}\n", 1, "no source of advisories"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, line: int, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as told:
        load(tmp_path, text)

    (fault,) = told.value.faults
    assert (fault.file, fault.line) == ("inventories/advisories.yml", line)
    assert problem in fault.problem
    assert fault.remedy
