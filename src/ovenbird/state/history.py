"""Who changed what, when and why: one row a deed, kept when the things themselves are gone."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, desc, insert, select

from ovenbird.state.database import Database
from ovenbird.state.tables import history


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing that somebody did. ``subject`` is an image, a channel or a fleet."""

    at: datetime
    by: str
    verb: str
    subject: str
    env: str = ""
    before: str = ""
    after: str = ""
    because: str = ""
    outcome: str = "done"


def whoami() -> str:
    """Name the person or account behind this command: ``user@host``."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a uid without an entry in /etc/passwd
        name = f"uid-{os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def record(db: Connection, deed: Deed) -> None:
    """Write a deed in the transaction that does it."""
    db.execute(
        insert(history).values(
            at=deed.at,
            by=deed.by,
            verb=deed.verb,
            env=deed.env,
            subject=deed.subject,
            before=deed.before,
            after=deed.after,
            because=deed.because,
            outcome=deed.outcome,
        )
    )


def deeds(
    database: Database,
    *,
    env: str = "",
    fleet: str = "",
    subject: str = "",
    verb: str = "",
    since: datetime | None = None,
    most: int = 50,
) -> list[Deed]:
    """Read the last deeds, newest first; what is empty leaves nothing out.

    ``fleet`` finds deeds on a fleet alone, ``subject`` also those on an image or a channel of that
    name. It joins no other table: what a deed was about may be gone since.
    """
    columns = history.c
    query = select(history).order_by(desc(columns.id)).limit(most)
    if env:
        query = query.where(columns.env == env)
    if subject:
        query = query.where(columns.subject == subject)
    if fleet:
        query = query.where(columns.subject == fleet, columns.env != "")
    if verb:
        query = query.where(columns.verb == verb)
    if since is not None:
        query = query.where(columns.at >= since)
    with database.reading() as db:
        return [
            Deed(
                at=row.at,
                by=row.by,
                verb=row.verb,
                env=row.env,
                subject=row.subject,
                before=row.before,
                after=row.after,
                because=row.because,
                outcome=row.outcome,
            )
            for row in db.execute(query)
        ]
