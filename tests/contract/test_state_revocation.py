"""What a revocation means, and promotions at the same moment, on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_revocation import *  # noqa: F403
