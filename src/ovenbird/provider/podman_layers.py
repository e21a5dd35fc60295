"""Is a layer on the disk the layer in an archive of it: every name, owner, mode and byte?

podman puts an archive together from its own record of names and modes, and from the files: what
was added to a layer, or got another mode, is in no archive, and yet in every container. So what
containers are mounted from is held against the archive. Nothing here asks podman anything.

Only root sees all of it. Rootless, owners are other ones outside of podman's namespace, and what
this user may not read is passed over: who can change that store is the user himself.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

_CHUNK = 1 << 20
_WHITEOUT, _OPAQUE, _OF_AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."
_MASKED = "user.containers.override_stat"
_HIDES_ALL = ("trusted.overlay.opaque", "user.overlay.opaque")
_XATTR = "SCHILY.xattr."
_OF_THE_STORE = ("trusted.overlay.", "user.overlay.", "user.containers.", "security.selinux")
"""Attributes that the store or the host sets itself, and no archive has."""

_KINDS = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.CONTTYPE: stat.S_IFREG,
    tarfile.GNUTYPE_SPARSE: stat.S_IFREG,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


def difference(archive: IO[bytes], folder: Path) -> str:
    """Name the first difference between a layer's archive and its folder, or return ""."""
    if why := _led_astray(folder):
        return why
    if os.lstat(folder).st_mode & 0o022:  # its mode is the store's, and not in the archive
        return "/ may be written by others"
    with tarfile.open(fileobj=archive, mode="r:") as tar:
        named = {_name(entry): entry for entry in tar}  # of one name the last one counts
        entries = {name: entry for name, entry in named.items() if not _is_of_aufs(name)}
        known = {parent for name in entries for parent in _above(name)}
        for name, entry in entries.items():
            if why := _compared(tar, _target(entry, entries), name, folder):
                return f"{_shown(name)} {why}"
    for name, is_whiteout in _there(folder):
        hidden = f"{_folder_of(name)}{_WHITEOUT}{name.rpartition('/')[2]}"
        if (hidden if is_whiteout else name) not in entries and name not in known:
            return f"{_shown(name)} was added"
    return ""


def _led_astray(folder: Path) -> str:
    """Containers reach a layer by a short name that lies beside it: see that it leads here."""
    link = folder.parent / "link"
    try:
        short = folder.parent.parent / "l" / link.read_text().strip()
    except FileNotFoundError:
        return ""  # a store without short names
    return "" if short.resolve() == folder.resolve() else f"{short} leads somewhere else"


def _compared(tar: tarfile.TarFile, entry: tarfile.TarInfo, name: str, folder: Path) -> str:
    base, last = folder / _folder_of(name), name.rpartition("/")[2]
    try:
        if name == ".":
            return ""
        if last == _OPAQUE:
            return "" if _hides_all(base) or (base / last).exists() else "is gone"
        if last.startswith(_WHITEOUT):
            gone = base / last.removeprefix(_WHITEOUT)
            return "" if _is_whiteout(gone) or (base / last).exists() else "is gone"
        return _facts(tar, entry, folder / name)
    except (FileNotFoundError, NotADirectoryError):
        return "is gone"
    except PermissionError:
        if os.geteuid() == 0:
            raise
        return ""


def _target(entry: tarfile.TarInfo, entries: Mapping[str, tarfile.TarInfo]) -> tarfile.TarInfo:
    """Return what a hard link leads to: it has to be like that, whether it shares it or not."""
    return entries.get(_normal(entry.linkname), entry) if entry.islnk() else entry


def _facts(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> str:
    now = os.lstat(path)
    if stat.S_IFMT(now.st_mode) != _KINDS.get(entry.type):
        return "is of another kind"
    if entry.issym():
        if os.readlink(path) != entry.linkname:
            return "leads somewhere else"
    elif stat.S_IMODE(now.st_mode) != entry.mode & 0o7777 and not _is_masked(path):
        return "has another mode"
    if os.geteuid() == 0 and (now.st_uid, now.st_gid) != (entry.uid, entry.gid):
        return "has another owner"
    if entry.isdev() and not entry.isfifo():
        device = os.major(now.st_rdev), os.minor(now.st_rdev)
        if device != (entry.devmajor, entry.devminor):
            return "is another device"
    if not _has_its_attributes(path, entry):
        return "has other attributes"
    return "" if not entry.isreg() or _same(tar, entry, path) else "has another content"


def _same(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> bool:
    packed = tar.extractfile(entry)
    assert packed is not None, "a file has a content"
    with path.open("rb") as file:
        while chunk := packed.read(_CHUNK):
            if file.read(len(chunk)) != chunk:
                return False
        return not file.read(1)


def _there(folder: Path) -> Iterator[tuple[str, bool]]:
    """Every path below a folder, and whether it stands for one that is hidden."""
    for at, folders, files in os.walk(folder):
        for each in (*folders, *files):
            path = Path(at, each)
            yield str(path.relative_to(folder)), _is_whiteout(path)


def _is_whiteout(path: Path) -> bool:
    """A character device 0, 0: how an overlay hides what a lower layer has."""
    now = os.lstat(path)
    return stat.S_ISCHR(now.st_mode) and now.st_rdev == 0


def _hides_all(folder: Path) -> bool:
    names = os.listxattr(folder, follow_symlinks=False)
    return any(name in names for name in _HIDES_ALL)


def _is_masked(path: Path) -> bool:
    """Rootless a store may give every file one mode, and note the right one beside it."""
    return os.geteuid() != 0 and _MASKED in os.listxattr(path, follow_symlinks=False)


def _has_its_attributes(path: Path, entry: tarfile.TarInfo) -> bool:
    """Where the file system takes none of a kind it has less than the archive. It never has more,
    nor other ones, and it takes what gives rights."""
    now, told = _attributes(path), _attributes_of(entry)
    missing = told.keys() - now.keys()
    return now.items() <= told.items() and not any(n.startswith("security.") for n in missing)


def _attributes(path: Path) -> dict[str, bytes]:
    names: Sequence[str] = os.listxattr(path, follow_symlinks=False)
    own = [name for name in names if not name.startswith(_OF_THE_STORE)]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in own}


def _attributes_of(entry: tarfile.TarInfo) -> dict[str, bytes]:
    told = {k.removeprefix(_XATTR): v for k, v in entry.pax_headers.items() if _XATTR in k}
    return {
        name: value.encode("utf-8", "surrogateescape")
        for name, value in told.items()
        if not name.startswith(_OF_THE_STORE)
    }


def _name(entry: tarfile.TarInfo) -> str:
    return _normal(entry.name)


def _normal(name: str) -> str:
    return os.path.normpath(name.lstrip("/"))


def _is_of_aufs(name: str) -> bool:
    """Notes that an older storage driver left in an archive, which no store unpacks."""
    last = name.rpartition("/")[2]
    return last.startswith(_OF_AUFS) and last != _OPAQUE


def _above(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def _folder_of(name: str) -> str:
    return f"{above}/" if (above := name.rpartition("/")[0]) else ""


def _shown(name: str) -> str:
    """An archive's name may be bytes that are no text, which no terminal takes."""
    return f"/{name}".encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
