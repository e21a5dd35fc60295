"""Pydantic at the edge: a mapping becomes a typed entry, or faults that name the line.

Pydantic says what is wrong at which path; this file says it in the project's words, at the line
of that path, with what is allowed there. The text of an allowed value is the ``description`` of
its field, so a field without one cannot be explained and is refused by a test.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Any, NoReturn, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from ovenbird.config.wording import allowed, did_you_mean, kind_of
from ovenbird.config.yaml import Document, Loc
from ovenbird.values.errors import Fault
from ovenbird.values.launch import OWN_KEY

SECRET_PLACES = frozenset({"secrets", "proxy"})
"""What stands under these keys is never repeated in a message."""


ITEM = r"^[A-Za-z_][A-Za-z0-9_.-]{0,62}$"
NAMES = "letters, digits, _ . and -, beginning with a letter or _"


class Entry(BaseModel):
    """A mapping of a configuration file: nothing unknown in it, and nothing converted."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True
    )


EntryT = TypeVar("EntryT", bound=Entry)


def refuse(problem: str, remedy: str = "") -> NoReturn:
    """Refuse a value inside a validator: ``problem`` follows the name of the field."""
    raise PydanticCustomError("ovenbird", "{problem}", {"problem": problem, "remedy": remedy})


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_WEEK = 7 * 24 * 3600.0


def seconds(value: object) -> object:
    """``"500ms"`` is 0.5, ``"5m"`` is 300.0; a number is seconds already."""
    if isinstance(value, str):
        for unit, factor in _UNITS.items():
            number = value.removesuffix(unit)
            if number != value and number.replace(".", "", 1).isdecimal() and number.isascii():
                return float(number) * factor
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    shown = f"{value!r}" if isinstance(value, str) else kind_of(value)
    refuse(f"must be a duration, not {shown}", "A duration is 500ms, 3s, 5m, 1h or seconds.")


def _positive(value: float) -> float:
    if not 0 < value <= _WEEK:
        refuse(
            "must be longer than nothing and at most a week",
            "A duration is 500ms, 3s, 5m, 1h or seconds.",
        )
    return value


def _finite(value: float) -> float:
    if not 0 <= value <= _WEEK:
        refuse(
            "must be 0 or more and at most a week", "A duration is 500ms, 3s, 5m, 1h or seconds."
        )
    return value


Duration = Annotated[float, BeforeValidator(seconds), AfterValidator(_positive)]
DurationOrZero = Annotated[float, BeforeValidator(seconds), AfterValidator(_finite)]
Port = Annotated[int, Field(ge=1, le=65535)]
Item = Annotated[str, Field(pattern=ITEM)]
"""The name of a secret: a file in the instance."""


def _not_own(name: str) -> str:
    if name == OWN_KEY:
        refuse("is Ovenbird's own", f"Any name but {OWN_KEY}: there the instance reads what it is.")
    return name


ConfigItem = Annotated[Item, AfterValidator(_not_own)]
"""The name of a configuration value: a key of the config.json in the instance."""


def parse(
    entry: type[EntryT],
    data: object,
    *,
    document: Document,
    loc: Loc,
    called: str,
    faults: list[Fault],
) -> EntryT | None:
    """Read the value at ``loc``; None, with what is wrong added to ``faults``, if it is not one.

    ``called`` names it in the sentences: "family web".
    """
    try:
        return entry.model_validate(data)
    except ValidationError as error:
        faults.extend(
            _fault(entry, detail, document=document, loc=loc, called=called)
            for detail in error.errors(include_url=False)
        )
        return None


