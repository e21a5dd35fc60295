"""What differs from an image and since when, on a real PostgreSQL server."""

from __future__ import annotations

from tests.unit.test_changes import *  # noqa: F403
