"""Reach a container through `podman exec`, as containers.podman.podman does."""

from __future__ import annotations

import shlex
import subprocess

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: podman_exec
short_description: Reach a container through podman exec
description: [Reach a container through podman exec.]
options:
  remote_addr:
    description: The container.
    type: string
    vars: [{name: inventory_hostname}, {name: ansible_host}]
"""


class Connection(ConnectionBase):
    transport = "podman_exec"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        done = self._exec(["/bin/sh", "-c", cmd], in_data)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        with open(in_path, "rb") as source:
            done = self._exec(["/bin/sh", "-c", f"cat > {shlex.quote(out_path)}"], source.read())
        self._must_have_worked(done)

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        done = self._exec(["cat", "--", in_path], None)
        self._must_have_worked(done)
        with open(out_path, "wb") as target:
            target.write(done.stdout)

    def close(self):
        self._connected = False

    def _exec(self, argv, data):
        container = self.get_option("remote_addr")
        return subprocess.run(
            ["podman", "exec", "-i", "--env-file", "lent/environment", container, *argv],
            input=data or b"",
            capture_output=True,
            check=False,
        )

    def _must_have_worked(self, done):
        if done.returncode:
            raise AnsibleConnectionFailure(done.stderr.decode(errors="replace").strip())
