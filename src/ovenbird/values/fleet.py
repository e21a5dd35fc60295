"""What should run: a fleet as an operator wrote it, and the order for one instance of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ovenbird.values.image import Artifact, Contract, ImageRef
from ovenbird.values.limits import Limits
from ovenbird.values.procedure import Budget, Procedure


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FleetKey:
    """The name of a fleet in the world: the same name in two environments never meets."""

    site: str
    env: str
    name: str

    def __str__(self) -> str:
        return f"{self.env}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """When an instance counts as healthy. All times in seconds.

    ``kind`` is ``http`` (``path`` answers ``status``), ``tcp`` (the port accepts) or ``engine``
    (the container's own health check, or ``ready_line`` on its console).
    ``min_healthy_time < healthy_deadline < progress_deadline``, as in Nomad.
    """

    kind: str = "http"
    path: str = "/healthz"
    status: int = 200
    ready_line: str = ""
    interval: float = 0.5
    timeout: float = 2.0
    passes: int = 2
    min_healthy_time: float = 10.0
    healthy_deadline: float = 300.0
    progress_deadline: float = 600.0
    lost_after: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Where a secret comes from: ``file:PATH`` or ``command:ARGV``. Never the secret itself."""

    name: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the engine grants one instance; None leaves it to the engine."""

    memory: str | None = None
    cpus: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What differs between environments: values, references to secrets, and resources."""

    config: tuple[tuple[str, str], ...] = ()
    secrets: tuple[SecretRef, ...] = ()
    resources: Resources = Resources()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchData:
    """A `LaunchSpec` resolved for one rollout. ``repr`` shows no secret."""

    config: str = "{}"  # JSON object, what the instance reads at /run/ovenbird/config.json
    secrets: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    resources: Resources = Resources()
    hash: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerSpec:
    """Who sends a fleet its traffic.

    ``kind`` names an entry point of ``ovenbird.balancers``; the other fields belong to the kinds
    that need them: ``bind`` ``socket`` ``folder`` ``mode`` (haproxy), ``argv`` (command), ``path``
    (file). An empty ``socket`` means that Ovenbird starts an HAProxy of its own for the site.
    ``retries`` is how often haproxy tries another server when a connection is refused.
    """

    kind: str = "none"
    bind: str = ""
    socket: str = ""
    folder: str = ""
    main: str = ""
    mode: str = "http"
    argv: tuple[str, ...] = ()
    path: str = ""
    drain_timeout: float = 30.0
    retries: int = 0


class Kind(StrEnum):
    """What a fleet is for."""

    SERVICE = "service"  # ``size`` instances that are there all the time
    JOB = "job"  # one instance at a time, on demand, to its own end


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A job of the family's contract by its name, and how long it may take (seconds)."""

    name: str
    timeout: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """A volume that every numbered slot of a fleet has, and where an instance finds it."""

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderHook:
    """A program of the operator's that says which instances go last (the leader, say).

    It runs on the operator's machine with OVENBIRD_FLEET, OVENBIRD_ENV and on stdin a JSON list
    of {token, slot, address}; it prints one token a line, in the order in which they may go.
    """

    argv: tuple[str, ...]
    timeout: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What should run, from ``inventories/<env>/fleets.yml``. Wanted, never observed.

    ``size`` is what holds: the file's, unless `fleet.scale` has recorded another; ``file_size`` is
    the file's own then, else None. A fleet with ``volumes`` is stateful: numbered slots, each
    replaced by ending the old one first. ``job`` is what a fleet of kind job runs.
    """

    env: str
    name: str
    image: ImageRef
    size: int
    provider: str = "podman"
    launch: LaunchSpec = LaunchSpec()
    limits: Limits = Limits()
    health: HealthCheck = HealthCheck()
    balancers: tuple[BalancerSpec, ...] = ()
    stage: int = 0
    procedure: Procedure = Procedure()
    budget: Budget = Budget()
    kind: Kind = Kind.SERVICE
    job: JobSpec | None = None
    before_first_wave: JobSpec | None = None
    volumes: tuple[VolumeSpec, ...] = ()
    order: OrderHook | None = None
    file_size: int | None = None
    file: str = ""
    line: int = 0

    @property
    def is_stateful(self) -> bool:
        return bool(self.volumes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Everything a provider needs to start one instance. ``token`` makes it idempotent.

    ``volumes`` are those of its slot, attached at launch. With ``job``, a name of the contract's
    ``jobs``, the image runs that program to its end instead of its init, and is not restarted.
    """

    token: str
    fleet: FleetKey
    version: str  # "web/2": a label
    artifact: Artifact
    contract: Contract
    launch: LaunchData
    slot: int
    volumes: tuple[VolumeSpec, ...] = ()
    job: str = ""
