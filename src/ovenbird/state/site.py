"""Whose state this is: one operator's or team's, with an id on everything that it makes.

State belongs to a site and not to a checkout: two clones on one host share it. A network file
system is refused, since neither SQLite's locks nor ours hold there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ovenbird.state.database import Database, sqlite_url
from ovenbird.values.errors import Blocked, ConfigurationError

KEY_BYTES = 32
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """``folder`` holds locks, logs, bakes and the site's HAProxy; ``id`` marks what it made;
    ``key`` is for keyed digests of secrets and never leaves the folder."""

    id: str
    folder: Path
    database: Database
    key: bytes = field(repr=False)


def state_folder(environ: Mapping[str, str], *, uid: int) -> Path:
    """Say where this user's state lives: ``OVENBIRD_STATE`` where that is a folder, else
    ``/var/lib/ovenbird`` for root, else ``$XDG_STATE_HOME/ovenbird``."""
    said = environ.get("OVENBIRD_STATE", "")
    if said and "://" not in said:
        folder = Path(said).expanduser()
        if not folder.is_absolute():
            raise ConfigurationError.of(
                f"OVENBIRD_STATE is {said!r}, which is another folder in every folder.",
                remedy=f"Write the whole path: OVENBIRD_STATE={folder.absolute()}",
            )
        return folder
    if uid == 0:
        return Path("/var/lib/ovenbird")
    home = environ.get("XDG_STATE_HOME") or f"{environ.get('HOME', '~')}/.local/state"
    return Path(home).expanduser() / "ovenbird"


def open_site(environ: Mapping[str, str] | None = None) -> Site:
    """Open the site of this user, and make it where there is none."""
    environ = os.environ if environ is None else environ
    folder = state_folder(environ, uid=os.getuid())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077 and folder.stat().st_uid == os.getuid():
            folder.chmod(0o700)  # the digests and consoles in it are nobody else's business
    except OSError as error:
        raise ConfigurationError.of(
            f"The state folder {folder} cannot be made: {error.strerror}.",
            remedy="Name another folder in OVENBIRD_STATE.",
        ) from error
    if (kind := file_system(folder)) in NETWORK or kind.startswith("fuse.sshfs"):
        raise ConfigurationError.of(
            f"The state folder {folder} lies on a network file system ({kind}), where locks do "
            "not hold.",
            remedy="Name a local folder in OVENBIRD_STATE.",
        )
    said = environ.get("OVENBIRD_STATE", "")
    url = said if "://" in said else sqlite_url(folder / "ovenbird.db")
    try:
        key = _key(folder / "key")
    except OSError as error:
        raise Blocked(
            f"The state folder {folder} cannot be written: {error.strerror}.",
            remedy="Free some space, or correct its owner.",
        ) from error
    database = Database.open(url)
    return Site(id=database.site_id(), folder=folder, database=database, key=key)


def file_system(folder: Path) -> str:
    """Name the type of the file system that holds ``folder``, as the kernel's mount table does."""
    folder, best, kind = folder.resolve(), "", ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, fstype, *_ = line.split(" ")
        point = point.encode().decode("unicode_escape")
        inside = f"{folder}/".startswith(point if point.endswith("/") else f"{point}/")
        if inside and len(point) >= len(best):
            best, kind = point, fstype
    return kind


def _key(path: Path) -> bytes:
    """Return the site's key of 32 bytes, made once and never half."""
    if not path.exists():
        draft = path.with_name(f".key.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # somebody else's, made in the same moment, is as good
            os.link(draft, path)
        draft.unlink()
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ConfigurationError.of(
            f"{path} is not a key of {KEY_BYTES} bytes; every launch hash would change with it.",
            remedy="Restore it from a backup. Without one, remove it: fleets with secrets will "
            "then be rolled once more.",
        )
    return key
