"""Health checks as they are written, for ``health:`` of a fleet and ``smoke:`` of a proof."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import BeforeValidator, Field

from ovenbird.config.schema import Duration, DurationOrZero, Entry
from ovenbird.config.yaml import Document, Loc
from ovenbird.values.errors import Fault
from ovenbird.values.fleet import HealthCheck

KINDS = ("http", "tcp", "engine")


class EngineEntry(Entry):
    ready_line: str | None = Field(
        default=None, description="text that a line of the console contains when ready"
    )


def _switch(value: object) -> object:
    """``engine: true`` is ``engine: {}``, and ``engine: false`` is no engine."""
    return {} if value is True else None if value is False else value


class HealthEntry(Entry):
    """Exactly one of http, tcp and engine, and the times around it."""

    http: Annotated[str, Field(pattern=r"^/[!-~]*$")] | None = Field(
        default=None, description="a path that begins with /, such as /healthz"
    )
    tcp: bool | None = Field(default=None, description="true")
    engine: Annotated[EngineEntry | None, BeforeValidator(_switch)] = Field(
        default=None, description="true for the image's own health check, or {ready_line: TEXT}"
    )
    status: int = Field(default=200, ge=100, le=599, description="an HTTP status from 100 to 599")
    interval: Duration = Field(default=0.5, description="a duration: 500ms, 3s, 5m, 1h or seconds")
    timeout: Duration = Field(default=2.0, description="a duration: 500ms, 3s, 5m, 1h or seconds")
    passes: int = Field(default=2, ge=1, le=1000, description="a whole number from 1 to 1000")
    min_healthy_time: DurationOrZero = Field(
        default=10.0, description="a duration below healthy_deadline"
    )
    healthy_deadline: Duration = Field(
        default=300.0, description="a duration below progress_deadline"
    )
    progress_deadline: Duration = Field(
        default=600.0, description="a duration above healthy_deadline"
    )
    lost_after: Duration = Field(
        default=60.0, description="a duration: 500ms, 3s, 5m, 1h or seconds"
    )

    def value(self) -> HealthCheck:
        engine = self.engine or EngineEntry()
        return HealthCheck(
            kind=self.kind,
            path=self.http or HealthCheck().path,
            status=self.status,
            ready_line=engine.ready_line or "",
            interval=self.interval,
            timeout=self.timeout,
            passes=self.passes,
            min_healthy_time=self.min_healthy_time,
            healthy_deadline=self.healthy_deadline,
            progress_deadline=self.progress_deadline,
            lost_after=self.lost_after,
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of the kinds are asked for; a valid entry asks for one or leaves it to http."""
        return tuple(kind for kind in KINDS if getattr(self, kind) not in (None, False))

    @property
    def kind(self) -> str:
        return next(iter(self.kinds), "http")


def health_faults(
    entry: HealthEntry, *, document: Document, loc: Loc, called: str, port: int | None
) -> list[Fault]:
    """What a well-typed check still gets wrong: two kinds, no port to look at, times."""
    faults = _order_faults(entry, document=document, loc=loc, called=called)
    if len(entry.kinds) > 1:
        problem = f"{called}: health is checked in one way, not by {' and '.join(entry.kinds)}."
        faults.append(
            document.fault(
                (*loc, entry.kinds[1]), problem, f"Keep one of {', '.join(KINDS)}.", key=True
            )
        )
    elif port is None and entry.kind in ("http", "tcp"):
        faults.append(
            document.fault(
                (*loc, entry.kind),
                f"{called}: {entry.kind} health needs a port, and the image's family has none.",
                "Give the family launch: {port: NUMBER}, or check with engine: true or "
                "engine: {ready_line: TEXT}.",
                key=True,
            )
        )
    return faults


def _order_faults(entry: HealthEntry, *, document: Document, loc: Loc, called: str) -> list[Fault]:
    """``min_healthy_time < healthy_deadline < progress_deadline``: each pair that is not."""
    names = ("min_healthy_time", "healthy_deadline", "progress_deadline")
    faults = []
    for small, big in pairwise(names):
        if getattr(entry, small) < getattr(entry, big):
            continue
        told = (_told(entry, name, document=document, loc=loc) for name in (small, big))
        written = small if small in entry.model_fields_set else big
        faults.append(
            document.fault(
                (*loc, written),
                f"{called}: {' must be less than '.join(told)}.",
                "Allowed: min_healthy_time < healthy_deadline < progress_deadline.",
            )
        )
    return faults


def _told(entry: HealthEntry, name: str, *, document: Document, loc: Loc) -> str:
    """``healthy_deadline 60s (line 14)``"""
    where = f"line {document.line((*loc, name))}"
    if name not in entry.model_fields_set:
        where = "its default"
    return f"{name} {getattr(entry, name):g}s ({where})"
