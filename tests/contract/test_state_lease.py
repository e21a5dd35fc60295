"""Who may change a fleet now, on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_lease import *  # noqa: F403
