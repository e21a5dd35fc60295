"""Let a program of the operator's judge a new instance before it gets traffic.

It runs on the operator's machine, in the project's folder, and is given the instance's address.
What it says is a verdict on the image; that it cannot be started is a mistake of the operator's,
and says nothing about the image. It is given no secret beyond what is in the operator's own
environment.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from ovenbird import process
from ovenbird.values.errors import ConfigurationError, EngineUnreachable
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import Seen
from ovenbird.values.procedure import SmokeSpec

NO_VERDICT = {
    2: "it was interrupted, or a file of it cannot be imported",
    3: "it failed inside",
    4: "it was called in a wrong way",
    5: "there is no test in the file",
}
"""Exit codes of pytest that say nothing about an instance; 0 and 1 do."""


GRACE = 1.0
"""Seconds from the signal that asks a late smoke test to end to the one that does not ask."""

LATE = (124, 137, -9)
"""What timeout answers for one that was late: it ended when asked, or it was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeVerdict:
    """What a smoke test says. ``evidence`` is the end of what it wrote, ten lines at most."""

    passed: bool
    because: str
    evidence: str


def run_smoke(
    spec: SmokeSpec, seen: Seen, *, fleet: FleetKey, image: str, project: Path
) -> SmokeVerdict:
    """Run the smoke test on one instance and return its verdict.

    One that has not ended after ``spec.timeout`` seconds is killed with all that it started, and
    has failed. Raises `ConfigurationError` where it cannot be started or found nothing to test.
    """
    name = _name(spec)
    doing = f"The smoke test {name} of {fleet}"
    _require(spec.argv[0], doing, project=project)
    given = {
        "OVENBIRD_ADDRESS": seen.address or "",
        "OVENBIRD_INSTANCE": seen.token,
        "OVENBIRD_FLEET": fleet.name,
        "OVENBIRD_ENV": fleet.env,
        "OVENBIRD_IMAGE": image,
    }
    begun = time.monotonic()
    try:
        # timeout ends the whole group, also where a killed driver has left it behind.
        done = process.run(
            ["timeout", f"--kill-after={GRACE}", f"{spec.timeout}", *spec.argv],
            doing=doing,
            env=given,
            cwd=project,
            timeout=spec.timeout + 2 * GRACE,
            check=False,
        )
    except EngineUnreachable:  # something of it left the group, and holds its output open
        return _hangs(spec, evidence="")
    written = f"{done.stdout.strip()}\n{done.stderr.strip()}".strip()
    evidence = "\n".join(written.splitlines()[-10:])
    if done.code in LATE and time.monotonic() - begun >= spec.timeout:
        return _hangs(spec, evidence=evidence)
    if done.code in (126, 127) and done.stderr.startswith("timeout: "):
        raise _not_startable(doing, done.stderr.strip().removeprefix("timeout: "))
    if _is_pytest(spec) and done.code in NO_VERDICT:
        raise ConfigurationError.of(
            f"{doing} gives no verdict: {NO_VERDICT[done.code]} (exit code {done.code}).",
            remedy=f"It must judge an instance, by tests that pass or fail.\n{evidence}".strip(),
        )
    return SmokeVerdict(passed=done.code == 0, because=_because(name, done.code), evidence=evidence)


def _hangs(spec: SmokeSpec, *, evidence: str) -> SmokeVerdict:
    because = f"its smoke test {_name(spec)} has not ended for {spec.timeout:g} s"
    return SmokeVerdict(passed=False, because=because, evidence=evidence)


def _because(name: str, code: int) -> str:
    if code == 0:
        return f"its smoke test {name} passes"
    if code < 0:
        return f"its smoke test {name} was ended by signal {-code}"
    return f"its smoke test {name} ended with exit code {code}"


def _require(program: str, doing: str, *, project: Path) -> None:
    """See that there is a program to start; a bare name is looked for on PATH."""
    if "/" not in program:
        if shutil.which(program) is None:
            raise _not_startable(doing, f"there is no {program} on PATH")
        return
    path = project / program
    if not path.is_file():
        raise _not_startable(doing, f"there is no file {program}")
    if not os.access(path, os.X_OK):
        raise _not_startable(doing, f"{program} is not executable (chmod +x {program})")


def _not_startable(doing: str, why: str) -> ConfigurationError:
    return ConfigurationError.of(
        f"{doing} cannot be started: {why}.",
        remedy="Its program must be executable on this machine, and a script begin with #! and "
        "its interpreter. It stands in fleets.yml below rollout: smoke.",
    )


def _is_pytest(spec: SmokeSpec) -> bool:
    return spec.argv[1:3] == ("-m", "pytest")


def _name(spec: SmokeSpec) -> str:
    """What an operator calls it: the file of a pytest, else the program."""
    return spec.argv[-1] if _is_pytest(spec) else spec.argv[0]
