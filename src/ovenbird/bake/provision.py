"""The Ansible part of a bake, started by Packer inside the living bake and nowhere else.

``python -m ovenbird.bake.provision`` reads the ledger that the bake wrote, completes it with the
way into the build instance, and drives ansible-runner. Progress goes to stdout, one line an
event, marked so that the bake can tell it from Packer's own words. This is the only importer of
ansible_runner.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any, TypedDict

from ovenbird.bake import ledger

MARK = "::ovenbird:: "
GUARD = Path(__file__).parent / "guard"


class Job(TypedDict):
    """What the bake wrote beside its ledger: ``job.json``. ``into`` has ``BUILD`` as a place for
    the engine's name of the build instance, which only Packer knows."""

    project: str
    playbook: str
    seal: str
    variables: dict[str, object]
    into: list[str]


class Progress(TypedDict):
    """One line of progress. ``log`` is a piece of Ansible's own output."""

    task: str
    ok: int
    changed: int
    log: str


def main() -> int:
    """Run the playbook and the seal on the build instance; return Ansible's exit code."""
    bake = ledger.read(Path(os.environ["OVENBIRD_BAKE_LEDGER"]))
    job: Job = json.loads((bake.folder / "job.json").read_text())
    build = os.environ["OVENBIRD_BUILD_ID"]
    bake.into = [build if word == "BUILD" else word for word in job["into"]]
    bake.write()
    return _play(bake, job)


def _play(bake: ledger.Ledger, job: Job) -> int:
    import ansible_runner

    room = bake.folder / "runner"
    (room / "env").mkdir(parents=True, mode=0o700)
    variables = {
        **job["variables"],
        "ansible_connection": "build",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    (room / "env" / "extravars").write_text(json.dumps(variables))
    ok = changed = 0

    def told(event: dict[str, Any]) -> bool:
        nonlocal ok, changed
        data = event.get("event_data") or {}
        if event["event"] == "runner_on_ok":
            ok += 1
            changed += bool((data.get("res") or {}).get("changed"))
        said = event.get("stdout", "")
        line = Progress(task=data.get("task", ""), ok=ok, changed=changed, log=said)
        print(MARK + json.dumps(line), flush=True)
        return False  # ansible-runner would keep the event in a file otherwise

    result = ansible_runner.run(
        private_data_dir=str(room),
        cmdline=quote(str(Path(job["project"]) / job["playbook"])),
        playbook=str(Path(job["project"]) / job["seal"]),
        inventory={"bake": {"hosts": {ledger.TARGET: {}}}},
        envvars=_environment(bake.folder, Path(job["project"])),
        event_handler=told,
        quiet=True,
    )
    return int(result.rc)


def _environment(folder: Path, project: Path) -> Mapping[str, str]:
    """Say everything that Ansible would else take from a file of the user's."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(project / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible" / "tmp"),
        "ANSIBLE_REMOTE_TMP": "/run/ansible",  # a tmpfs: nothing of it can reach the image
        "ANSIBLE_ROLES_PATH": str(project / "roles"),
        "ANSIBLE_CONNECTION_PLUGINS": str(GUARD / "connection_plugins"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "OVENBIRD_BAKE_LEDGER": str(folder / "ledger.json"),
    }


if __name__ == "__main__":
    sys.exit(main())
