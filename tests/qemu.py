"""A tiny machine for tests: a distribution's kernel, busybox, and an init of thirty lines.

It boots in a few seconds without KVM, and does with its launch data what an image's units do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ovenbird.provider import qemu_store
from ovenbird.values.image import Artifact

KERNEL = "linux-image-cloud-amd64"
CACHE = Path("build/qemu")
"""The packages are fetched once for a checkout."""

MODULES = (
    *("drivers/virtio/virtio_ring", "drivers/virtio/virtio"),
    *("drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci_legacy_dev"),
    *("drivers/virtio/virtio_pci", "drivers/block/virtio_blk", "drivers/firmware/qemu_fw_cfg"),
    *("net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"),
    *("drivers/acpi/button", "drivers/input/evdev"),
)

FIRST = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t devtmpfs none /dev
for module in {modules}; do /bin/busybox insmod /$module.ko; done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /sbin/init
"""

INIT = """#!/bin/sh
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /run
mkdir -p /run/ovenbird /etc/acpi/PWRF
tar -xf /sys/firmware/qemu_fw_cfg/by_name/opt/ovenbird/seed/raw -C /run/ovenbird
stat -c '%a %n' /run/ovenbird/config.json /run/ovenbird/secrets/*
cat /run/ovenbird/config.json
if [ -e /run/ovenbird/job.json ]; then
    read -r program < /run/ovenbird/job.json
    program=${program#??}
    "${program%??}"
    echo "ovenbird-job: ended with $?"
    sync
    poweroff -f
fi
if [ -e /run/ovenbird/volumes.json ]; then
    for disk in /sys/block/vd*; do echo "disk $(cat $disk/serial)"; done
fi
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
httpd -p 80 -h /srv
acpid -d &
sleep 1
echo ready
while :; do sleep 1000; done
"""
POWER = "#!/bin/sh\necho asked to stop\nsync\npoweroff -f\n"
BY_HAND = """#!/bin/sh
echo changed > "$QUERY_STRING"
sync
printf 'Content-Type: text/plain\\r\\n\\r\\ndone\\n'
"""
SCRIPTS = {
    "/sbin/init": INIT,
    "/etc/acpi/PWRF/00000080": POWER,
    "/srv/cgi-bin/by-hand": BY_HAND,
    "/bin/end-0": "#!/bin/sh\nexit 0\n",
    "/bin/end-3": "#!/bin/sh\nexit 3\n",
    "/bin/go-on": "#!/bin/sh\nsleep 1000\n",
}
APPEND = "console=ttyS0 quiet net.ifnames=0"


def require_qemu() -> None:
    """Skip where this machine has no QEMU."""
    for program in ("qemu-system-x86_64", "qemu-img", "mke2fs", "dpkg-deb", "apt-get"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            pytest.skip(f"{program} is not installed: apt-get install qemu-system-x86 qemu-utils")


def packages() -> Path:
    """Return a folder with the unpacked kernel and busybox; fetched if need be."""
    made = CACHE.resolve() / "packages"
    if not made.exists():
        partial = made.with_name(f"partial-{os.getpid()}")
        partial.mkdir(parents=True)
        said = run_tool("apt-cache", "depends", "--important", KERNEL)
        kernel = next(word for word in said.split() if word.startswith("linux-image-6"))
        run_tool("apt-get", "download", kernel, "busybox-static", cwd=partial)
        for package in sorted(partial.glob("*.deb")):
            run_tool("dpkg-deb", "-x", str(package), str(partial))
            package.unlink()
        if not made.exists():
            partial.rename(made)
        else:
            shutil.rmtree(partial)
    return made


def tiny(folder: Path, *, append: str = APPEND, scripts: Mapping[str, str] = SCRIPTS) -> Artifact:
    """Make the tiny image and keep it among those of ``folder``."""
    made, files = folder / "making", packages()
    made.mkdir(parents=True)
    shutil.copyfile(next(files.glob("boot/vmlinuz-*")), made / "vmlinuz")
    (made / "initrd.img").write_bytes(b"".join(_archive(files)))
    _disk(made, files, scripts)
    boot = qemu_store.Boot(kernel="vmlinuz", initrd="initrd.img", append=append)
    return an_artifact(folder, qemu_store.keep(folder, made, boot=boot))


def an_artifact(folder: Path, artifact_id: str) -> Artifact:
    return Artifact(
        provider="qemu",
        id=artifact_id,
        template="",
        parent="",
        token="",
        location=str(qemu_store.images(folder)),
        size=0,
        baked_at=datetime(2026, 11, 22, tzinfo=UTC),
    )


def _disk(made: Path, files: Path, scripts: Mapping[str, str]) -> None:
    root = made / "root"
    for name in ("proc", "sys", "dev", "run", "etc/acpi", "srv/cgi-bin", "bin", "sbin", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(files / "bin" / "busybox", root / "bin")
    names = "sh mount mkdir tar stat cat sync poweroff ifconfig httpd acpid sleep echo"
    for name in names.split():
        (root / "bin" / name).symlink_to("busybox")
    for path, text in scripts.items():
        at = root / path.lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
        at.chmod(0o755)
    raw = made / "disk.raw"
    run_tool("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(root), str(raw), "32M")
    run_tool("qemu-img", "convert", "-O", "qcow2", str(raw), str(made / "disk.qcow2"))
    shutil.rmtree(root)
    raw.unlink()


def _archive(files: Path) -> Iterator[bytes]:
    """Make the initial memory disk, in the format that the kernel calls newc."""
    modules = next(files.glob("lib/modules/*")) / "kernel"
    first = FIRST.format(modules=" ".join(Path(name).name for name in MODULES))
    yield _entry("bin", b"", 0o40755)
    yield _entry("init", first.encode(), 0o100755)
    yield _entry("bin/busybox", (files / "bin" / "busybox").read_bytes(), 0o100755)
    for name in MODULES:
        yield _entry(f"{Path(name).name}.ko", (modules / f"{name}.ko").read_bytes(), 0o100644)
    yield _entry("TRAILER!!!", b"", 0)


def _entry(name: str, content: bytes, mode: int) -> bytes:
    sizes = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % size for size in sizes) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def run_tool(*argv: str, cwd: Path | None = None) -> str:
    """Run a program of QEMU's or of the file system's; return what it says."""
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return done.stdout
