"""``rollout:`` and ``budget:`` of ``inventories/<env>/fleets.yml``."""

from __future__ import annotations

import dataclasses

from tests.broken.mutation import DEV, Kind, all_of, fleet, replace, write

BEFORE = "    balancer:\n"
LIMITS = "    limits:\n      max_surge: 1\n      max_unavailable: 0\n"


def rolled(
    name: str, *written: str, line: str, says: str, allowed: str, limits: bool = False
) -> Kind:
    """A row whose fleet of 3 has ``rollout:`` with these lines."""
    block = "".join(f"      {each}\n" for each in written)
    breaks = replace(DEV, BEFORE, f"    rollout:\n{block}{BEFORE}")
    if not limits:
        breaks = all_of(breaks, replace(DEV, LIMITS, ""))
    return Kind(name=name, breaks=breaks, file=DEV, line=line, says=says, allowed=allowed)


def stepped(name: str, steps: str, *, says: str, allowed: str) -> Kind:
    written = ("strategy: stepped", f"steps: {steps}")
    return rolled(name, *written, line="steps: [", says=says, allowed=allowed)


def metric(name: str, keys: str, *, says: str, allowed: str) -> Kind:
    """A row with one metric that has ``keys`` beside its name."""
    one = f"- {{name: errors, {keys}}}"
    return rolled(name, "metrics:", f"  {one}", line=one, says=says, allowed=allowed)


SERVER = "prometheus: http://127.0.0.1:9090"

STRATEGY_KINDS = (
    rolled(
        "a strategy that is none",
        "strategy: blue_green",
        line="blue_green",
        says="rollout.strategy cannot be 'blue_green'. Did you mean blue-green?",
        allowed="Allowed here: blue-green, rolling, stepped",
    ),
    rolled(
        "steps of a rolling fleet",
        "steps: [1, 100%]",
        line="steps:",
        says="steps belongs to strategy: stepped, and this one is rolling",
        allowed="Set strategy: stepped, or remove steps",
    ),
    rolled(
        "a stepped fleet without steps",
        "strategy: stepped",
        line="strategy: stepped",
        says="a stepped rollout needs its steps, and there are none",
        allowed="Add steps: [1, 10%, 50%, 100%]",
    ),
    rolled(
        "an approval where nothing waits",
        "approve: true",
        line="approve: true",
        says="approve belongs to strategy: stepped, and this one is rolling",
        allowed="remove approve",
    ),
    rolled(
        "a previous fleet kept by a rolling one",
        "keep_previous: 10m",
        line="keep_previous:",
        says="keep_previous belongs to strategy: blue-green, and this one is rolling",
        allowed="Set strategy: blue-green",
    ),
    rolled(
        "limits of a blue-green fleet",
        "strategy: blue-green",
        line="    limits:",
        says="a whole second fleet beside the first, so limits say nothing in it",
        allowed="Remove limits",
        limits=True,
    ),
    rolled(
        "a failure with an unknown end",
        "on_failure: retry",
        line="retry",
        says="rollout.on_failure cannot be 'retry'",
        allowed="rollback, stop",
    ),
    rolled(
        "no failed instance allowed",
        "max_failed: 0",
        line="max_failed: 0",
        says="rollout.max_failed is out of range: 0",
        allowed="from 1 to 1000",
    ),
    rolled(
        "a soak that is no duration",
        "soak: a while",
        line="a while",
        says="rollout.soak must be a duration, not 'a while'",
        allowed="500ms, 3s, 5m, 1h",
    ),
    stepped(
        "steps that fall",
        "[50%, 1, 100%]",
        says="steps fall from 50% to 1: 2, then 1 of 3",
        allowed="the smallest first",
    ),
    stepped(
        "a last step that is not the whole fleet",
        "[1, 50%]",
        says="the last step is 50%: 2 of 3",
        allowed="End with 100%",
    ),
    stepped(
        "a step beyond the fleet",
        "[1, 4]",
        says="step 2 is 4, and the fleet has 3",
        allowed="100% is always all of it",
    ),
    stepped(
        "a step of nothing",
        "[0, 100%]",
        says="rollout.steps[0].to cannot be 0",
        allowed="a number of instances from 1, or 1% to 100%",
    ),
    stepped(
        "a step beyond all of it",
        "[1, 101%]",
        says="rollout.steps[1].to cannot be '101%'",
        allowed="1% to 100%",
    ),
    stepped(
        "a step with an unknown key",
        "[{to: 1, soack: 5m}, 100%]",
        says="there is no key rollout.steps[0].soack. Did you mean soak?",
        allowed="approve, soak, to",
    ),
    stepped(
        "an approval after the last step",
        "[1, {to: 100%, approve: true}]",
        says="nothing follows the last step, so there is nothing to approve",
        allowed="at the step before",
    ),
    fleet(
        "a budget of nothing",
        "fleets:\n",
        "budget: {fleets: 1, instances: 0}\nfleets:\n",
        line="budget:",
        says="budget: instances is out of range: 0",
        allowed="1 or more",
    ),
    fleet(
        "a budget with an unknown key",
        "fleets:\n",
        "budget: {fleet: 1}\nfleets:\n",
        line="budget:",
        says="budget: there is no key fleet. Did you mean fleets?",
        allowed="fleets, instances",
    ),
    fleet(
        "a misspelt budget",
        "fleets:\n",
        "budgets: {fleets: 1}\nfleets:\n",
        line="budgets:",
        says="There is no key budgets here. Did you mean budget?",
        allowed="budget, fleets",
    ),
)

