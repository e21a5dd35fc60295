"""A fleet's entry as it is kept in the database, since a fleet may leave its file.

It holds references to secrets as the file does, never a secret.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from pydantic import TypeAdapter, ValidationError

from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import Fleet


def document_of(fleet: Fleet) -> object:
    """Return a fleet's entry as a JSON value: with the size of its file, not a recorded one."""
    size = fleet.size if fleet.file_size is None else fleet.file_size
    document: object = _adapter().dump_python(
        replace(fleet, size=size, file_size=None), mode="json"
    )
    return document


def fleet_of(document: object) -> Fleet:
    """Read what `document_of` wrote. Raises `ConfigurationError` for what an Ovenbird wrote that
    knew other entries."""
    try:
        return _adapter().validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError.of(
            f"The entry that was kept of this fleet cannot be read: {first['msg']}.",
            remedy="Put the fleet back into its fleets.yml, then run the same command again.",
        ) from error


@cache
def _adapter() -> TypeAdapter[Fleet]:
    return TypeAdapter(Fleet)