def _fault(
    entry: type[Entry], detail: ErrorDetails, *, document: Document, loc: Loc, called: str
) -> Fault:
    path = detail["loc"]
    if path and path[-1] == "[key]":  # pydantic's mark for the name of an item
        problem = f"{called}: {_dotted(path[:-1])} cannot be a name here."
        remedy = detail.get("ctx", {}).get("remedy") or f"Allowed: {NAMES}."
        return document.fault((*loc, *path[:-1]), problem, remedy, key=True)
    here = (*loc, *path)
    field, around = _described(entry, path)
    name = f"{called}: {_dotted(path)}" if path else called
    if detail["type"] in ("extra_forbidden", "invalid_key"):
        known = [info.alias or key for key, info in around.model_fields.items()]
        problem = f"{called}: there is no key {_dotted(path)}.{did_you_mean(str(path[-1]), known)}"
        return document.fault(here, problem, allowed(known), key=True)
    means = field.description if field is not None and field.description else "a mapping"
    remedy = f"Allowed: {means}."
    if detail["type"] == "missing":
        return document.fault(here, f"{name} is missing.", remedy, key=True)
    problem, own = _sentence(detail, hidden=bool(SECRET_PLACES & set(here)))
    end = "" if problem.endswith("?") else "."
    return document.fault(here, f"{name} {problem}{end}", own or remedy)


_WANTED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def _sentence(detail: ErrorDetails, *, hidden: bool) -> tuple[str, str]:
    """What is wrong with a value, and a remedy where the field's own text is not the best."""
    value, facts = detail["input"], detail.get("ctx", {})
    shown = kind_of(value) if hidden or not isinstance(value, (str, int, float)) else f"{value!r}"
    match detail["type"]:
        case "ovenbird":
            return facts["problem"], facts["remedy"]
        case "string_type" if isinstance(value, (bool, int, float)) and not hidden:
            quoted = "Put it in quotes; YAML reads it as something else."
            return f"must be text, not {kind_of(value)}", quoted
        case wanted if wanted in _WANTED:
            return f"{_WANTED[wanted]}, not {kind_of(value)}", ""
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            return f"is out of range: {shown}", ""
        case "literal_error":
            options = [
                word.strip("'") for word in facts["expected"].replace(" or ", ", ").split(", ")
            ]
            hint = did_you_mean(str(value), options)
            return f"cannot be {shown}{hint and '.'}{hint}", allowed(options)
        case "string_pattern_mismatch" | "string_too_short" | "finite_number":
            return f"cannot be {shown}", ""
        case _:
            return f"is not what it should be ({detail['type'].replace('_', ' ')})", ""


def _dotted(path: Loc) -> str:
    """``launch.needs.config[0]``"""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _described(entry: type[Entry], path: Loc) -> tuple[FieldInfo | None, type[Entry]]:
    """The innermost field on a path, and the entry that the path's last step stands in."""
    around, inside, field = entry, entry, None
    for step in path:
        around = inside
        found = next(
            (f for name, f in inside.model_fields.items() if step == (f.alias or name)), None
        )
        if found is not None:
            field = found
            inside = next(_entries(found.annotation), inside)
    return field, around


def _entries(annotation: Any) -> Iterator[type[Entry]]:
    """The entries that an annotation such as ``list[Balancer] | None`` mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Entry):
        yield annotation
    for part in get_args(annotation):
        yield from _entries(part)


def section(
    document: Document, key: str, faults: list[Fault], *, beside: Collection[str] = ()
) -> dict[str, object]:
    """The mapping of names below the top-level key of a file; {} where there is none.

    ``beside`` names other top-level keys that may be there, and are not read here.
    """
    shape = f"The file holds one mapping named {key}: {key}: {{NAME: {{…}}}}"
    data = document.data
    if data is None:
        faults.append(document.fault((), "It is empty.", shape))
        return {}
    if not isinstance(data, dict):
        faults.append(document.fault((), f"It holds {kind_of(data)}, not a mapping.", shape))
        return {}
    known = {key, *beside}
    for other in data.keys() - known:
        problem = f"There is no key {other} here.{did_you_mean(str(other), known)}"
        faults.append(document.fault((other,), problem, allowed(known), key=True))
    named = data.get(key)
    if key not in data or not isinstance(named, dict):
        if key in data or data.keys() <= known:
            problem = f"{key} must be a mapping of names, not {kind_of(named)}."
            faults.append(document.fault((key,), problem, shape))
        return {}
    return {str(name): value for name, value in named.items()}
