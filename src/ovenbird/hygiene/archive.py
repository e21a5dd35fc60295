"""Images that lie in tars: what ``podman save`` writes, and a root file system alone.

An archive's configuration is a document like a file: its environment, labels and history line by
line. Nothing is unpacked to the disk.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from ovenbird.hygiene.content import Content, File, Layer, contents
from ovenbird.values.errors import OvenbirdError

CONFIGURATION = "image:configuration"
"""The path of the document that is no file, for findings and exceptions."""

_CHUNK = 1 << 18


def of_image(archive: Path) -> Iterator[Content]:
    """Yield what is in an archive of podman, docker's format or OCI's: every layer, and what the
    image says of itself."""
    with tarfile.open(archive) as outer:
        config, names = _described(outer)
        yield _document(config)
        layers = [
            Layer(
                where=f"layer {number} of {len(names)}",
                files=partial(_files, partial(_inside, outer, name)),
            )
            for number, name in enumerate(names, start=1)
        ]
        yield from contents(layers)


def of_tree(*parts: Path, below: str = "") -> Iterator[Content]:
    """Yield what is in the tar of a root file system, compressed or not.

    Several files are parts of one. With ``below`` only what lies in that folder counts, and its
    name is taken off: LXD's ``rootfs``.
    """

    @contextmanager
    def opened() -> Iterator[tarfile.TarFile]:
        with ExitStack() as stack:
            files = [stack.enter_context(part.open("rb")) for part in parts]
            source = files[0] if len(files) == 1 else _Joined(files)
            yield stack.enter_context(_open(source, str(parts[0])))

    yield from contents([Layer(where="the root file system", files=partial(_files, opened, below))])


def _described(outer: tarfile.TarFile) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Return an image's configuration, and its layers' names in the archive, the lowest first."""
    names = set(outer.getnames())
    if "manifest.json" in names:
        (first, *_) = _json(outer, "manifest.json")
        return _json(outer, first["Config"]), list(first["Layers"])
    if "index.json" not in names:
        raise OvenbirdError(
            f"{outer.name!s} is no archive of an image: it has no manifest.json and no index.json.",
            remedy="Write it with: podman save --output FILE IMAGE",
        )
    manifest = _json(outer, _blob(_json(outer, "index.json")["manifests"][0]))
    return _json(outer, _blob(manifest["config"])), [_blob(each) for each in manifest["layers"]]


def _blob(described: Mapping[str, str]) -> str:
    return f"blobs/{described['digest'].replace(':', '/')}"


def _json(outer: tarfile.TarFile, name: str) -> Any:
    return json.loads(_stream(outer, name).read())


def _document(config: Mapping[str, Any]) -> Content:
    """Write an image's configuration as lines that a scan understands: NAME=VALUE."""
    inner = config.get("config") or {}
    lines = [
        *(inner.get("Env") or ()),
        *(f"{name}={value}" for name, value in sorted((inner.get("Labels") or {}).items())),
        *(" ".join(inner.get(words) or ()) for words in ("Entrypoint", "Cmd")),
        *(
            str(step.get(key) or "").replace("\n", " ")
            for step in config.get("history") or ()
            for key in ("created_by", "comment", "author")
        ),
        str(config.get("author") or ""),
    ]
    data = "\n".join(filter(None, lines)).encode()
    where = "the image's configuration"
    return Content(path=CONFIGURATION, mode=0o444, size=len(data), data=data, where=where)


def _stream(outer: tarfile.TarFile, name: str) -> IO[bytes]:
    found = outer.extractfile(name)  # follows a link to another member
    assert found is not None, name
    return found


@contextmanager
def _inside(outer: tarfile.TarFile, name: str) -> Iterator[tarfile.TarFile]:
    with _stream(outer, name) as source, _open(source, name) as layer:
        yield layer


def _open(source: Any, name: str) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=source)
    except tarfile.ReadError as other:
        raise OvenbirdError(
            f"{name} cannot be looked into: it is no tar that Python reads ({other}).",
            remedy="A tar may be plain or packed with gzip, bzip2 or xz; not a squashfs, not zstd.",
        ) from other


def _files(opened: Callable[[], Any], below: str = "") -> Iterator[File]:
    start = f"/{below}/" if below else "/"
    with opened() as tar:
        for entry in tar:
            path = "/" + entry.name.removeprefix("./").lstrip("/")
            if entry.isdir() or not path.startswith(start):
                continue
            yield File(
                path=f"/{path.removeprefix(start)}",
                mode=entry.mode,
                size=entry.size,
                read=partial(_chunks, tar, entry) if entry.isreg() else None,
            )


def _chunks(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Iterator[bytes]:
    source = tar.extractfile(entry)
    assert source is not None, entry.name
    while chunk := source.read(_CHUNK):
        yield chunk


class _Joined:
    """Several files read as one; `tarfile` asks for no more than this."""

    def __init__(self, files: Sequence[IO[bytes]]) -> None:
        self._files, self._at = files, 0
        self._sizes = [file.seek(0, 2) for file in files]

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, sum(self._sizes))[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        left, found, begin = sum(self._sizes) if size < 0 else size, b"", 0
        for file, length in zip(self._files, self._sizes, strict=True):
            if left and begin <= self._at < begin + length:
                file.seek(self._at - begin)
                part = file.read(left)
                found, left, self._at = found + part, left - len(part), self._at + len(part)
            begin += length
        return found
