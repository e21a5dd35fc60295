"""What LXD says of its instances, read as ours. Pure: its JSON in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter

from ovenbird.provider import labels
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.instance import EngineState, Seen

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

IMAGE_LABEL = "user.ovenbird.image"
"""On what was made to look at an image, and is removed at once: its fingerprint."""

ENDING_LABEL = "user.ovenbird.ending"
"""On an instance that is being ended: since when, as LXD has no word for that."""

OURS = ("site", "env", "fleet", "version", "launch", "token", "slot")


def label(key: str) -> str:
    return f"user.ovenbird.{key}"


def labels_of(order: Order, *, site: str) -> dict[str, str]:
    """Return what is written on an instance when it is made: all that anybody may read of it."""
    said = labels.of_instance(order, site=site)
    if not order.job and order.contract.port is not None:
        said["port"] = str(order.contract.port)
    return {label(key): value for key, value in said.items()}


def asked_for(order: Order, *, site: str) -> Row:
    """Describe an instance that is about to be made, as far as that is known."""
    now = datetime.now(UTC)
    config = {**labels_of(order, site=site), "volatile.base_image": order.artifact.id}
    return Row(name=order.token, status="Error", config=config, created_at=now, last_used_at=_NEVER)


def wanted(said: Mapping[str, str], *, lost: bool = False) -> str:
    """Write LXD's filter for instances with these labels, and for all ``lost`` ones, which have
    none."""
    also = " or status eq Error" if lost else ""
    return " and ".join(f"config.{label(key)} eq {value}" for key, value in said.items()) + also


class _Address(BaseModel):
    address: str
    family: str
    scope: str


class _Network(BaseModel):
    addresses: list[_Address] = Field(default_factory=list)


class _State(BaseModel):
    network: dict[str, _Network] | None = None


class Row(BaseModel):
    """One instance as LXD lists it, ours or not."""

    name: str
    status: str
    config: Annotated[dict[str, str], BeforeValidator(lambda said: said or {})]
    created_at: datetime
    last_used_at: datetime
    location: str = ""
    expanded_devices: dict[str, dict[str, str]] | None = None
    devices: dict[str, dict[str, str]] | None = None
    state: _State | None = None

    @property
    def is_ours(self) -> bool:
        """It carries all of our labels, and the name that they say: a copy has another one."""
        said = self.config
        return {label(k) for k in OURS} <= said.keys() and said[label("token")] == self.name

    @property
    def mounts(self) -> tuple[str, ...]:
        """Where LXD mounts something of its own inside."""
        devices = (self.expanded_devices or {}).values()
        disks = [device for device in devices if device.get("type") == "disk"]
        return tuple(sorted(d["path"] for d in disks if d.get("path", "/") != "/"))


_ROWS = TypeAdapter(list[Row])


def rows(listing: object) -> list[Row]:
    """Read a listing. Of an offline member's instances LXD tells only the names: see `Known`."""
    return _ROWS.validate_python(listing)


def parse(found: Iterable[Row], codes: Mapping[str, int] = MappingProxyType({})) -> list[Seen]:
    """Read those that are ours; ``codes`` has the exit codes of jobs by token."""
    return [_seen(row, codes.get(row.name)) for row in found if row.is_ours]


def state_of(row: Row) -> EngineState:
    """Translate LXD's word.

    One that LXD knows as started, and whose end it never saw, is lost until LXD has started it
    again: so it is between a power cut and the start of LXD's instances after it.
    """
    match row.status:
        case "Error":
            return EngineState.LOST
        case _ if ENDING_LABEL in row.config:
            return EngineState.DYING
        case "Running" | "Ready" | "Frozen" | "Freezing" | "Thawed":
            return EngineState.RUNNING
        case "Starting":
            return EngineState.CREATED
        case "Stopping" | "Aborting":
            return EngineState.DYING
        case "Stopped":
            if _started(row) is None:
                return EngineState.CREATED
            unseen = row.config.get("volatile.last_state.power") == "RUNNING"
            return EngineState.LOST if unseen else EngineState.EXITED
        case _:
            return EngineState.LOST


def _seen(row: Row, code: int | None) -> Seen:
    said, state = row.config, state_of(row)
    return Seen(
        token=row.name,
        id=said.get("volatile.uuid", row.name),
        fleet=FleetKey(site=said[label("site")], env=said[label("env")], name=said[label("fleet")]),
        version=said[label("version")],
        launch_hash=said[label("launch")],
        slot=int(said[label("slot")]),
        state=state,
        launched_at=row.created_at,
        address=_address(row),
        exit_code=code if state is EngineState.EXITED else None,
        since=_since(row, state),
        job=said.get(label("job"), ""),
    )


def _address(row: Row) -> str | None:
    """Return where it serves: its first card's IPv4 address, None as long as it has none."""
    port = row.config.get(label("port"))
    if port is None or row.state is None:
        return None
    cards = [
        device.get("name", key)
        for key, device in sorted((row.expanded_devices or {}).items())
        if device.get("type") == "nic"
    ]
    networks = row.state.network or {}
    return next(
        (
            f"{address.address}:{port}"
            for card in cards
            for address in networks.get(card, _Network()).addresses
            if address.family == "inet" and address.scope == "global"
        ),
        None,
    )


def _since(row: Row, state: EngineState) -> datetime | None:
    if state is EngineState.DYING and ENDING_LABEL in row.config:
        return datetime.fromisoformat(row.config[ENDING_LABEL])
    return _started(row) if state is EngineState.RUNNING else None


def _started(row: Row) -> datetime | None:
    """LXD writes the year 1970, or 1, for "never"."""
    return row.last_used_at if row.last_used_at.year > 1970 else None
