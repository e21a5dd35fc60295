"""``balancer:`` of a fleet: one balancer, a list of them, or none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ovenbird.config.schema import DurationOrZero, Entry, parse, refuse
from ovenbird.config.wording import allowed, did_you_mean, kind_of
from ovenbird.config.yaml import Document, Loc
from ovenbird.values.errors import Fault
from ovenbird.values.fleet import BalancerSpec

KINDS = ("haproxy", "command", "file")
_BIND = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]*|\*):(\d{1,5})")
_EVERYWHERE = frozenset({"", "*", "0.0.0.0", "[::]"})


def _bind(text: str) -> str:
    match = _BIND.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= 65535:
        refuse(f"is not an address: {text!r}", "Write HOST:PORT, such as 127.0.0.1:8080 or *:80.")
    return text


def _short_argv(value: object) -> object:
    return {"argv": value} if isinstance(value, list) else value


def _short_path(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


class HaproxyEntry(Entry):
    bind: Annotated[str, AfterValidator(_bind)] = Field(
        description="HOST:PORT, such as 127.0.0.1:8080 or *:80"
    )
    socket: str = Field(default="", description="the admin socket of an HAProxy that you run")
    folder: str = Field(default="", description="the folder that your HAProxy loads with -f")
    main: str = Field(default="", description="the main file of your HAProxy")
    mode: Literal["http", "tcp"] = Field(default="http", description="http or tcp")
    drain_timeout: DurationOrZero = Field(default=30.0, description="a duration, such as 30s")
    retries: int = Field(default=0, ge=0, le=10, description="a whole number from 0 to 10")


class CommandEntry(Entry):
    argv: list[str] = Field(min_length=1, description="a program and its arguments, as a list")
    drain_timeout: DurationOrZero = Field(default=30.0, description="a duration, such as 30s")


class FileEntry(Entry):
    path: Annotated[str, Field(min_length=1)] = Field(description="the path of a JSON file")
    drain_timeout: DurationOrZero = Field(default=30.0, description="a duration, such as 30s")


class BalancerEntry(Entry):
    haproxy: HaproxyEntry | None = Field(default=None, description="{bind: HOST:PORT}")
    command: Annotated[CommandEntry | None, BeforeValidator(_short_argv)] = Field(
        default=None, description="[PROGRAM, ARGUMENT, …]"
    )
    file: Annotated[FileEntry | None, BeforeValidator(_short_path)] = Field(
        default=None, description="the path of a JSON file"
    )

    def value(self) -> BalancerSpec:
        if self.haproxy is not None:
            return BalancerSpec(kind="haproxy", **self.haproxy.model_dump())
        if self.command is not None:
            argv, wait = tuple(self.command.argv), self.command.drain_timeout
            return BalancerSpec(kind="command", argv=argv, drain_timeout=wait)
        if self.file is not None:
            return BalancerSpec(
                kind="file", path=self.file.path, drain_timeout=self.file.drain_timeout
            )
        return BalancerSpec(kind="none")


def balancers_of(
    written: object, *, document: Document, loc: Loc, called: str, faults: list[Fault]
) -> dict[Loc, BalancerSpec]:
    """Read what stands under ``balancer``, each with its place; none at all is empty."""
    if written in (None, "none"):
        return {}
    specs: dict[Loc, BalancerSpec] = {}
    listed = isinstance(written, list)
    for number, one in enumerate(written if isinstance(written, list) else [written]):
        here = (*loc, number) if listed else loc
        spec = _balancer(one, document=document, loc=here, called=called, faults=faults)
        if spec is not None:
            specs[here] = spec
    return specs


def _balancer(
    one: object, *, document: Document, loc: Loc, called: str, faults: list[Fault]
) -> BalancerSpec | None:
    options = allowed([*KINDS, "none"], what="Balancers")
    if not isinstance(one, dict) or len(one) != 1:
        shown = f"not {kind_of(one)}" if not isinstance(one, dict) else f"and here are {len(one)}"
        problem = f"{called}: a balancer is a mapping with one key, its kind, {shown}."
        faults.append(document.fault(loc, problem, options))
        return None
    kind = next(iter(one))
    if kind not in KINDS:
        hint = did_you_mean(str(kind), KINDS)
        problem = f"{called}: there is no balancer {str(kind)!r}.{hint}"
        faults.append(document.fault((*loc, kind), problem, options, key=True))
        return None
    if one[kind] is None:
        problem, remedy = f"{called}: balancer {kind} is empty.", BalancerEntry.model_fields[kind]
        remedied = f"Allowed: {remedy.description}."
        faults.append(document.fault((*loc, kind), problem, remedied, key=True))
        return None
    entry = parse(
        BalancerEntry,
        one,
        document=document,
        loc=loc,
        called=f"{called}: balancer",
        faults=faults,
    )
    if entry is None:
        return None
    if entry.haproxy is not None:
        faults += _socket_faults(entry.haproxy, document=document, loc=loc, called=called)
    return entry.value()


def _socket_faults(
    entry: HaproxyEntry, *, document: Document, loc: Loc, called: str
) -> Iterator[Fault]:
    """Without a socket the HAProxy is the site's own, and its files are nobody else's."""
    for key in ("folder", "main"):
        if key in entry.model_fields_set and not entry.socket:
            yield document.fault(
                (*loc, "haproxy", key),
                f"{called}: {key} belongs to an HAProxy that you run, and no socket names one.",
                f"Add socket: PATH, or remove {key} to have Ovenbird start an HAProxy of its own.",
                key=True,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """An address that a fleet's HAProxy listens on, and the line that says so."""

    fleet: str
    bind: str
    place: str
    line: int

    @classmethod
    def of(cls, fleet: str, spec: BalancerSpec, *, line: int) -> Bound:
        """A socket that is HOST:PORT is another machine; all others share this one."""
        remote = re.fullmatch(r"(?:\w+@)?([^/@]+:\d+)", spec.socket)
        return cls(fleet=fleet, bind=spec.bind, place=remote[1] if remote else "", line=line)

    def meets(self, other: Bound) -> bool:
        host, port = self.bind.rsplit(":", 1)
        other_host, other_port = other.bind.rsplit(":", 1)
        same = host == other_host or bool({host, other_host} & _EVERYWHERE)
        return same and int(port) == int(other_port) and self.place == other.place


def clashes(bounds: Sequence[Bound], *, file: str) -> Iterator[Fault]:
    """Each address that cannot be bound because an entry above has it, naming both lines."""
    for number, later in enumerate(bounds):
        first = next((b for b in bounds[:number] if b.meets(later)), None)
        if first is not None:
            yield Fault(
                file=file,
                line=later.line,
                problem=f"fleet {later.fleet} binds {later.bind} (line {later.line}), which "
                f"fleet {first.fleet} binds as {first.bind} (line {first.line}).",
                remedy="Give each fleet of an environment an address of its own.",
            )
