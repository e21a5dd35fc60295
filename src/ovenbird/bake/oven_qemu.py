"""Baking with QEMU: Packer's qemu builder, on a disk of its own that becomes a golden one.

The kernel lies beside the disk and is part of the image. Nothing of the way in stays behind: see
`oven_qemu_door`.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ovenbird.bake import oven_qemu_disk as disks
from ovenbird.bake import oven_qemu_machine as machine
from ovenbird.bake.oven import TreeNeeds
from ovenbird.bake.oven_qemu_door import APPEND, HOST, PORT, Prover, way_of
from ovenbird.provider import Engine, qemu_accelerator, qemu_store
from ovenbird.values.engine import QemuSettings
from ovenbird.values.errors import BakeFailed, ConfigurationError
from ovenbird.values.image import Artifact

if TYPE_CHECKING:
    from ovenbird.hygiene.content import Content

PACKAGES = ("linux-image-cloud-amd64", "openssh-server", "systemd-resolved")
HOOKS = (
    'printf "[Match]\\nType=ether\\n[Network]\\nDHCP=ipv4\\n[DHCPv4]\\nClientIdentifier=mac\\n" '
    '> "$1"/etc/systemd/network/80-ovenbird.network',
    # Nothing listens in an image but what its family is for: the resolver only writes a file.
    'mkdir -p "$1"/etc/systemd/resolved.conf.d && '
    'printf "[Resolve]\\nDNSStubListener=no\\nLLMNR=no\\nMulticastDNS=no\\n" '
    '> "$1"/etc/systemd/resolved.conf.d/50-ovenbird.conf && '
    'ln -sf ../run/systemd/resolve/resolv.conf "$1"/etc/resolv.conf',
    'chroot "$1" systemctl enable systemd-networkd && chroot "$1" systemctl disable ssh',
    'rm -f "$1"/etc/ssh/ssh_host_*',
    'printf "LABEL=root / ext4 errors=remount-ro 0 0\\n" > "$1"/etc/fstab',
    # An initrd for one machine's devices boots seconds sooner than one for all there are.
    'printf "MODULES=list\\n" > "$1"/etc/initramfs-tools/conf.d/ovenbird && '
    'printf "virtio_pci\\nvirtio_blk\\next4\\ncrc32c\\n" >> "$1"/etc/initramfs-tools/modules && '
    'chroot "$1" update-initramfs -u -k all',
)
ORIGIN = "origin.json"
"""Which bake made an image, and its name in the catalog. It lies beside the disk."""


class QemuOven:
    """Bakes disks that the site keeps, in FOLDER/qemu/images."""

    name = "qemu"
    needs = TreeNeeds(include=PACKAGES, hooks=HOOKS)
    boot_deadline = 180.0  # without KVM a guest takes half a minute, and proofs boot two at once
    lends_by_mount = False

    def __init__(
        self, provider: Engine, *, settings: QemuSettings, folder: Path, site: str
    ) -> None:
        self._provider, self._settings = provider, settings
        self._folder, self._site = folder, site

    def environment(self, shims: Path) -> Mapping[str, str]:
        return {}

    def adopt_tree(self, tar: Path, *, name: str) -> str:
        draft = self._draft(name)
        return self._keep(disks.golden(disks.raw_of_tree(tar, draft), draft), draft, name)

    def adopt_reference(self, reference: str) -> str:
        raise ConfigurationError.of(
            f"QEMU cannot start from the OCI image {reference}.",
            remedy="Give the family a first tree (from: {mmdebstrap: …}), or bake it on podman.",
        )

    def adopt_disk(self, fetch: Callable[[], Path], *, name: str) -> str:
        file, draft = fetch(), self._draft(name)
        return self._keep(disks.golden(disks.raw_of(file, draft), draft), draft, name)

    def prepare(self, artifact_id: str, *, folder: Path, token: str) -> Mapping[str, str]:
        image = qemu_store.golden(self._folder, artifact_id, what="the parent")
        accelerator = qemu_accelerator.chosen(self._settings, self._folder, image)
        way = way_of(folder)
        return {
            "disk": str(image.disk),
            "disk_size": f"{disks.virtual_size(image.disk) >> 20}M",
            "output": str(folder / "out"),
            "accelerator": accelerator,
            "cpu": qemu_accelerator.flags(accelerator)[-1],
            "kernel": str(image.folder / image.boot.kernel),
            "initrd": str(image.folder / image.boot.initrd),
            "append": f"{image.boot.append} {APPEND}",
            "door": way.device,
            "key": str(way.key),
            "host_port": str(way.port),
            "guest_port": str(PORT),
            "pid_file": str(machine.pid_file(folder)),
            "console": str(folder / "console.log"),
        }

    def into(self, build: str, *, folder: Path, lent: Path) -> Sequence[str]:
        return [str(way_of(folder).wrapper)]

    def artifact_of(self, built: Mapping[str, object], *, folder: Path, token: str) -> str:
        disk = folder / "out" / "disk.qcow2"
        if not disk.exists():
            raise BakeFailed(
                f"Packer left no disk: {disk.name} is not among {built.get('files')}.",
                remedy="Keep vm_name in packer/source.qemu.pkr.hcl.j2 as it is shipped.",
            )
        draft = self._draft(token)
        raw = disks.raw_of(disk, draft)
        disk.unlink()
        return self._keep(disks.golden(raw, draft), draft, token)

    def start(self, artifact_id: str, *, name: str, lent: Path) -> None:
        folder = lent.parent
        said = self.prepare(artifact_id, folder=folder, token=name)
        machine.start(said, folder / "disk.qcow2", name=name)
        machine.lend(self.into(name, folder=folder, lent=lent), lent, deadline=self.boot_deadline)

    def location(self) -> str:
        return str(qemu_store.images(self._folder))

    def present(self, artifact: Artifact) -> bool:
        return self._provider.present(artifact)

    def size(self, artifact_id: str) -> int:
        return qemu_store.size(self._folder, artifact_id)

    def parts(self, artifact_id: str) -> Sequence[tuple[str, str]]:
        return qemu_store.parts(self._folder, artifact_id)

    def contents(self, artifact_id: str, *, folder: Path) -> Generator[Content]:
        from ovenbird.hygiene.disk import of_disk

        yield from of_disk(qemu_store.golden(self._folder, artifact_id, what="this bake").disk)

    def free(self) -> int:
        return shutil.disk_usage(self._folder).free

    def name_artifact(self, artifact_id: str, *, family: str, number: int) -> None:
        """Write its name beside its disk: ``grep . images/*/origin.json`` tells which is which."""
        hex_id = artifact_id.removeprefix("sha256:")
        path = qemu_store.images(self._folder) / hex_id / ORIGIN
        origin = {**json.loads(path.read_text()), "image": f"{family}/{number}"}
        path.write_text(json.dumps(origin) + "\n")

    def stands(self, container: str) -> bool:
        return machine.running(self._bake(container), container) is not None

    def made_by(self, token: str) -> Sequence[str]:
        return sorted(image for image, bake in self._origins() if bake == token)

    def clean(self, *, containers: Sequence[str], images: Sequence[str]) -> None:
        for token in containers:
            machine.end(self._bake(token), token)
        for name in (*containers, *images):
            shutil.rmtree(self._draft_of(name), ignore_errors=True)
        for image, bake in list(self._origins()):
            if {image, bake} & set(images):
                qemu_store.remove(self._folder, image)

    def prover(self, *, folder: Path) -> Engine:
        return Prover(way_of(folder), folder=self._folder, site=self._site, settings=self._settings)

    def proof_host(self, token: str, *, folder: Path) -> str:
        return f"ssh://{token}?ssh_config={way_of(folder).config_of(token)}&timeout=60"

    def enter(self, container: str) -> tuple[str, str]:
        config = way_of(self._bake(container)).config
        pid = machine.running(self._bake(container), container)
        return f"ssh -F {shlex.quote(str(config))} {HOST}", f"kill {pid}"

    def _bake(self, token: str) -> Path:
        return self._folder / "bakes" / token

    def _draft(self, name: str) -> Path:
        """Make a folder for an image that is being written; on the disk where images are kept."""
        draft = self._draft_of(name)
        draft.mkdir(parents=True)
        return draft

    def _draft_of(self, name: str) -> Path:
        return self._folder / "qemu" / "drafts" / name.rpartition("/")[2]

    def _keep(self, boot: qemu_store.Boot, draft: Path, bake: str) -> str:
        (draft / ORIGIN).write_text(json.dumps({"bake": bake}) + "\n")
        return qemu_store.keep(self._folder, draft, boot=boot)

    def _origins(self) -> Iterator[tuple[str, str]]:
        """Yield each image's artifact id and which bake made it."""
        for path in qemu_store.images(self._folder).glob(f"*/{ORIGIN}"):
            yield f"sha256:{path.parent.name}", json.loads(path.read_text())["bake"]
