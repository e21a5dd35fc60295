"""One at a time on this host: locks that the kernel frees when their holder dies."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


def is_held(folder: Path, name: str) -> bool:
    """Say whether somebody holds the lock ``name`` now."""
    lock = lock_of(folder, name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def lock_of(folder: Path, name: str) -> FileLock:
    """Return the lock ``name`` of the site in ``folder``, not yet taken.

    ``acquire(timeout=0)`` raises `filelock.Timeout` where somebody else holds it.
    """
    locks = folder / "locks"
    locks.mkdir(exist_ok=True)
    return FileLock(locks / f"{name}.lock")
