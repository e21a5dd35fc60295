"""Baking with LXD: Packer's lxd builder, on one LXD or on whichever member of a cluster it takes.

The member may be another host, so what a bake is lent is pushed into the build instance, and all
that is asked goes through LXD's own client.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from ovenbird import process
from ovenbird.bake.lend import MOUNTED
from ovenbird.bake.oven import TreeNeeds
from ovenbird.provider import Engine
from ovenbird.provider.lxd_remote import client
from ovenbird.values.engine import LxdSettings
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.image import Artifact

if TYPE_CHECKING:
    from ovenbird.hygiene.content import Content

NETWORK = (
    'printf "[Match]\\nName=eth0 host0\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=ipv4\\n'
    '[DHCPv4]\\nClientIdentifier=mac\\n" > "$1"/etc/systemd/network/80-ovenbird.network',
    'chroot "$1" systemctl enable systemd-networkd',
    # networkd waits until udev has seen eth0. Of the host's other devices, which an instance sees
    # and may not touch, each would cost a line of the console.
    'mkdir "$1"/etc/systemd/system/systemd-udev-trigger.service.d && '
    'printf "[Service]\\nExecStart=\\nExecStart=-udevadm trigger --type=devices --action=add '
    '--subsystem-match=net\\n" '
    '> "$1"/etc/systemd/system/systemd-udev-trigger.service.d/ovenbird.conf',
)

BUILT = "ovenbird-bake"
"""Packer's name of what it built is this and the bake's token, see source.lxd.pkr.hcl.j2."""

_INSIDE = f"""\
for _ in $(seq 150); do
    [ ! -e {MOUNTED}/environment ] || break
    # The line of a default route; a small tree may have no program "ip".
    grep -Eq '^[[:alnum:]]+[[:space:]]00000000[[:space:]]' /proc/net/route && break
    sleep 0.2
