"""How one family is written in ``packer/images.yml``."""

from __future__ import annotations

import re
import signal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ovenbird.config.health import HealthEntry
from ovenbird.config.retention_entry import RetentionEntry
from ovenbird.config.schema import NAMES, ConfigItem, Duration, Entry, Item, Port, refuse
from ovenbird.config.variables import CREDENTIALS
from ovenbird.values.image import NAME, StopPolicy

_SOURCE = re.compile(r"deb(-src)?\s+(\[[^\]]+\]\s+)?\S+:\S+\s+\S+(\s+\S+)*")


def _no_credentials(text: str) -> str:
    if CREDENTIALS.search(text):
        refuse(
            "has credentials in its URL, and what stands here gets into images and hashes",
            "Remove them; inventories/bake/environment.yml lends a bake its proxy and secrets.",
        )
    return text


def _source(text: str) -> str:
    if not _SOURCE.fullmatch(_no_credentials(text)):
        refuse(
            f"is not an apt source: {text!r}",
            "One-line style: deb http://deb.debian.org/debian bookworm main",
        )
    return text


def _signal(text: str) -> str:
    low, high = signal.SIGRTMIN, signal.SIGRTMAX
    offset = re.fullmatch(r"SIGRTMIN\+(\d{1,2})", text)
    if text in signal.Signals.__members__ or (offset and low + int(offset[1]) <= high):
        return text
    return refuse(f"does not name a signal: {text!r}", "Such as SIGTERM, SIGQUIT or SIGRTMIN+3.")


def _program(argv: list[str]) -> list[str]:
    if not re.fullmatch(r"/[^\s:]+", argv[0]):
        refuse(
            f"runs {argv[0]!r}, which is no absolute path",
            "Write the program as the image has it: [/usr/bin/program, argument].",
        )
    return argv


Plain = Annotated[str, AfterValidator(_no_credentials)]
Variables = dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Any]


class MmdebstrapEntry(Entry):
    suite: str = Field(pattern=r"^[a-z][a-z0-9.-]*$", description="a suite, such as bookworm")
    variant: Literal[
        "minbase", "essential", "apt", "required", "important", "standard", "buildd"
    ] = Field(default="minbase", description="a variant of mmdebstrap, such as minbase")
    include: list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.:-]*$")]] = Field(
        default_factory=list, description="a list of names of Debian packages"
    )


class DiskEntry(Entry):
    path: Annotated[str, Field(pattern=r"^[^\s-]\S*$")] | None = Field(
        default=None, description="a file, relative to the project"
    )
    url: (
        Annotated[str, Field(pattern=r"^https?://\S+$"), AfterValidator(_no_credentials)] | None
    ) = Field(default=None, description="an address that begins with https:// or http://")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="the SHA-256 of the file, 64 hex digits"
    )


class FromEntry(Entry):
    mmdebstrap: MmdebstrapEntry | None = Field(default=None, description="{suite: …, include: […]}")
    oci: Annotated[str, Field(pattern=r"^[^\s-]\S*$"), AfterValidator(_no_credentials)] | None = (
        Field(default=None, description="an OCI reference, such as docker.io/library/debian:12")
    )
    qcow2: DiskEntry | None = Field(
        default=None, description="{url: …, sha256: …} or {path: …, sha256: …}"
    )


class NeedsEntry(Entry):
    config: list[ConfigItem] = Field(default_factory=list, description=f"a list of names: {NAMES}")
    secrets: list[Item] = Field(default_factory=list, description=f"a list of names: {NAMES}")


class StopEntry(Entry):
    signal: Annotated[str, AfterValidator(_signal)] = Field(
        default=StopPolicy().signal, description="a signal, such as SIGTERM or SIGRTMIN+3"
    )
    timeout: Duration = Field(
        default=float(StopPolicy().timeout), description="a duration, such as 20s"
    )


Job = Annotated[str, Field(pattern=NAME.pattern.join("^$"))]
Program = Annotated[list[str], Field(min_length=1), AfterValidator(_program)]


class ContractEntry(Entry):
    port: Port | None = Field(default=None, description="a port from 1 to 65535")
    needs: NeedsEntry = Field(default_factory=NeedsEntry, description="{config: […], secrets: […]}")
    stop: StopEntry = Field(default_factory=StopEntry, description="{signal: …, timeout: …}")
    writable: list[Annotated[str, Field(pattern=r"^/[^\s:]+$")]] = Field(
        default_factory=list, description="a list of absolute paths"
    )
    jobs: dict[Job, Program] = Field(
        default_factory=dict, description="NAME: [/PROGRAM, ARGUMENT, …]"
    )


class ProofEntry(Entry):
    config: dict[ConfigItem, str] = Field(
        default_factory=dict, description="NAME: text, as test values"
    )
    secrets: dict[Item, str] = Field(default_factory=dict, description="NAME: text, as test values")
    smoke: HealthEntry | None = Field(
        default=None, description="a health check, such as {http: /healthz}"
    )
    tests: list[str] = Field(default_factory=list, description="a list of test files")


class FamilyEntry(Entry):
    playbook: Annotated[str, Field(pattern=r"^playbooks/[\w-]+\.ya?ml$")] = Field(
        description="a file of the folder playbooks, such as playbooks/web.yml"
    )
    parent: str | None = Field(default=None, description="the name of a family")
    origin: FromEntry | None = Field(
        None,
        alias="from",
        description="{mmdebstrap: {suite: …}}, {oci: REFERENCE} or {qcow2: {url: …, sha256: …}}",
    )
    sources: list[Annotated[str, AfterValidator(_source)]] | None = Field(
        default=None, description="a list of apt sources in one-line style"
    )
    max_size: str | None = Field(
        default=None, pattern=r"^[1-9][0-9]{0,6}[mg]$", description="a size as in 512m or 2g"
    )
    retention: RetentionEntry | None = Field(default=None, description="{keep: 10, min_age: 30d}")
    variables: Variables = Field(default_factory=dict, description="NAME: any value")
    launch: ContractEntry = Field(
        default_factory=ContractEntry,
        description="{port: …, needs: …, stop: …, writable: …, jobs: …}",
    )
    prove: ProofEntry = Field(
        default_factory=ProofEntry, description="{config: …, secrets: …, smoke: …, tests: …}"
    )
