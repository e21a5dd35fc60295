"""An LXD of the tests' own, alone on this machine, with a small image; and what it leaves: nothing.

It has its own folder, its own bridge, and a pool on a small disk that a test may fill.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import ssl
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import require_lxd
from tests.contract.conftest import PROGRAMS, a_small_image
from tests.engine import a_disk

from ovenbird import process
from ovenbird.values.engine import LxdSettings
from ovenbird.values.image import Artifact

PORT = 18400
BLOCK = 79  # the second number of the bridge's addresses

INIT = """#!/bin/sh
# 37 is SIGRTMIN+3, by which systemd is asked to halt.
trap 'echo asked to stop; sleep 0.3; exit 0' 37
mkdir -p /run/ovenbird
tar -xf /var/lib/ovenbird/seed.tar -C /run/ovenbird
echo "started as $*"
stat -c '%a %n' /run/ovenbird/config.json /run/ovenbird/secrets/token
cat /run/ovenbird/config.json
if [ -e /run/ovenbird/job.json ]; then
    read -r program < /run/ovenbird/job.json
    program=${program#??}
    "${program%??}"
    code=$?
    echo "$code" > /var/lib/ovenbird/job-exit
    echo "ovenbird-job: ended with $code"
    exit 0
fi
echo ready
sleep 1000 & wait
"""
SCRIPTS = {
    "/sbin/init": INIT,
    "/bin/end-0": "#!/bin/sh\nexit 0\n",
    "/bin/end-3": "#!/bin/sh\nexit 3\n",
    "/bin/go-on": "#!/bin/sh\nsleep 1000\n",
}
METADATA = b"architecture: x86_64\ncreation_date: 1\nproperties: {description: small}\n"
PRESEED = """
config: {{core.https_address: "127.0.0.1:{port}", images.compression_algorithm: none}}
networks:
- name: {bridge}
  type: bridge
  config: {{ipv4.address: {prefix}.1/24, ipv4.nat: "false", ipv4.firewall: "false",
    ipv6.address: none, ipv4.dhcp: "false"}}
storage_pools:
- {{name: default, driver: dir, config: {{source: {pool}}}}}
profiles:
- name: default
  devices:
    root: {{type: disk, path: /, pool: default}}
    eth0: {{type: nic, network: {bridge}, name: eth0}}
"""


class Lxc:
    """LXD's own client for tests, at the daemon whose ``LXD_DIR`` is ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *argv: str, stdin: bytes | None = None) -> str:
        """Run one of LXD's own programs against this daemon."""
        return process.run(
            argv, doing=f"Running {argv[0]}", env=self._environment, stdin=stdin
        ).stdout

    def told(self, token: str) -> dict[str, Any]:
        """What it says of one instance, state and all."""
        said: dict[str, Any] = json.loads(
            self.run("lxc", "query", f"/1.0/instances/{token}?recursion=1")
        )
        return said

    def power_of(self, token: str) -> str:
        """How it remembers the last state of an instance."""
        return str(self.told(token)["config"].get("volatile.last_state.power", ""))

    def end(self, token: str) -> None:
        """End the init of an instance behind everybody's back."""
        init = int(self.told(token)["state"]["pid"])
        assert init > 1, f"{token} has no process"  # 0 and -1 mean others to kill
        os.kill(init, signal.SIGKILL)

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "LXD_DIR": str(self.folder), "HOME": str(self.folder)}

    def import_image(self, description: str = "small") -> Artifact:
        """Import the small image; another description makes another fingerprint."""
        with tempfile.TemporaryDirectory() as at:
            root, meta = Path(at) / "root.tar", Path(at) / "meta.tar"
            root.write_bytes(a_small_image((*PROGRAMS, "/bin/tar", "/bin/mkdir"), SCRIPTS))
            meta.write_bytes(_metadata(description))
            said = self.run("lxc", "image", "import", str(meta), str(root))
        return an_artifact(said.split()[-1])


