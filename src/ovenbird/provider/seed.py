"""Launch data as one file, for engines that cannot mount files into an instance.

The instance unpacks it into /run/ovenbird, early in every boot.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from types import MappingProxyType

from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import Order
from ovenbird.values.launch import instance_config

SEED_PATH = "/var/lib/ovenbird/seed.tar"
"""Where an instance looks for it that was given no other device."""

JOB_EXIT_PATH = "/var/lib/ovenbird/job-exit"
"""Where an instance that ran a job leaves the exit code of its program, as text."""


def seed(order: Order, *, disks: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """Make the tar of an order: ``config.json``, ``secrets/NAME`` and, for a job, ``job.json``.

    ``disks`` are volumes that the instance has to mount itself, each disk's serial number with
    its path: ``volumes.json``. All is root's; secrets are 0400, the rest 0444. The same order
    gives the same bytes, whoever makes it and when. Raises `ConfigurationError` for a job that
    the image has not.
    """
    holder = io.BytesIO()
    with tarfile.open(fileobj=holder, mode="w", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, "config.json", 0o444, instance_config(order).encode())
        if order.job:
            _add(tar, "job.json", 0o444, json.dumps(list(program(order))).encode())
        if disks:
            _add(tar, "volumes.json", 0o444, json.dumps(dict(disks)).encode())
        for name, value in sorted(order.launch.secrets):
            _add(tar, f"secrets/{name}", 0o400, value)
    return holder.getvalue()


def program(order: Order) -> tuple[str, ...]:
    """Find the program of a job in the image's own contract: an order cannot say another one."""
    known = dict(order.contract.jobs)
    if order.job not in known:
        raise ConfigurationError.of(
            f"{order.version} has no job {order.job!r}; it has {', '.join(known) or 'none'}.",
            remedy="Name one of those, or bake an image of a family that has it.",
        )
    return known[order.job]


def _add(tar: tarfile.TarFile, name: str, mode: int, content: bytes) -> None:
    entry = tarfile.TarInfo(name)  # its time is 0, its owner root
    entry.mode, entry.size = mode, len(content)
    tar.addfile(entry, io.BytesIO(content))
