"""A podman with a store, a network and a lock file of its own, so that its host can be restarted.

Whatever a reboot takes away is taken away here, for this one's containers only: their processes,
the runtime's and podman's memory of them, their mounts, their namespaces, their ports.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ovenbird import process
from ovenbird.provider.podman_engine import Host, settings_for

NETWORK = 213
"""10.213.N.0/24 is nobody's here; N is a process id's last byte, so that two runs do not meet."""


@contextmanager
def a_disk(*, size: str) -> Iterator[Path]:
    """Mount a small disk that a test may fill.

    Its path is short: podman cleans nothing up, and restarts nothing, below a runroot of more
    than 50 letters.
    """
    with tempfile.TemporaryDirectory(prefix="disk-", dir="/tmp") as at:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", at], check=True)
        try:
            yield Path(at)
        finally:
            unmounted(at)


def unmounted(at: str, *, seconds: float = 20) -> None:
    """Take a disk away as soon as the last program that was ended has let go of it."""
    deadline = time.monotonic() + seconds
    while subprocess.run(["umount", at], check=False, capture_output=True).returncode:
        assert time.monotonic() < deadline, f"somebody still uses {at}"
        time.sleep(0.2)


class PrivateEngine:
    """All of it lies below ``folder``, and `close` leaves nothing of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._name = f"ovenbird-{os.getpid()}"
        self._prefix = f"10.{NETWORK}.{os.getpid() % 256}"
        for name in ("root", "run", "tmp", "networks"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    @contextmanager
    def used(self, *, images_of: Path | None = None) -> Iterator[None]:
        """Let every podman that is started meanwhile be this one, and clean up.

        ``images_of`` is a store whose images it may read.
        """
        self._write_settings()
        more = f"additionalimagestores = [{json.dumps(str(images_of))}]" if images_of else ""
        lines = [
            *("[storage]", 'driver = "overlay"'),
            f"graphroot = {json.dumps(str(self.folder / 'root'))}",
            f"runroot = {json.dumps(str(self.folder / 'run'))}",
            *("[storage.options]", more),
        ]
        (self.folder / "storage.conf").write_text("\n".join([*lines, ""]))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            try:
                yield
            finally:
                self.close()

    def _write_settings(self) -> None:
        own = {
            "name": self._name,
            "id": f"{os.getpid():064x}",
            "driver": "bridge",
            "network_interface": f"ob{os.getpid()}",
            "created": "2026-01-01T00:00:00Z",
            "subnets": [{"subnet": f"{self._prefix}.0/24", "gateway": f"{self._prefix}.1"}],
            "ipv6_enabled": False,
            "internal": False,
            "dns_enabled": False,
            "ipam_options": {"driver": "host-local"},
        }
        (self.folder / "networks" / f"{self._name}.json").write_text(json.dumps(own))
        text = settings_for(Host.here({}))
        engine = f'[engine]\nlock_type = "file"\ntmp_dir = {json.dumps(str(self.folder / "tmp"))}\n'
        text = text.replace("[engine]\n", engine) if "[engine]" in text else text + engine
        text += f"[network]\nnetwork_config_dir = {json.dumps(str(self.folder / 'networks'))}\n"
        text += f"default_network = {json.dumps(self._name)}\n"
        (self.folder / "containers.conf").write_text(text)

    def podman(self, *argv: str, check: bool = True, stdin: bytes | None = None) -> str:
        return process.run(
            ("podman", *argv), doing="Asking", env=self.environment, check=check, stdin=stdin
        ).stdout

    def lose_power(self) -> None:
        """End all that runs here as a power cut does: no process of it hears anything."""
        for id_ in self.podman("ps", "--all", "--no-trunc", "--format={{.ID}}").split():
            (seen,) = json.loads(self.podman("inspect", id_))
            if conmon := seen["State"]["ConmonPid"]:
                with suppress(ProcessLookupError):
                    os.kill(conmon, signal.SIGKILL)
            _quietly(["runc", "delete", "--force", id_])
            if namespace := seen["NetworkSettings"]["SandboxKey"]:
                _quietly(["umount", namespace])
                Path(namespace).unlink(missing_ok=True)
        self._forget_ports()
        self._unmount()
        for name in ("run", "tmp"):
            shutil.rmtree(self.folder / name)
            (self.folder / name).mkdir()

    def boot(self) -> None:
        """Do what podman-restart.service does when the host is up again."""
        self.podman("start", "--all", "--filter", "restart-policy=always")

    def fill_the_disk(self) -> None:
        """Leave no byte where it stores, until `make_room`."""
        self.podman("ps", "--all")  # which makes its database
        filler = f"of={self._filler}"
        subprocess.run(["dd", "if=/dev/zero", filler, "bs=64k"], capture_output=True, check=False)

    def make_room(self) -> None:
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    def close(self) -> None:
        self.make_room()
        self.podman("rm", "--all", "--force", "--time=0")
        self._forget_ports()
        self._unmount()
        _quietly(["ip", "link", "delete", f"ob{os.getpid()}"])
        shutil.rmtree(self.folder)

    def _forget_ports(self) -> None:
        """Remove this network's rules of the firewall, which a kernel has none of when it boots."""
        for table in ("nat", "filter"):
            told = process.run(("iptables-save", "-t", table), doing="Reading").stdout
            for rule in told.splitlines():
                if rule.startswith("-A") and f"{self._prefix}." in rule:
                    _quietly(["iptables", "-t", table, "-D", *rule.split()[1:]])

    def _unmount(self) -> None:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        mine = [p for p in (line.split()[1] for line in lines) if p.startswith(f"{self.folder}/")]
        for point in sorted(mine, reverse=True):
            _quietly(["umount", point])


def _quietly(argv: Sequence[str]) -> None:
    subprocess.run(argv, check=False, capture_output=True)
