"""The Ansible part of a bake, started by Packer inside the living bake and nowhere else.

Run as a file, it reads the job that the bake laid beside its ledger, and drives ansible-runner.
Progress goes to stdout, one line an event, marked so that the bake can tell it from Packer's own
words. It imports nothing else of Ovenbird, since every import is time in every bake; and it is
the only importer of ansible_runner.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from shlex import join, quote
from typing import Any, TypedDict

MARK = "::ovenbird:: "
GUARD = Path(__file__).parent / "guard"


class Job(TypedDict):
    """What the bake wrote beside its ledger: ``job.json``. ``host`` is the one host there is."""

    host: str
    project: str
    playbook: str
    seal: str
    variables: dict[str, object]
    push: dict[str, str]  # a folder of the bake's: where it is to be in the build instance


class Progress(TypedDict):
    """One line of progress. ``log`` is a piece of Ansible's own output."""

    task: str
    ok: int
    changed: int
    log: str


def main() -> int:
    """Run the playbook and the seal on the build instance; return Ansible's exit code."""
    folder = Path(os.environ["OVENBIRD_BAKE_LEDGER"]).parent
    job: Job = json.loads((folder / "job.json").read_text())
    into = json.loads((folder / "ledger.json").read_text())["into"]
    for lent, there in job["push"].items():
        _push(Path(lent), there, into)
    return _play(folder, job)


def _push(lent: Path, there: str, into: list[str]) -> None:
    """Send what the bake is lent to an instance that cannot mount it. It lies in /run there."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(lent, arcname=".", filter=_as_root)
    unpack = f"mkdir -p -m 0700 {quote(there)} && tar -x -C {quote(there)} -f -"
    subprocess.run([*into, "/bin/sh", "-c", unpack], input=packed.getvalue(), check=True)


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _play(folder: Path, job: Job) -> int:
    import ansible_runner

    variables = {
        **job["variables"],
        "ansible_connection": "build",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    (folder / "variables.json").write_text(json.dumps(variables))
    (folder / "hosts.yml").write_text(json.dumps({"bake": {"hosts": {job["host"]: {}}}}))
    first = str(Path(job["project"]) / job["playbook"])
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

    (folder / "runner").mkdir(mode=0o700)
    result = ansible_runner.run(
        private_data_dir=str(folder / "runner"),
        # Both playbooks in one run, which saves a start of Ansible: the runner appends the last.
        cmdline=join(["-i", f"{folder}/hosts.yml", "-e", f"@{folder}/variables.json", first]),
        playbook=str(Path(job["project"]) / job["seal"]),
        envvars=_environment(folder, Path(job["project"])),
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
