"""Which images there are, on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_catalog import *  # noqa: F403
