"""What should run: a fleet as an operator wrote it, and the order for one instance of it."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What should run, from ``inventories/<env>/fleets.yml``. Wanted, never observed."""

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
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Everything a provider needs to start one instance. ``token`` makes it idempotent."""

    token: str
    fleet: FleetKey
    version: str  # "web/2": a label
    artifact: Artifact
    contract: Contract
    launch: LaunchData
    slot: int
