"""Ends Ansible before its first task unless a living bake is among its ancestors.

Beside the playbooks on purpose: Ansible loads this folder whatever ANSIBLE_CONFIG and the
working directory are. A callback that raises Exception only warns; SystemExit is not an
Exception, so it ends the run (exit 2). Standard library only: an import that fails would be a
warning too. `invoke check` compares this file with Ovenbird's own; `invoke dev.guard` restores it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ansible.plugins.callback import CallbackBase

SENTENCE = """✗ Ansible runs here only while an image is baked, and this is not a bake: {why}.
  Change the role or the playbook, then: invoke bake FAMILY && invoke rollout FLEET
"""


def ancestors():
    """Yield (pid, start time in ticks since boot) of this process, its parent, and so on.

    The start time makes the pair unique: a recycled pid does not count.
    """
    pid = os.getpid()
    while pid > 0:
        # The second field is a program's name in parentheses, and may hold both ")" and blanks.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        yield pid, fields[19]
        pid = int(fields[1])


def read_ledger():
    """Return (ledger, None), or (None, why it does not count).

    A ledger counts only while the process that it names is an ancestor: setting the variable by
    hand, or to what a dead bake has left, opens nothing.
    """
    path = os.environ.get("OVENBIRD_BAKE_LEDGER")
    if not path:
        return None, "no bake has started it"
    try:
        ledger = json.loads(Path(path).read_text())
        bake = int(ledger["pid"]), str(ledger["started"])
        if not ledger["name"] or not ledger["into"]:
            return None, "its ledger names no build instance"
    except (OSError, ValueError, TypeError, LookupError):
        return None, "its ledger cannot be read"
    try:
        if bake in ancestors():
            return ledger, None
    except (OSError, ValueError, LookupError):
        return None, "its ancestors cannot be read in /proc"
    return None, "the bake in its ledger did not start it, or has ended"


def why_not():
    """Say why this is not a bake, or return None inside one."""
    return read_ledger()[1]


def refuse(why):
    sys.stderr.write(SENTENCE.format(why=why))
    sys.stderr.flush()
    sys.exit(2)


class CallbackModule(CallbackBase):
    """Looks before anything happens, and again before each play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "only_inside_a_bake"

    def v2_playbook_on_start(self, playbook):
        if why := why_not():
            refuse(why)
        for play in playbook.get_plays():
            self._bake_only(play)

    def v2_playbook_on_play_start(self, play):
        # ansible-console starts plays without a playbook.
        if why := why_not():
            refuse(why)
        self._bake_only(play)

    def _bake_only(self, play):
        hosts = [play.hosts] if isinstance(play.hosts, str) else list(play.hosts)
        if hosts != ["bake"]:
            refuse(f"the play {play.get_name()!r} has the hosts {hosts!r}, and not 'bake'")
