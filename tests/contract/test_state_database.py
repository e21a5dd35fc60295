"""What a site's database promises, on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_database import *  # noqa: F403
