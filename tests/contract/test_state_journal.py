"""What a site remembers of one fleet, on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_journal import *  # noqa: F403
