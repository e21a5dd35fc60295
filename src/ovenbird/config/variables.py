"""Variables that a bake hands to Ansible: any value that JSON can say, and no credentials."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias, cast

from ovenbird.config.wording import kind_of
from ovenbird.config.yaml import Document, Loc
from ovenbird.values.errors import Fault

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

CREDENTIALS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]*@", re.IGNORECASE)
"""A URL that names somebody in front of its host: ``https://user:password@host``."""


def as_json(variables: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Each value as JSON text, by name. What JSON cannot say has been refused as a fault."""
    return tuple(
        (name, json.dumps(value, sort_keys=True, default=repr))
        for name, value in sorted(variables.items())
    )


def as_values(variables: Mapping[str, object]) -> dict[str, JSON]:
    """The values themselves, typed as what JSON can say."""
    return {name: cast(JSON, json.loads(text)) for name, text in as_json(variables)}


def variable_faults(value: object, *, document: Document, loc: Loc, called: str) -> Iterator[Fault]:
    """What cannot be handed on, at its line, however deep it stands."""
    match value:
        case dict():
            for key, child in value.items():
                yield from variable_faults(child, document=document, loc=(*loc, key), called=called)
                if not isinstance(key, str):
                    problem = f"{called}: the key {key!r} is {kind_of(key)}, not text."
                    yield document.fault((*loc, key), problem, "Put it in quotes.", key=True)
        case list():
            for n, child in enumerate(value):
                yield from variable_faults(child, document=document, loc=(*loc, n), called=called)
        case str() if CREDENTIALS.search(value):
            yield document.fault(
                loc,
                f"{called}: the variable {loc[-1]} has credentials in its URL, "
                "and variables get into images and hashes.",
                "Lend them to the bake: secrets in inventories/bake/environment.yml.",
            )
        case float() if value - value != 0:  # infinite, or not a number
            problem = f"{called}: the variable {loc[-1]} is a number that JSON does not know."
            yield document.fault(
                loc, problem, "Allowed: text, numbers, true, false, lists, mappings."
            )
        case None | bool() | int() | float() | str():
            return
        case _:
            problem = f"{called}: the variable {loc[-1]} is {kind_of(value)}."
            yield document.fault(loc, problem, "Put it in quotes to have it as text.")