GATE_KINDS = (
    rolled(
        "a cron that is none",
        "windows:",
        '  - {cron: "0 25 * * *", length: 4h}',
        line="0 25",
        says="rollout.windows[0].cron cannot be '0 25 * * *': bad hour",
        allowed="A cron has five fields",
    ),
    rolled(
        "a cron with seconds",
        "windows:",
        '  - {cron: "0 0 22 * * *", length: 4h}',
        line="0 0 22",
        says="cron cannot be '0 0 22 * * *'",
        allowed="five fields",
    ),
    rolled(
        "a cron that never comes",
        "windows:",
        '  - {cron: "0 0 30 2 *", length: 4h}',
        line="0 0 30",
        says="cron cannot be '0 0 30 2 *': bad day-of-month",
        allowed="five fields",
    ),
    rolled(
        "a time zone that is none",
        "windows:",
        '  - {cron: "0 22 * * *", length: 4h, zone: Europe/Berln}',
        line="Berln",
        says="zone cannot be 'Europe/Berln': there is no such time zone. "
        "Did you mean Europe/Berlin?",
        allowed="such as Europe/Berlin or UTC",
    ),
    rolled(
        "a window without a length",
        "windows:",
        '  - {cron: "0 22 * * *"}',
        line='cron: "0 22',
        says="rollout.windows[0].length is missing",
        allowed="such as 4h",
    ),
    rolled(
        "a window of no length",
        "windows:",
        '  - {cron: "0 22 * * *", length: 0}',
        line="length: 0",
        says="length must be longer than nothing",
        allowed="A duration is",
    ),
    rolled(
        "a smoke test that is not there",
        "smoke: [./tests/smoke.sh, --fast]",
        line="smoke:",
        says="there is no smoke test ./tests/smoke.sh",
        allowed="A path starts at the project",
    ),
    rolled(
        "a pytest file that is not there",
        "smoke:",
        "  pytest: tests/smoke/test_web.py",
        line="pytest:",
        says="there is no smoke test tests/smoke/test_web.py",
        allowed="create the file",
    ),
    rolled(
        "a smoke test that cannot be started",
        "smoke: {timeout: 5s, command: [./smoke.sh]}",
        line="smoke:",
        says="the smoke test ./smoke.sh is not executable",
        allowed="chmod +x ./smoke.sh",
    ),
    rolled(
        "a smoke test that is nothing",
        "smoke: {timeout: 5s}",
        line="smoke:",
        says="a smoke test is a command or a pytest file; here is none",
        allowed="smoke: {pytest: FILE}",
    ),
    rolled(
        "a smoke test that is two",
        "smoke: {command: [curl], pytest: tests/images/survey.py}",
        line="smoke:",
        says="a smoke test is a command or a pytest file, not both",
        allowed="smoke: [PROGRAM",
    ),
    metric(
        "a metric with two limits",
        f"{SERVER}, query: up, above: 1, below: 0",
        says="metric 'errors' has both above and below",
        allowed="Keep one",
    ),
    metric(
        "a metric without a limit",
        f"{SERVER}, query: up",
        says="metric 'errors' has neither above nor below",
        allowed="above: NUMBER",
    ),
    metric(
        "a query that is empty",
        f'{SERVER}, query: " ", above: 1',
        says="rollout.metrics[0].query is empty",
        allowed="gives a number",
    ),
    metric(
        "a query with an unknown word",
        f"{SERVER}, query: 'up{{job=\"$flet\"}}', above: 1",
        says="query asks for $flet, which is nothing. Did you mean fleet?",
        allowed="$env, $family, $fleet, $image",
    ),
    metric(
        "a server without http",
        "prometheus: 127.0.0.1:9090, query: up, above: 1",
        says="is not an address that begins with http:// or https://: '127.0.0.1:9090'",
        allowed="such as http://127.0.0.1:9090",
    ),
    metric(
        "a password in an address",
        "prometheus: 'http://me:hunter2@prometheus:9090', query: up, above: 1",
        says="prometheus holds a name or a password; no secret may stand in this file",
        allowed="Write where Prometheus answers",
    ),
    metric(
        "a limit that is no number",
        f"{SERVER}, query: up, above: .nan",
        says="rollout.metrics[0].above cannot be nan",
        allowed="more than it is bad",
    ),
    rolled(
        "two metrics of one name",
        "metrics:",
        f"  - {{name: errors, {SERVER}, query: up, above: 1}}",
        f"  - {{name: errors, {SERVER}, query: up, below: 1}}",
        line="query: up, below",
        says="two metrics are called 'errors' (the other in line <query: up, above>)",
        allowed="a name of its own",
    ),
)


def _with_a_file(kind: Kind) -> Kind:
    """The row whose smoke test is there, and nobody may start it."""
    breaks = all_of(kind.breaks, write("smoke.sh", "#!/bin/sh\n"))
    return dataclasses.replace(kind, breaks=breaks)


PROCEDURE_KINDS = (
    *STRATEGY_KINDS,
    *(_with_a_file(kind) if "./smoke.sh is" in kind.says else kind for kind in GATE_KINDS),
)