done
[ ! -e {MOUNTED}/environment ] || while IFS= read -r line; do export "$line"; done \
< {MOUNTED}/environment
exec "$@"
"""
"""Before anything is lent, wait until the build instance has a network; then lend the words."""


class LxdOven:
    """Bakes images in the store of an LXD."""

    name = "lxd"
    needs = TreeNeeds(hooks=NETWORK)
    boot_deadline = 120.0
    lends_by_mount = False

    def __init__(self, provider: Engine, *, settings: LxdSettings, folder: Path, site: str) -> None:
        self._provider, self._settings = provider, settings
        self._folder, self._site = folder, site

    def environment(self, shims: Path) -> Mapping[str, str]:
        return self._client

    def adopt_tree(self, tar: Path, *, name: str) -> str:
        """Import a root file system; its name is part of it, so that no two bakes share one."""
        described = io.StringIO()
        facts = {
            "architecture": "x86_64",
            "creation_date": int(tar.stat().st_mtime),
            "properties": {"ovenbird": name},
        }
        YAML().dump(facts, described)
        metadata = tar.with_name(f".{name.rpartition('/')[2]}.metadata.tar")
        with tarfile.open(metadata, "w") as packed:
            entry = tarfile.TarInfo("metadata.yaml")
            entry.size = len(described.getvalue())
            packed.addfile(entry, io.BytesIO(described.getvalue().encode()))
        try:
            words = ("image", "import", str(metadata), str(tar), "--alias", name)
            self._lxc("Importing the base tree", *words)
        finally:
            metadata.unlink()
        alias: dict[str, str] = self._query(f"images/aliases/{name}")
        return alias["target"]

    def adopt_reference(self, reference: str) -> str:
        raise ConfigurationError.of(
            f"LXD cannot start from the OCI image {reference}.",
            remedy="Give the family a first tree (from: {mmdebstrap: …}), or bake it on podman.",
        )

    def adopt_disk(self, fetch: Callable[[], Path], *, name: str) -> str:
        raise ConfigurationError.of(
            "LXD cannot start from the disk of a virtual machine.",
            remedy="Bake the family on qemu: invoke bake FAMILY --on qemu",
        )

    def prepare(self, artifact_id: str, *, folder: Path, token: str) -> Mapping[str, str]:
        return {}

    def into(self, build: str, *, folder: Path, lent: Path) -> Sequence[str]:
        quiet = ("exec", "--mode=non-interactive", build, "--")
        return ["lxc", *quiet, "/bin/sh", "-c", _INSIDE, "sh"]

    def artifact_of(self, built: Mapping[str, object], *, folder: Path, token: str) -> str:
        return str(built["artifact_id"])

    def start(self, artifact_id: str, *, name: str, lent: Path) -> None:
        raise ConfigurationError.of(
            "Roles are tried on podman.", remedy="Try them there: invoke dev.roles"
        )

    def location(self) -> str:
        return self._provider.place

    def present(self, artifact: Artifact) -> bool:
        return self._provider.present(artifact)

    def size(self, artifact_id: str) -> int:
        return int(self._query(f"images/{artifact_id}")["size"])

    def parts(self, artifact_id: str) -> Sequence[tuple[str, str]]:
        return ()

    def contents(self, artifact_id: str, *, folder: Path) -> Generator[Content]:
        """A published instance is one tar with a rootfs in it; an imported tree is a tar alone,
        beside its description."""
        from ovenbird.hygiene.archive import of_tree

        out = folder / "image"
        out.mkdir()
        try:
            words = ("image", "export", artifact_id, str(out / "image"))
            self._lxc("Writing the image out", *words)
            roots = sorted(out.glob("*.root*"))
            yield from of_tree(*(roots or out.iterdir()), below="" if roots else "rootfs")
        finally:
            shutil.rmtree(out)

    def free(self) -> int:
        space = self._query(f"storage-pools/{self._settings.pool}/resources")["space"]
        return int(space["total"]) - int(space.get("used", 0))

    def name_artifact(self, artifact_id: str, *, family: str, number: int) -> None:
        name = f"ovenbird-{self._site}/{family}/{number}"
        self._lxc(f"Naming the image {name}", "image", "alias", "create", name, artifact_id)
        for alias in self._query(f"images/{artifact_id}")["aliases"]:
            if alias["name"].startswith(f"{BUILT}/"):  # Packer gives no image without a name
                self._lxc("Taking Packer's name off", "image", "alias", "delete", alias["name"])

    def stands(self, container: str) -> bool:
        return container in self._instances()

    def made_by(self, token: str) -> Sequence[str]:
        return sorted(
            image["fingerprint"]
            for image in self._query("images?recursion=1")
            if image["properties"].get("ovenbird.bake") == token
        )

    def clean(self, *, containers: Sequence[str], images: Sequence[str]) -> None:
        there = self._instances() if containers else set()
        for name in containers:
            if name in there:
                self._lxc(f"Removing {name}", "delete", "--force", name)
        known = self._query("images?recursion=1") if images else []
        for image in images:
            for held in known:
                names = {held["fingerprint"], *(a["name"] for a in held["aliases"])}
                if image in names:
                    self._lxc("Removing an image", "image", "delete", held["fingerprint"])

    def prover(self, *, folder: Path) -> Engine:
        return self._provider

    def proof_host(self, token: str, *, folder: Path) -> str:
        return f"lxc://{token}"

    def enter(self, container: str) -> tuple[str, str]:
        told = " ".join(f"{name}={value}" for name, value in self._client.items())
        return f"{told} lxc exec {container} -- bash", f"{told} lxc delete --force {container}"

    @cached_property
    def _client(self) -> Mapping[str, str]:
        return client(self._settings, self._folder / "lxd" / "client")

    def _instances(self) -> set[str]:
        return {path.rpartition("/")[2] for path in self._query("instances")}

    def _query(self, path: str) -> Any:
        return json.loads(self._lxc("Asking LXD", "query", f"/1.0/{path}").stdout)

    def _lxc(self, doing: str, *words: str) -> process.Finished:
        return process.run(["lxc", *words], doing=doing, env=self._client)
