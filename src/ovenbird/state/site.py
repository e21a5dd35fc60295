"""Whose state this is: one operator's or team's, with an id on everything that it makes.

State belongs to a site and not to a checkout: two clones on one host share it. A network file
system is refused, since neither SQLite's locks nor ours hold there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ovenbird.state.database import Database
from ovenbird.values.errors import Blocked, ConfigurationError

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
        return Path(said).expanduser().absolute()
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
    except OSError as error:
        raise ConfigurationError.of(
            f"The state folder {folder} cannot be made: {error.strerror}.",
            remedy="Name another folder in OVENBIRD_STATE.",
        ) from error
    if (kind := file_system(folder)) in NETWORK or kind.startswith("fuse.sshfs"):
        raise ConfigurationError.of(
            f"The state folder {folder} lies on a network file system ({kind}), where locks do "
            "not hold.",
            remedy="Name a local folder, or a PostgreSQL URL, in OVENBIRD_STATE.",
        )
    said = environ.get("OVENBIRD_STATE", "")
    url = said if "://" in said else f"sqlite:///{folder / 'ovenbird.db'}"
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
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
    except FileExistsError:
        pass  # ours since an earlier command; a key is made once
    return path.read_bytes()
