"""What a site remembers of each instance, on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_records import *  # noqa: F403
