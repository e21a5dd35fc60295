"""``rollout:`` and ``budget:`` become values; the faults of each kind are in tests/broken."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovenbird import config
from ovenbird.config.procedure_entry import BudgetEntry, RolloutEntry
from ovenbird.config.schema import Entry, _entries
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.fleet import Fleet
from ovenbird.values.procedure import (
    Budget,
    Checkpoint,
    Direction,
    MetricSpec,
    OnFailure,
    Procedure,
    SmokeSpec,
    Strategy,
    Window,
)

FAMILY = """families:
  web:
    from: {oci: debian:12}
    sources: ["deb http://deb.debian.org/debian bookworm main"]
    playbook: playbooks/base.yml
    launch: {port: 80}
"""
SWITCH = "strategy: blue-green"
BALANCER = "\n    balancer: {file: {path: /tmp/web.json}}"
FLEET = "fleets:\n  web:\n    image: web/2\n    size: SIZE\n    rollout: "


def a_project(folder: Path, rollout: str, *, size: int = 4, before: str = "") -> Path:
    """A project whose fleet dev/web has this ``rollout:``, written in one line."""
    for name, text in (
        ("packer/images.yml", FAMILY),
        ("inventories/dev/fleets.yml", f"{before}{FLEET.replace('SIZE', str(size))}{rollout}\n"),
        ("tests/test_web.py", "def test_it() -> None: ...\n"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def fleet_of(project: Path) -> Fleet:
    return config.load_fleets(project, "dev")["web"]


def faults_of(project: Path) -> tuple[Fault, ...]:
    with pytest.raises(ConfigurationError) as told:
        config.load_fleets(project, "dev")
    return told.value.faults


def test_without_rollout_and_budget_a_fleet_has_their_defaults(tmp_path: Path) -> None:
    fleet = fleet_of(a_project(tmp_path, "{}"))

    assert (fleet.procedure, fleet.budget) == (Procedure(), Budget())


def test_steps_take_from_the_rollout_what_they_leave_open(tmp_path: Path) -> None:
    steps = "[1, {to: 10%, soak: 0}, {to: 50%, approve: false}, 100%]"

    fleet = fleet_of(
        a_project(tmp_path, f"{{strategy: stepped, steps: {steps}, soak: 5m, approve: true}}")
    )

    assert fleet.procedure == Procedure(
        strategy=Strategy.STEPPED,
        checkpoints=(
            Checkpoint(share=1, soak=300, approve=True),
            Checkpoint(share="10%", soak=0, approve=True),
            Checkpoint(share="50%", soak=300, approve=False),
            Checkpoint(share="100%", soak=300, approve=False),  # nothing follows it
        ),
        soak=300,
    )


@pytest.mark.parametrize("size", [0, 1, 2, 4, 10])
def test_the_usual_steps_are_possible_for_every_size(size: int, tmp_path: Path) -> None:
    usual = "{strategy: stepped, steps: [1, 10%, 50%, 100%]}"

    assert len(fleet_of(a_project(tmp_path, usual, size=size)).procedure.checkpoints) == 4


@pytest.mark.parametrize(("size", "problem"), [(1, "step 1 is 2, and the fleet has 1"), (2, "")])
def test_a_step_of_two_needs_a_fleet_of_two(size: int, problem: str, tmp_path: Path) -> None:
    project = a_project(tmp_path, "{strategy: stepped, steps: [2, 100%]}", size=size)

    if problem:
        (fault,) = faults_of(project)
        assert (fault.line, problem in fault.problem) == (5, True)
    else:
        assert fleet_of(project).procedure.counts(2) == (2, 2)


def test_the_last_step_may_be_the_size_in_numbers(tmp_path: Path) -> None:
    assert fleet_of(a_project(tmp_path, "{strategy: stepped, steps: [1, 4]}")).procedure.counts(
        4
    ) == (1, 4)


def test_blue_green_keeps_the_previous_fleet_for_a_time(tmp_path: Path) -> None:
    written = f"{{{SWITCH}, keep_previous: 10m, on_failure: rollback, max_failed: 1}}{BALANCER}"

    assert fleet_of(a_project(tmp_path, written)).procedure == Procedure(
        strategy=Strategy.BLUE_GREEN,
        keep_previous=600,
        on_failure=OnFailure.ROLLBACK,
        max_failed=1,
    )


def test_a_switch_needs_something_that_switches(tmp_path: Path) -> None:
    (fault,) = faults_of(a_project(tmp_path, f"{{{SWITCH}}}"))

    assert "one switch at a balancer, and it has none" in fault.problem
    assert "Give it a balancer: haproxy, command or file" in fault.remedy


def test_rolling_may_soak_when_it_is_complete(tmp_path: Path) -> None:
    assert fleet_of(a_project(tmp_path, "{soak: 90s}")).procedure == Procedure(soak=90)


def test_windows_are_read_with_their_zone(tmp_path: Path) -> None:
    written = (
        '{windows: [{cron: "0 22 * * 1-5", length: 4h, zone: Europe/Berlin}, '
        '{cron: "*/5 * * * *", length: 1h}]}'  # longer than its period: always open
    )

    assert fleet_of(a_project(tmp_path, written)).procedure.windows == (
        Window(cron="0 22 * * 1-5", length=14400, zone="Europe/Berlin"),
        Window(cron="*/5 * * * *", length=3600, zone="UTC"),
    )


@pytest.mark.parametrize("zone", ["Europe", "../etc/passwd", "", "/etc/localtime"])
def test_a_zone_that_is_a_path_or_a_folder_is_none(zone: str, tmp_path: Path) -> None:
    written = f'{{windows: [{{cron: "0 0 * * *", length: 1h, zone: "{zone}"}}]}}'

    (fault,) = faults_of(a_project(tmp_path, written))

    assert "there is no such time zone" in fault.problem


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("[curl, -fsS, http://x]", SmokeSpec(argv=("curl", "-fsS", "http://x"))),
        ("{command: [true], timeout: 5s}", None),
        ("{command: ['true'], timeout: 5s}", SmokeSpec(argv=("true",), timeout=5)),
        (
            "{pytest: tests/test_web.py}",
            SmokeSpec(argv=(sys.executable, "-m", "pytest", "-q", "tests/test_web.py")),
        ),
    ],
)
def test_a_smoke_test_is_a_command_or_a_pytest_file(
    written: str, spec: SmokeSpec | None, tmp_path: Path
) -> None:
    project = a_project(tmp_path, f"{{smoke: {written}}}")

    if spec is None:
        assert "must be text, not true or false" in faults_of(project)[0].problem
    else:
        assert fleet_of(project).procedure.smoke == spec


def test_metrics_are_read_with_their_direction(tmp_path: Path) -> None:
    errors = "{name: errors, prometheus: 'http://p:9090/', query: 'e{f=\"$fleet\"}', above: 0.05}"
    served = (
        "{name: served, prometheus: 'https://p', query: s, below: 0, must_have_data: false, "
        "timeout: 3s}"
    )

    assert fleet_of(
        a_project(tmp_path, f"{{metrics: [{errors}, {served}]}}")
    ).procedure.metrics == (
        MetricSpec(
            name="errors",
            url="http://p:9090/",
            query='e{f="$fleet"}',
            threshold=0.05,
            direction=Direction.ABOVE,
        ),
        MetricSpec(
            name="served",
            url="https://p",
            query="s",
            threshold=0,
            direction=Direction.BELOW,
            must_have_data=False,
            timeout=3,
        ),
    )


def test_a_budget_is_what_every_fleet_of_the_environment_has(tmp_path: Path) -> None:
    project = a_project(tmp_path, "{}", before="budget: {fleets: 1, instances: 2}\n")

    assert fleet_of(project).budget == Budget(fleets=1, instances=2)


def test_a_budget_may_leave_one_of_the_two_without_a_limit(tmp_path: Path) -> None:
    project = a_project(tmp_path, "{}", before="budget: {instances: 2}\n")

    assert fleet_of(project).budget == Budget(fleets=None, instances=2)


def test_all_that_is_impossible_in_one_rollout_is_told_at_once(tmp_path: Path) -> None:
    written = (
        "{strategy: stepped, steps: [50%, 1], keep_previous: 1m, smoke: [./no.sh], "
        "metrics: [{name: a, prometheus: 'http://p', query: q}]}"
    )

    problems = [fault.problem for fault in faults_of(a_project(tmp_path, written))]

    assert len(problems) == 5
    assert all(problem.startswith("fleet web: ") for problem in problems)


def entries(entry: type[Entry]) -> Iterator[type[Entry]]:
    yield entry
    for field in entry.model_fields.values():
        for inner in _entries(field.annotation):
            yield from entries(inner)


@pytest.mark.parametrize("entry", [RolloutEntry, BudgetEntry])
def test_every_key_says_what_is_allowed(entry: type[Entry]) -> None:
    for inner in entries(entry):
        for name, field in inner.model_fields.items():
            assert field.description, f"{inner.__name__}.{name}"
