"""QEMU's monitor: the few things that are asked of a machine from outside of it.

One client at a time is answered, so whoever asks holds the machine's lock.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from qemu.qmp import QMPClient, QMPError

from ovenbird.values.errors import EngineUnreachable

ANSWER = 10.0
"""Seconds in which QEMU answers a question, however busy its guest is."""

Asked = Callable[[QMPClient], Awaitable[None]]


def press_the_power_button(folder: Path) -> None:
    """Ask the guest to power off. It may take its time, or not listen; and a QEMU that does not
    answer has just ended, or hangs: whoever asks looks for its end anyway."""

    async def press(client: QMPClient) -> None:
        await client.execute("system_powerdown")

    with suppress(EngineUnreachable):
        _asked(folder, press, timeout=ANSWER)


def copy_disk(folder: Path, *, to: Path, name: str, timeout: float) -> None:
    """Copy what a machine has written to its own disk, as it is at this moment.

    ``to`` is a qcow2 on the same golden disk, made before. The guest notices nothing. Raises
    `EngineUnreachable`.
    """

    async def copy(client: QMPClient) -> None:
        await _forget_copies(client)
        file = {"driver": "file", "filename": str(to)}
        node = {"driver": "qcow2", "node-name": name, "file": file, "backing": None}
        await client.execute("blockdev-add", node)
        try:
            job = {"job-id": name, "device": "disk", "target": name, "sync": "top"}
            await client.execute("blockdev-backup", {**job, "auto-dismiss": False})
            await _ended(client, name)
        finally:
            await client.execute("blockdev-del", {"node-name": name})

    _asked(folder, copy, timeout=timeout)


async def _forget_copies(client: QMPClient) -> None:
    """Let go of what one had opened that was killed over it."""
    for job in await _listed(client, "query-jobs"):
        if str(job["id"]).startswith("copy-"):
            if job["status"] != "concluded":
                await client.execute("job-cancel", {"id": job["id"]})
            await _ended(client, str(job["id"]), is_wanted=False)
    for node in await _listed(client, "query-named-block-nodes"):
        if str(node["node-name"]).startswith("copy-"):
            await client.execute("blockdev-del", {"node-name": node["node-name"]})


async def _ended(client: QMPClient, name: str, *, is_wanted: bool = True) -> None:
    while True:
        (job,) = [job for job in await _listed(client, "query-jobs") if job["id"] == name]
        if job["status"] == "concluded":
            break
        await asyncio.sleep(0.02)
    await client.execute("job-dismiss", {"id": name})
    if is_wanted and job.get("error"):
        raise EngineUnreachable(
            "QEMU could not copy the disk to compare it.",
            remedy="See whether the disk of this host is full: df -h. Then run this again.",
            evidence=str(job["error"]),
        )


async def _listed(client: QMPClient, command: str) -> list[dict[str, object]]:
    said = await client.execute(command)
    assert isinstance(said, list)
    return said


def _asked(folder: Path, ask: Asked, *, timeout: float) -> None:
    """Connect by a path that is short wherever the folder is: of a socket's 107 letters count."""
    try:
        at = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError as gone:
        raise _silent(folder, gone) from gone
    try:
        asyncio.run(asyncio.wait_for(_connected(f"/proc/self/fd/{at}/qmp.sock", ask), timeout))
    except (QMPError, OSError, TimeoutError) as failure:
        raise _silent(folder, failure) from failure
    finally:
        os.close(at)


async def _connected(address: str, ask: Asked) -> None:
    client = QMPClient("ovenbird")
    client.logger.disabled = True  # it would tell of lost connections what we raise as errors
    await client.connect(address)
    try:
        await ask(client)
    finally:
        await client.disconnect()


def _silent(folder: Path, failure: Exception) -> EngineUnreachable:
    return EngineUnreachable(
        f"The QEMU of {folder.name} does not answer.",
        remedy="See whether it still runs: ps -C qemu-system-x86_64 -o pid,stat,args",
        evidence=str(failure),
    )
