"""``inventories/bake/exceptions.yml``: what may be in an image although a gate finds it.

Each entry is about one kind of secret at a path, or about one advisory, and must say why, who
answers for it, and the last day that it counts. A day that is over is a fault: nothing is allowed
for ever, and nothing ends unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from ovenbird.config.schema import Entry, parse, refuse
from ovenbird.config.wording import allowed, did_you_mean, kind_of
from ovenbird.config.yaml import Document, read
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.exception import AdvisoryException, Exceptions, SecretException
from ovenbird.values.secret import SecretKind

FILE = "inventories/bake/exceptions.yml"

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_LONGEST = timedelta(days=366)
_ADVISORY = r"^[A-Z][A-Z0-9]*-[A-Za-z0-9-]+$"


def _said(text: str) -> str:
    if not text.strip():
        refuse("is empty")
    return text.strip()


def _kind(text: str) -> str:
    names = [str(kind) for kind in SecretKind]
    if text not in names:
        refuse(f"cannot be {text!r}.{did_you_mean(text, names)}", allowed(names))
    return text


def _glob(text: str) -> str:
    if not text.startswith(("/", "image:")):
        refuse("must begin with /", "A path in the image, as in the finding: /etc/app/*.pem.")
    if not text.strip("/*?"):
        refuse("would allow everything", "Name the file, or the folder that it is in.")
    return text


Said = Annotated[str, AfterValidator(_said)]


class _Reasoned(Entry):
    reason: Said = Field(description="why this may be, in a few words")
    owner: Said = Field(description="who answers for it, a person or a team")
    expires: str = Field(description="the last day that it counts, YYYY-MM-DD, at most a year off")


class SecretEntry(_Reasoned):
    secret: Annotated[str, AfterValidator(_kind)] = Field(description="a kind of finding")
    path: Annotated[str, AfterValidator(_glob)] = Field(
        description="a path in the image; * and ? stay within a folder, ** does not"
    )


class AdvisoryEntry(_Reasoned):
    advisory: str = Field(pattern=_ADVISORY, description="the id of an advisory, CVE-2026-12345")
    package: str = Field(default="", description="the name of a package")


def exceptions(project: Path, *, today: date) -> Exceptions:
    """Read them; none where there is no such file. Raises `ConfigurationError` with each line."""
    if not (project / FILE).exists():
        return Exceptions()
    document = read(project, FILE)
    faults: list[Fault] = []
    found = [
        _entry(number, item, document, today, faults)
        for number, item in enumerate(_items(document, faults))
    ]
    if faults:
        raise ConfigurationError(faults)
    return Exceptions(
        secrets=tuple(each for each in found if isinstance(each, SecretException)),
        advisories=tuple(each for each in found if isinstance(each, AdvisoryException)),
    )


def _items(document: Document, faults: list[Fault]) -> list[object]:
    data = document.data
    if data is None:
        return []
    if not isinstance(data, Mapping) or list(data) != ["exceptions"]:
        problem = "It must hold one key, exceptions, with a list."
        faults.append(document.fault((), problem, "Write exceptions: and below it - entries."))
        return []
    items = data["exceptions"]
    if not isinstance(items, list):
        problem = f"exceptions must be a list, not {kind_of(items)}."
        remedy = "Begin each entry with - secret: or - advisory:."
        faults.append(document.fault(("exceptions",), problem, remedy))
        return []
    return items


def _entry(
    number: int, item: object, document: Document, today: date, faults: list[Fault]
) -> SecretException | AdvisoryException | None:
    loc, called = ("exceptions", number), f"exception {number + 1}"
    about = {"secret", "advisory"} & set(item) if isinstance(item, Mapping) else set()
    if len(about) != 1:
        problem = f"{called} must be about one secret or one advisory."
        remedy = "Write secret: KIND and path: GLOB, or advisory: CVE-… and perhaps package: NAME."
        faults.append(document.fault(loc, problem, remedy))
        return None
    line = document.line(loc)
    # YAML reads a bare date as a date; here it is text, so that 2026-02-30 has a sentence too.
    plain = _with_dates(document, loc, item)
    if "secret" in about:
        secret = parse(SecretEntry, plain, document=document, loc=loc, called=called, faults=faults)
        if secret is None:
            return None
        day = _day(secret.expires, document, (*loc, "expires"), called, today, faults)
        if day is None:
            return None
        return SecretException(
            kind=SecretKind(secret.secret),
            path=secret.path,
            reason=secret.reason,
            owner=secret.owner,
            expires=day,
            line=line,
        )
    about_one = parse(
        AdvisoryEntry, plain, document=document, loc=loc, called=called, faults=faults
    )
    if about_one is None:
        return None
    day = _day(about_one.expires, document, (*loc, "expires"), called, today, faults)
    if day is None:
        return None
    return AdvisoryException(
        advisory=about_one.advisory,
        package=about_one.package,
        reason=about_one.reason,
        owner=about_one.owner,
        expires=day,
        line=line,
    )


def _with_dates(document: Document, loc: tuple[str, int], item: object) -> object:
    """Give ``expires`` back as it would be written; the parser has made a date of it."""
    tree = document.tree
    for step in loc:
        tree = tree[step]  # type: ignore[index]
    written = tree.get("expires") if isinstance(tree, Mapping) else None
    if isinstance(item, Mapping) and isinstance(written, date):
        return {**item, "expires": f"{written:%Y-%m-%d}"}
    return item


def _day(
    text: str,
    document: Document,
    loc: tuple[str | int, ...],
    called: str,
    today: date,
    faults: list[Fault],
) -> date | None:
    remedy = "Give the last day that it counts, as YYYY-MM-DD and at most a year from today."
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        day = date.fromisoformat(text)
    except ValueError:
        faults.append(document.fault(loc, f"{called}: expires is no date: {text!r}.", remedy))
        return None
    if day < today:
        problem = f"{called} ended on {day}, {(today - day).days} days ago."
        remedy = "Remove what it allows from the image, or give it a new day and say why."
        faults.append(document.fault(loc, problem, remedy))
    elif day > today + _LONGEST:
        problem = f"{called} would count until {day}, and an exception lasts a year at most."
        faults.append(document.fault(loc, problem, remedy))
    return day
