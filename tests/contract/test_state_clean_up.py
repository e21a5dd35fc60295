"""What a clean-up leaves and deletes, with the state on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_clean_up import *  # noqa: F403
