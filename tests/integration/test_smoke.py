"""The smoke hook, with real programs."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.project import until

from ovenbird.fleet.smoke import SmokeVerdict, run_smoke
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import EngineState, Seen
from ovenbird.values.procedure import SmokeSpec

KEY = FleetKey(site="s1", env="dev", name="web")
INSTANCE = Seen(
    token="dev-web-k3f9",
    id="1",
    fleet=KEY,
    version="web/2",
    launch_hash="none",
    slot=1,
    state=EngineState.RUNNING,
    launched_at=datetime(2026, 11, 23, tzinfo=UTC),
    address="10.0.0.7:80",
)


def a_script(project: Path, text: str, *, mode: int = 0o755) -> SmokeSpec:
    path = project / "smoke.sh"
    path.write_text(text)
    path.chmod(mode)
    return SmokeSpec(argv=("./smoke.sh",))


def smoked(spec: SmokeSpec, project: Path) -> SmokeVerdict:
    return run_smoke(spec, INSTANCE, fleet=KEY, image="web/2", project=project)


def a_pytest(project: Path, text: str) -> SmokeSpec:
    (project / "test_web.py").write_text(text)
    return SmokeSpec(argv=(sys.executable, "-m", "pytest", "-q", "test_web.py"))


def has_ended(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_exit_code_0_passes(tmp_path: Path) -> None:
    verdict = smoked(a_script(tmp_path, "#!/bin/sh\necho fine\n"), tmp_path)

    assert verdict == SmokeVerdict(
        passed=True, because="its smoke test ./smoke.sh passes", evidence="fine"
    )


def test_it_is_told_which_instance_and_runs_in_the_projects_folder(tmp_path: Path) -> None:
    program = "import json, os; print(json.dumps({**os.environ, 'cwd': os.getcwd()}))"

    verdict = smoked(SmokeSpec(argv=(sys.executable, "-c", program)), tmp_path)

    given = json.loads(verdict.evidence)
    assert {k: v for k, v in given.items() if k not in os.environ} == {
        "OVENBIRD_ADDRESS": "10.0.0.7:80",
        "OVENBIRD_INSTANCE": "dev-web-k3f9",
        "OVENBIRD_FLEET": "web",
        "OVENBIRD_ENV": "dev",
        "OVENBIRD_IMAGE": "web/2",
        "cwd": str(tmp_path),
    }


def test_another_exit_code_fails_with_the_end_of_what_was_written(tmp_path: Path) -> None:
    script = "#!/bin/sh\nseq 20\necho no greeting >&2\nexit 7\n"

    verdict = smoked(a_script(tmp_path, script), tmp_path)

    assert not verdict.passed
    assert verdict.because == "its smoke test ./smoke.sh ended with exit code 7"
    assert verdict.evidence.splitlines() == [str(n) for n in range(12, 21)] + ["no greeting"]


def test_one_that_a_signal_ends_has_failed(tmp_path: Path) -> None:
    verdict = smoked(a_script(tmp_path, "#!/bin/sh\nkill -9 $$\n"), tmp_path)

    assert (verdict.passed, verdict.because.endswith("was ended by signal 9")) == (False, True)


def test_one_that_hangs_fails_in_time_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    script = "#!/bin/sh\nsleep 300 &\necho $! $$ >pids\necho waiting for the page\nwait\n"
    spec = a_script(tmp_path, script)
    begun = time.monotonic()

    verdict = smoked(SmokeSpec(argv=spec.argv, timeout=1.0), tmp_path)

    assert time.monotonic() - begun < 5
    assert verdict == SmokeVerdict(
        passed=False,
        because="its smoke test ./smoke.sh has not ended for 1 s",
        evidence="waiting for the page",
    )
    until(lambda: all(has_ended(int(p)) for p in (tmp_path / "pids").read_text().split()))


def test_one_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    script = "#!/bin/sh\ntrap 'echo not yet' TERM\necho $$ >pids\nwhile :; do sleep 0.1; done\n"
    spec = a_script(tmp_path, script)
    begun = time.monotonic()

    verdict = smoked(SmokeSpec(argv=spec.argv, timeout=0.5), tmp_path)

    assert not verdict.passed
    assert verdict.evidence.startswith("not yet")
    assert time.monotonic() - begun < 5
    until(lambda: has_ended(int((tmp_path / "pids").read_text())))


def test_what_left_the_group_and_holds_the_output_is_not_waited_for(tmp_path: Path) -> None:
    spec = a_script(tmp_path, "#!/bin/sh\nsetsid sleep 6 &\nwait\n")
    begun = time.monotonic()

    assert not smoked(SmokeSpec(argv=spec.argv, timeout=0.5), tmp_path).passed
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("./missing.sh",), "there is no file ./missing.sh"),
        (("no-such-program",), "there is no no-such-program on PATH"),
        (("./plain.txt",), "is not executable (chmod +x ./plain.txt)"),
        (("./no-interpreter.sh",), "./no-interpreter.sh"),
    ],
)
def test_a_program_that_cannot_be_started_is_the_operators_mistake(
    argv: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    (tmp_path / "plain.txt").write_text("#!/bin/sh\n")
    (tmp_path / "no-interpreter.sh").write_text("#!/no/such\n")
    (tmp_path / "no-interpreter.sh").chmod(0o755)

    with pytest.raises(ConfigurationError) as refused:
        smoked(SmokeSpec(argv=argv), tmp_path)

    assert why in refused.value.problem
    assert refused.value.exit_code == 2


def test_a_pytest_file_judges_by_its_tests(tmp_path: Path) -> None:
    good = "import os\ndef test_address(): assert os.environ['OVENBIRD_ADDRESS'] == '10.0.0.7:80'\n"
    assert smoked(a_pytest(tmp_path, good), tmp_path).passed

    bad = smoked(a_pytest(tmp_path, "def test_page(): assert 'hello' == 'bye'\n"), tmp_path)
    assert bad.because == "its smoke test test_web.py ended with exit code 1"
    assert "1 failed" in bad.evidence


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no test in the file (exit code 5)"),
        ("import no_such_module\n", "cannot be imported (exit code 2)"),
    ],
)
def test_a_pytest_file_that_tests_nothing_is_no_verdict(
    text: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        smoked(a_pytest(tmp_path, text), tmp_path)

    assert why in refused.value.problem
