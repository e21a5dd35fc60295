"""The second line of the bake guard: Ansible gets no variables outside a bake.

It stands behind the callback for the case that another callback of the same name shadows it,
and for the programs that load no callbacks.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.vars import BaseVarsPlugin

_FIRST_LINE = Path(__file__).resolve().parent.parent / "callback_plugins" / "only_inside_a_bake.py"


def _first_line():
    """Load the callback by its path: a name could be somebody else's."""
    spec = importlib.util.spec_from_file_location("_ovenbird_bake_guard", _FIRST_LINE)
    guard = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(guard)
    return guard


class VarsModule(BaseVarsPlugin):
    def get_vars(self, loader, path, entities, cache=True):
        super().get_vars(loader, path, entities)
        guard = _first_line()
        if why := guard.why_not():
            raise AnsibleError(guard.SENTENCE.format(why=why))
        return {}
