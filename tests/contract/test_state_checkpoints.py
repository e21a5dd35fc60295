"""How far a stepped rollout has come, on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_checkpoints import *  # noqa: F403
