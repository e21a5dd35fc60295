"""Whose state this is: one operator's or team's, with an id on everything that it makes.

State belongs to a site and not to a checkout: two clones on one host share it. A network file
system is refused, since neither SQLite's locks nor ours hold there. Several hosts share a site by
a PostgreSQL server: each has a folder of its own, and the same key in it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select, update

from ovenbird.state.database import Database, site_id, sqlite_url
from ovenbird.state.tables import site as site_table
from ovenbird.values.errors import Blocked, ConfigurationError

KEY_BYTES = 32
LOST = (
    "If it is lost for good, run in the site's database: UPDATE site SET key_check = NULL; and "
    "remove what is left of it. Fleets with secrets will then be rolled once more."
)
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """``folder`` holds this host's locks, logs, bakes and HAProxy; ``id`` marks what the site made;
    ``key`` is for keyed digests of secrets, the same on every host, and not in the database."""

    id: str
    folder: Path
    database: Database
    key: bytes = field(repr=False)


def state_folder(environ: Mapping[str, str], *, uid: int) -> Path:
    """Say where this user's state lives: ``OVENBIRD_STATE`` where that is a folder, else
    ``OVENBIRD_FOLDER`` where that names the folder of this host for a database elsewhere, else
    ``/var/lib/ovenbird`` for root, else ``$XDG_STATE_HOME/ovenbird``."""
    said = environ.get("OVENBIRD_STATE", "")
    if said and "://" not in said:
        return _whole("OVENBIRD_STATE", said)
    if said and (local := environ.get("OVENBIRD_FOLDER", "")):
        return _whole("OVENBIRD_FOLDER", local)
    if uid == 0:
        return Path("/var/lib/ovenbird")
    home = environ.get("XDG_STATE_HOME") or f"{environ.get('HOME', '~')}/.local/state"
    return Path(home).expanduser() / "ovenbird"


def _whole(variable: str, said: str) -> Path:
    folder = Path(said).expanduser()
    if not folder.is_absolute():
        raise ConfigurationError.of(
            f"{variable} is {said!r}, which is another folder in every folder.",
            remedy=f"Write the whole path: {variable}={folder.absolute()}",
        )
    return folder


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
    database = Database.open(url)
    try:
        with database.begin() as db:  # nobody else gives the site its key in the same moment
            id_ = site_id(db)
            known = db.execute(select(site_table.c.key_check)).scalar()
            key = _known_key(folder / "key", known) if known else _key(folder / "key")
            if not known:
                db.execute(update(site_table).values(key_check=_check_of(key)))
    except BaseException as error:
        database.close()
        if isinstance(error, OSError):
            raise _unwritable(folder, error) from error
        raise
    return Site(id=id_, folder=folder, database=database, key=key)


def _unwritable(folder: Path, error: OSError) -> Blocked:
    return Blocked(
        f"The state folder {folder} cannot be written: {error.strerror}.",
        remedy="Free some space, or correct its owner.",
    )


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


def _known_key(path: Path, check: str) -> bytes:
    """Return the key of a site that has one already, whoever made it."""
    key = _read(path) if path.exists() else b""
    if hmac.compare_digest(_check_of(key), check):
        return key
    found = "is not the key of this site" if key else "is missing"
    raise ConfigurationError.of(
        f"{path} {found}, with which secrets were hashed so far; every launch hash would change.",
        remedy="Copy the file `key` here from the state folder of the host that made this site, "
        f"or from a backup, with mode 0600. {LOST}",
    )


def _check_of(key: bytes) -> str:
    """Tell a key from another one by what says nothing about it."""
    return hmac.new(key, b"the key of this site", hashlib.sha256).hexdigest()


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
    return _read(path)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ConfigurationError.of(
            f"{path} is not a key of {KEY_BYTES} bytes; every launch hash would change with it.",
            remedy=f"Restore it from a backup. {LOST}",
        )
    return key
