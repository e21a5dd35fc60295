"""The only way from Ansible into a machine: the build instance of the running bake.

Whatever a task asks for, the commands go where the ledger says, through the argv prefix that the
bake wrote there; a task that believes to talk to anybody else is refused before it connects.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: build
short_description: Reach the build instance of the running bake, and nothing else
description:
  - Runs commands with the argv prefix that the bake wrote in its ledger.
options:
  remote_addr:
    description: Who Ansible believes it talks to. Anything but the ledger's target is refused.
    type: string
    vars:
      - name: inventory_hostname
      - name: ansible_host
"""

_GUARD = Path(__file__).resolve().parent.parent / "callback_plugins" / "only_inside_a_bake.py"


def _read_ledger():
    spec = importlib.util.spec_from_file_location("_ovenbird_bake_guard", _GUARD)
    guard = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(guard)
    ledger, why = guard.read_ledger()
    if why:
        raise AnsibleError(guard.SENTENCE.format(why=why))
    return ledger


class Connection(ConnectionBase):
    """Commands and files for one instance. It has no address: there is nobody else to reach."""

    transport = "build"
    has_pipelining = True

    def _connect(self):
        if self._connected:
            return self
        ledger = _read_ledger()
        asked = {self._play_context.remote_addr, self.get_option("remote_addr")} - {None}
        if asked != {ledger["name"]}:
            others = ", ".join(sorted(asked - {ledger["name"]}))
            raise AnsibleError(
                f"REFUSED: this bake reaches only its build instance {ledger['name']!r}, "
                f"not {others or 'nobody'!r}. Nothing was sent."
            )
        self._into = [str(word) for word in ledger["into"]]
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        done = self._run(["/bin/sh", "-c", cmd], data=in_data)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(f"There is no file {in_path} to send.")
        with open(in_path, "rb") as source:
            write = f"umask 077; cat > {shlex.quote(out_path)}"
            done = self._run(["/bin/sh", "-c", write], stdin=source)
        self._must_have_worked(done, f"Sending {in_path}")

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        with open(out_path, "wb") as target:
            done = self._run(["cat", "--", in_path], stdout=target)
        self._must_have_worked(done, f"Fetching {in_path}")

    def reset(self):
        """Forget what was looked up; there is no session that could be stale."""
        self.close()
        self._connect()

    def close(self):
        self._connected = False

    def _run(self, argv, *, data=None, stdin=None, stdout=subprocess.PIPE):
        self._connect()
        # Without DEVNULL a prefix with -i would read what belongs to Ansible's own terminal.
        source = {"input": data} if data is not None else {"stdin": stdin or subprocess.DEVNULL}
        try:
            return subprocess.run(
                [*self._into, *argv], stdout=stdout, stderr=subprocess.PIPE, check=False, **source
            )
        except OSError as fault:
            raise AnsibleConnectionFailure(
                f"{self._into[0]} could not be started to reach the build instance: {fault}"
            ) from fault

    def _must_have_worked(self, done, doing):
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip()
            raise AnsibleConnectionFailure(f"{doing} failed with {done.returncode}: {last}")