class OneLxd(Lxc):
    """One daemon. ``folder`` is its ``LXD_DIR``, ``pool`` the disk of its storage."""

    def __init__(self, folder: Path, pool: Path) -> None:
        super().__init__(folder)
        self.pool = pool
        self.port = PORT + os.getpid() % 400
        self.prefix = f"10.{BLOCK}.{os.getpid() % 200 + 20}"
        self.bridge = f"obt{os.getpid()}"
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon, and wait until it answers."""
        command = ["lxd", "--group", "root", f"--logfile={self.folder}/lxd.log"]
        with (self.folder / "lxd.out").open("ab") as output:
            self._daemon = subprocess.Popen(
                command, env=self._environment, stdout=output, stderr=output
            )
        self.run("lxd", "waitready", "--timeout=60")

    def prepare(self) -> None:
        text = PRESEED.format(
            port=self.port, bridge=self.bridge, prefix=self.prefix, pool=self.pool / "instances"
        )
        (self.pool / "instances").mkdir()
        self.run("lxd", "init", "--preseed", stdin=text.encode())

    def kill(self) -> None:
        """End the daemon as a crash does: what runs in its instances goes on."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGKILL)
        self._daemon.wait()

    def close(self) -> None:
        """End all of it: instances, network, daemon."""
        for name in self.run("lxc", "list", "--format=csv", "--columns=n").split():
            self.run("lxc", "delete", "--force", name)
        self.run("lxc", "profile", "device", "remove", "default", "eth0")
        self.run("lxc", "network", "delete", self.bridge)
        self.shut_down()
        self._forget_rules()

    def _forget_rules(self) -> None:
        """Remove its bridge's rules of the firewall: a daemon that was killed adds them twice,
        and takes one of each away."""
        for table in ("filter", "nat", "mangle"):
            told = process.run(("iptables", "-t", table, "-S"), doing="Reading").stdout
            for rule in told.splitlines():
                if rule.startswith("-A") and f" {self.bridge} " in rule:
                    words = ("iptables", "-w", "-t", table, "-D", *shlex.split(rule)[1:])
                    process.run(words, doing="Removing a rule")

    def shut_down(self) -> None:
        """End the daemon and take back its mounts."""
        self.run("lxd", "shutdown", "--timeout=10")
        assert self._daemon is not None
        self._daemon.wait(timeout=30)
        lines = Path("/proc/self/mounts").read_text().splitlines()
        mine = [line.split()[1] for line in lines if f" {self.folder}/" in line]
        for point in sorted(mine, reverse=True):
            subprocess.run(["umount", "--lazy", point], check=True)

    @property
    def local(self) -> LxdSettings:
        """How it is reached by its socket."""
        return LxdSettings(endpoints=(f"unix:{self.folder}/unix.socket",))

    def remote(self, *, certificate: Path, key: Path) -> LxdSettings:
        """How it is reached by a client whose certificate it trusts."""
        return LxdSettings(
            endpoints=(f"https://127.0.0.1:{self.port}",),
            pin=self.pin,
            certificate=str(certificate),
            key=str(key),
        )

    @property
    def pin(self) -> str:
        pem = (self.folder / "server.crt").read_text()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no byte in the pool, for as long as the context is open."""
        filler = self.pool / "filler"
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True, check=False
        )
        try:
            yield
        finally:
            filler.unlink()


@contextmanager
def one_lxd(*, pool: str = "256m") -> Iterator[OneLxd]:
    """Lend an LXD that is gone afterwards."""
    require_lxd()
    with a_disk(size=pool) as disk, tempfile.TemporaryDirectory(prefix="obl-", dir="/tmp") as at:
        lxd = OneLxd(Path(at), disk)
        lxd.start()
        try:
            lxd.prepare()
            yield lxd
        finally:
            lxd.close()
            with suppress(FileNotFoundError):
                shutil.rmtree(disk / "instances")


def a_client(folder: Path) -> tuple[Path, Path]:
    """Make a client's certificate and key."""
    certificate, key = folder / "client.crt", folder / "client.key"
    words: Sequence[str] = (
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
        *("-nodes", "-days", "2", "-subj", "/CN=ovenbird-tests"),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    process.run(words, doing="Making a certificate")
    return certificate, key


def an_artifact(fingerprint: str) -> Artifact:
    return Artifact(
        provider="lxd",
        id=fingerprint,
        template="",
        parent="",
        token="",
        location="",
        size=0,
        baked_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def _metadata(description: str) -> bytes:
    holder = io.BytesIO()
    content = METADATA.replace(b"small", description.encode())
    with tarfile.open(fileobj=holder, mode="w") as tar:
        entry = tarfile.TarInfo("metadata.yaml")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return holder.getvalue()


@pytest.fixture(scope="module")
def lxd() -> Iterator[OneLxd]:
    """One LXD for all tests of a file that imports this. Two at once on one host disturb each
    other, so these files are one group for xdist."""
    with one_lxd() as made:
        yield made
