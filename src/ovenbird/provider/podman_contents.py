"""Is an image still what its id says? Read again from what the store holds, byte by byte.

First the archive that podman makes of it against the image's id, and then what containers are
mounted from against that archive. Only an overlay tells where that is; of another storage driver
the archive is all that is read.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from ovenbird.provider import podman_layers
from ovenbird.provider.podman_cli import Podman
from ovenbird.provider.podman_store import hex_id
from ovenbird.values.errors import Blocked, Tampered
from ovenbird.values.image import Artifact

FOUND_BY_PODMAN = ("integrity", "digest", "checksum", "no such file", "unexpected EOF")
"""What podman says where a file of a layer is not the one that was committed: it knows a checksum
of each, and puts layers together from the files."""

_CHUNK = 1 << 20


def verify(podman: Podman, artifact: Artifact) -> None:
    """Raise `Tampered` unless an image's id is the hash of its description, and every layer the
    one that is described. 2 s for 270 MB."""
    short = hex_id(artifact)[:12]
    cache = podman.folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="verify-", dir=cache) as folder:
        archive = Path(folder) / "image.tar"
        done = podman.change(
            *("save", "--quiet", "--format", "docker-archive", "--output", str(archive)),
            hex_id(artifact),
            doing=f"Reading the image {short}",
            check=False,
        )
        if done.code:
            if any(word in done.stderr for word in FOUND_BY_PODMAN):
                raise _tampered(short, done.stderr.strip().splitlines()[-1])
            raise Blocked(
                f"podman cannot read the image {short}, so nobody knows whether it is as it was.",
                remedy="Nothing was launched. See that it is there and the disk has room.",
                evidence=done.stderr,
            )
        _compare(archive, hex_id(artifact), _stored(podman, artifact))


def _stored(podman: Podman, artifact: Artifact) -> list[Path]:
    """Name the folders of the layers that containers are mounted from, the lowest one first; none
    where the storage driver does not tell."""
    asked = ("image", "inspect", "--format", "{{json .GraphDriver.Data}}", hex_id(artifact))
    told = podman.ask(*asked, doing="Asking where an image lies").stdout
    data: dict[str, str] = json.loads(told) or {}
    folders = [data.get("UpperDir", ""), *data.get("LowerDir", "").split(":")]
    return [Path(each) for each in reversed(folders) if each]


def _compare(archive: Path, image: str, stored: list[Path]) -> None:
    with tarfile.open(archive) as tar:
        (described,) = json.loads(_bytes(tar, "manifest.json"))
        config = _bytes(tar, described["Config"])
        if hashlib.sha256(config).hexdigest() != image:
            raise _tampered(image[:12], "its description is another one")
        wanted = json.loads(config)["rootfs"]["diff_ids"]
        if len(wanted) != len(described["Layers"]):
            raise _tampered(image[:12], "it has other layers than it describes")
        for name, digest in zip(described["Layers"], wanted, strict=True):
            if f"sha256:{_digest(_opened(tar, name))}" != digest:
                raise _tampered(image[:12], f"the layer {digest} is another one")
        if stored and len(stored) != len(wanted):
            raise _tampered(image[:12], "containers are mounted from other layers")
        for name, folder in zip(described["Layers"], stored, strict=False):
            if why := podman_layers.difference(_opened(tar, name), folder):
                raise _tampered(image[:12], why)


def _tampered(short: str, why: str) -> Tampered:
    return Tampered(
        f"podman's image {short} is not what was baked: {why}.",
        remedy="Nothing was launched. Find out who changed its files; then bake it again with "
        "--force, and roll to that.",
    )


def _bytes(tar: tarfile.TarFile, name: str) -> bytes:
    return _opened(tar, name).read()


def _opened(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)  # follows the links that the format has
    if file is None:
        raise KeyError(name)
    return file


def _digest(file: IO[bytes]) -> str:
    found = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        found.update(chunk)
    return found.hexdigest()
