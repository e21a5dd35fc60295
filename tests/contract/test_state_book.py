"""What holds of a fleet between rollouts, on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_book import *  # noqa: F403
