"""What podman says of its containers, read as instances. Pure: text in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from pydantic import BaseModel, Field, TypeAdapter

from ovenbird.provider import labels
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.instance import EngineState, Seen


def label(key: str) -> str:
    return f"ovenbird.{key}"


def labels_of(order: Order, *, site: str) -> dict[str, str]:
    """Return what is written on a container when it is made, and can never change later."""
    return {label(key): value for key, value in labels.of_instance(order, site=site).items()}


def suspects(listing: str) -> list[str]:
    """Name the ids whose restarts have to be asked for: they run, and have ended before.

    podman 4 lists no count. One that ran before a reboot, or that somebody has stopped and
    started, looks the same and has none.
    """
    return [
        container.id
        for container in _LISTING.validate_json(listing.strip() or "[]")
        if container.restarts is None
        and container.state == "running"
        and _moment(container.exited_at) is not None
    ]


def counted(lines: str) -> dict[str, int]:
    """Read lines of an id and a number."""
    return {id_: int(count) for id_, count in map(str.split, lines.splitlines())}


def parse(listing: str, restarts: Mapping[str, int] = MappingProxyType({})) -> list[Seen]:
    """Read ``podman ps --all --format json``, all of it labelled by `labels_of`.

    ``restarts`` says by id how often podman restarted one that had ended by itself. Such a one
    has ended, and is only told apart by it from one that came back after a reboot.

    A container inherits the labels of its image, and somebody may have committed an instance of
    ours: what lacks one of our labels, or is not named after its token, is left out.
    """
    ours = {label(k) for k in ("site", "env", "fleet", "version", "launch", "token", "slot")}
    return [
        _seen(container, container.labels, container.restarts or restarts.get(container.id, 0))
        for container in _LISTING.validate_json(listing.strip() or "[]")
        if container.labels is not None
        and ours <= container.labels.keys()
        and container.labels[label("token")] in container.names
    ]


class _Port(BaseModel):
    host_ip: str = ""
    host_port: int
    protocol: str = "tcp"


class _Container(BaseModel):
    id: str = Field(alias="Id")
    names: list[str] = Field(alias="Names")
    labels: dict[str, str] | None = Field(alias="Labels")
    state: str = Field(alias="State")
    status: str = Field(alias="Status", default="")  # "Up 2 minutes ago (healthy)"
    created: int = Field(alias="Created")
    started_at: int = Field(alias="StartedAt")
    exited_at: int = Field(alias="ExitedAt")
    exit_code: int = Field(alias="ExitCode")
    ports: list[_Port] | None = Field(alias="Ports")
    restarts: int | None = Field(alias="Restarts", default=None)  # since podman 5


_CHECK = re.compile(r"\((healthy|unhealthy|starting)\)")
_LISTING = TypeAdapter(list[_Container])


def _seen(container: _Container, labels: Mapping[str, str], restarts: int) -> Seen:
    state = EngineState.EXITED if restarts and _runs(container) else _state(container)
    ports = [p for p in container.ports or [] if p.protocol == "tcp"]
    started, ended = _moment(container.started_at), _moment(container.exited_at)
    return Seen(
        token=labels[label("token")],
        id=container.id,
        fleet=FleetKey(
            site=labels[label("site")], env=labels[label("env")], name=labels[label("fleet")]
        ),
        version=labels[label("version")],
        launch_hash=labels[label("launch")],
        slot=int(labels[label("slot")]),
        state=state,
        launched_at=datetime.fromtimestamp(container.created, UTC),
        address=f"{ports[0].host_ip or '127.0.0.1'}:{ports[0].host_port}" if ports else None,
        # podman keeps no code of an end that it has made good.
        exit_code=container.exit_code
        if state is EngineState.EXITED and not _runs(container)
        else None,
        restarts=restarts,
        since={EngineState.RUNNING: started, EngineState.EXITED: ended}.get(state),
        job=labels.get(label("job"), ""),
        check=found[1] if (found := _CHECK.search(container.status)) else "",
    )


def _runs(container: _Container) -> bool:
    return container.state in ("running", "paused")


def _state(container: _Container) -> EngineState:
    """Translate podman's word.

    After a reboot podman calls what ran before ``created`` (4.3) or ``exited`` (later), but it
    still knows that it started it and never saw it end: that is a loss, not an end of its own.
    """
    match container.state:
        case "running" | "paused":
            return EngineState.RUNNING
        case "stopping" | "removing":
            return EngineState.DYING
        case "created" | "configured" | "initialized" | "exited" | "stopped":
            started, ended = _moment(container.started_at), _moment(container.exited_at)
            if started is None:
                return EngineState.CREATED
            never_saw_its_end = ended is None or ended < started
            return EngineState.LOST if never_saw_its_end else EngineState.EXITED
        case _:
            return EngineState.LOST


def _moment(seconds: int) -> datetime | None:
    """podman writes the year 1 for "never"."""
    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
