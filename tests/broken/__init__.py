"""Every kind of broken configuration, as a table. A new kind is a new row."""

from __future__ import annotations

from tests.broken.files import BAKE_KINDS, FILE_KINDS
from tests.broken.fleets import FLEET_KINDS
from tests.broken.images import IMAGE_KINDS, PLAYBOOK_KINDS
from tests.broken.mutation import Kind
from tests.broken.procedure import PROCEDURE_KINDS
from tests.broken.stateful import STATEFUL_KINDS
from tests.broken.templates import GUARD_KINDS, TEMPLATE_KINDS

KINDS: tuple[Kind, ...] = (
    *FILE_KINDS,
    *IMAGE_KINDS,
    *PLAYBOOK_KINDS,
    *FLEET_KINDS,
    *PROCEDURE_KINDS,
    *STATEFUL_KINDS,
    *BAKE_KINDS,
    *TEMPLATE_KINDS,
    *GUARD_KINDS,
)
