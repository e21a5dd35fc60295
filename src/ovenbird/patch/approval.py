"""Somebody's word that a version may go into an environment."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, insert

from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record
from ovenbird.state.image_tables import approvals
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.image import Version
from ovenbird.values.patch import Patching


def approve(
    version: Version,
    env: str,
    *,
    patching: Patching,
    database: Database,
    by: str,
    because: str,
    at: datetime,
) -> None:
    """Write the word down, with the history. It counts for this version alone.

    Raises `ConfigurationError` where nobody asks for one, `Blocked` for what may not launch.
    """
    asks = [step.env for step in patching.path if step.approval]
    if env not in asks:
        raise ConfigurationError.of(
            f"{env} asks for no approval; {', '.join(asks) or 'no environment'} does.",
            remedy="Add approval: true to its step in inventories/patch.yml, or name another.",
            file="inventories/patch.yml",
        )
    if not version.launchable:
        raise Blocked(
            f"{version} is {version.state}: {version.state_because}.",
            remedy="Approve another version: invoke image.list",
        )
    mine = {"family": version.family, "number": version.number, "env": env}
    with database.begin() as db:
        here = approvals.c.family == version.family, approvals.c.number == version.number
        db.execute(delete(approvals).where(*here, approvals.c.env == env))
        db.execute(insert(approvals).values(**mine, by=by, because=because, at=at))
        deed = Deed(at=at, by=by, verb="approve", subject=str(version), after=env, because=because)
        record(db, deed)
