"""Load for the integration tests: Ovenbird's own, with what a test wants to say of it."""

from __future__ import annotations

from ovenbird.fleet.traffic import Kind, Miss, Served, Traffic

__all__ = ["Kind", "Miss", "Served", "Traffic", "nobody_was_turned_away"]


def nobody_was_turned_away(results: Served, *, at_least: int) -> None:
    """Fail with the first ten misses, or where there was too little traffic to prove anything."""
    first = "\n".join(str(miss) for miss in results.failed[:10])
    assert not results.failed, f"{results}\n{first}"
    assert results.served >= at_least, str(results)
    assert all(results.by_kind.get(kind) for kind in Kind), dict(results.by_kind)
