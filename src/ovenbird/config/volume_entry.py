"""``volumes:`` and ``order:`` of a fleet, and what a fleet that keeps data cannot do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from ovenbird.config.schema import Duration, Entry, refuse
from ovenbird.config.wording import kind_of
from ovenbird.config.yaml import Document, Loc
from ovenbird.values.errors import Fault
from ovenbird.values.fleet import OrderHook, VolumeSpec
from ovenbird.values.image import NAME

HIDDEN = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin"),
    *("/sys", "/usr"),
)
"""What an image needs: nothing at or below these may be covered by a volume."""

BARE = ("/", "/home", "/opt", "/srv", "/tmp", "/var", "/var/cache", "/var/lib", "/var/log")
"""What images put things into: a volume here would hide them, one below it does not."""

ONE_AFTER_THE_OTHER = (
    "A fleet with volumes is replaced slot by slot, the old instance ended first: no volume ever "
    "has two writers."
)


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        refuse(
            f"cannot be {text!r}",
            "Allowed: a small letter, then up to 30 small letters, digits and -.",
        )
    return text


def _path(text: str) -> str:
    """An absolute path that hides nothing of the image."""
    path = PurePosixPath(text)
    shape = "Write an absolute path of the instance's own data, such as /var/lib/app."
    if not path.is_absolute():
        refuse(f"is not absolute: {text!r}", shape)
    if ".." in path.parts or any(c in text for c in ":,\\") or any(c.isspace() for c in text):
        refuse(f"cannot be {text!r}: no .., no space, no : , and \\ in it", shape)
    clean = "/" + "/".join(path.parts[1:])
    below = next((h for h in HIDDEN if clean == h or clean.startswith(f"{h}/")), None)
    if clean in BARE or below is not None:
        refuse(f"would hide {below or clean}, which the image needs", shape)
    return clean


def _short_command(value: object) -> object:
    return {"command": value} if isinstance(value, list) else value


class VolumeEntry(Entry):
    name: Annotated[str, AfterValidator(_name)] = Field(description="a name, such as data")
    path: Annotated[str, AfterValidator(_path)] = Field(
        description="an absolute path, such as /var/lib/app"
    )

    def value(self) -> VolumeSpec:
        return VolumeSpec(name=self.name, path=self.path)


class OrderEntry(Entry):
    command: list[Annotated[str, Field(min_length=1)]] = Field(
        min_length=1, description="[PROGRAM, ARGUMENT, …]"
    )
    timeout: Duration = Field(
        default=OrderHook(argv=()).timeout, description="a duration, such as 30s"
    )

    def value(self) -> OrderHook:
        return OrderHook(argv=tuple(self.command), timeout=self.timeout)


def _order(value: object) -> object:
    if isinstance(value, str):
        refuse(f"must be a list, not {kind_of(value)}", "Write order: [PROGRAM, ARGUMENT, …].")
    return _short_command(value)


Order = Annotated[OrderEntry, BeforeValidator(_order)]


def volume_faults(
    volumes: list[VolumeEntry], *, document: Document, loc: Loc, called: str
) -> Iterator[Fault]:
    """A name and a place of its own for each; no volume inside another one."""
    for number, entry in enumerate(volumes):
        for before, other in enumerate(volumes[:number]):
            line = document.line((*loc, before))
            if entry.name == other.name:
                problem = f"{called}: two volumes are called {entry.name!r} (line {line})."
                remedy = "Give each volume a name of its own: its data is found by it."
                yield document.fault((*loc, number, "name"), problem, remedy)
            pair = sorted((f"{entry.path}/", f"{other.path}/"))
            if pair[1].startswith(pair[0]):
                problem = (
                    f"{called}: the volumes {other.name} (line {line}) and {entry.name} lie one "
                    f"on the other: {other.path} and {entry.path}."
                )
                remedy = "Give each volume a path of its own, not inside another one's."
                yield document.fault((*loc, number, "path"), problem, remedy)


def order_faults(
    entry: OrderEntry, *, document: Document, loc: Loc, called: str, project: Path
) -> Iterator[Fault]:
    """A program that is there. A bare name is looked for on PATH when it runs."""
    program = entry.command[0]
    if "/" not in program:
        return
    path = project / program
    if not path.is_file():
        problem = f"{called}: there is no order program {program}."
        yield document.fault(loc, problem, "A path starts at the project; create the file.")
    elif not os.access(path, os.X_OK):
        problem = f"{called}: the order program {program} is not executable."
        yield document.fault(loc, problem, f"Make it so: chmod +x {program}")
