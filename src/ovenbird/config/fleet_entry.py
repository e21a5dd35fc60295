"""How one fleet is written in ``inventories/<env>/fleets.yml``."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ovenbird.config.health import HealthEntry
from ovenbird.config.kind_entry import Job
from ovenbird.config.procedure_entry import RolloutEntry
from ovenbird.config.schema import ConfigItem, Entry, Item, refuse
from ovenbird.config.volume_entry import Order, VolumeEntry
from ovenbird.config.wording import allowed, did_you_mean, kind_of
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import LaunchSpec, Resources, SecretRef
from ovenbird.values.image import ImageRef
from ovenbird.values.limits import Limits, Share


def _reference(value: object) -> str:
    """A reference, never the secret; what stands here instead is not repeated."""
    where = "Write file:PATH or command:PROGRAM ARGUMENT…, and keep the secret there."
    if not isinstance(value, str):
        refuse(f"must be a reference to a secret, not {kind_of(value)}", where)
    scheme, colon, rest = value.partition(":")
    if not colon or scheme not in ("file", "command"):
        refuse("is not a reference; a secret itself must not stand in this file", where)
    if not rest.strip():
        refuse(f"names no {'path' if scheme == 'file' else 'program'} after {scheme}:", where)
    return value


def _image(text: str) -> str:
    try:
        return str(ImageRef.parse(text))
    except ConfigurationError as error:
        refuse(f"does not name an image: {text!r}", error.remedy)


@cache
def providers() -> tuple[str, ...]:
    """The names of the installed providers."""
    return tuple(sorted(point.name for point in entry_points(group="ovenbird.providers")))


def _provider(text: str) -> str:
    if text not in providers():
        refuse(
            f"cannot be {text!r}: no such provider is installed."
            f"{did_you_mean(text, providers())}".rstrip("."),
            allowed(providers(), what="Providers"),
        )
    return text


def _share(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}%", value):
        return value
    shown = repr(value) if isinstance(value, (str, int, float)) else kind_of(value)
    return refuse(
        f"cannot be {shown}", 'Allowed: a number of instances from 0, or a share such as "25%".'
    )


SecretReference = Annotated[str, BeforeValidator(_reference)]
ShareOrCount = Annotated[Any, BeforeValidator(_share)]


class ResourcesEntry(Entry):
    memory: Annotated[str, Field(pattern=r"^[1-9][0-9]*[kmg]$")] | None = Field(
        default=None, description="a number with k, m or g, such as 256m"
    )
    cpus: Annotated[float, Field(gt=0, le=1024)] | None = Field(
        default=None, description="a number above 0, such as 0.5"
    )


class LaunchEntry(Entry):
    config: dict[ConfigItem, str] = Field(default_factory=dict, description="NAME: text")
    secrets: dict[Item, SecretReference] = Field(
        default_factory=dict, description="NAME: file:PATH or command:PROGRAM ARGUMENT…"
    )
    resources: ResourcesEntry = Field(
        default_factory=lambda: ResourcesEntry(), description="{memory: 256m, cpus: 1}"
    )

    def value(self) -> LaunchSpec:
        return LaunchSpec(
            config=tuple(sorted(self.config.items())),
            secrets=secret_refs(self.secrets),
            resources=Resources(memory=self.resources.memory, cpus=self.resources.cpus),
        )


def secret_refs(written: dict[str, str]) -> tuple[SecretRef, ...]:
    return tuple(SecretRef(name=name, reference=ref) for name, ref in sorted(written.items()))


class LimitsEntry(Entry):
    max_surge: ShareOrCount = Field(default=1, description='a number or "25%"')
    max_unavailable: ShareOrCount = Field(default=0, description='a number or "25%"')

    def value(self, *, stateful: bool) -> Limits:
        """What is written, and else what suits: a fleet with volumes ends the old one first."""
        surge: Share = self.max_surge
        unavailable: Share = self.max_unavailable
        if stateful and "max_surge" not in self.model_fields_set:
            surge = 0
        if stateful and "max_unavailable" not in self.model_fields_set:
            unavailable = 1
        return Limits(max_surge=surge, max_unavailable=unavailable)


class FleetEntry(Entry):
    image: Annotated[str, AfterValidator(_image)] = Field(
        description="FAMILY@CHANNEL, such as web@stable, or FAMILY/NUMBER, such as web/2"
    )
    kind: Literal["service", "job"] = Field(default="service", description="service or job")
    size: int = Field(default=0, ge=0, le=10000, description="a number of instances, 0 or more")
    provider: Annotated[str, AfterValidator(_provider)] = Field(
        default="podman", description="the name of an installed provider"
    )
    stage: int = Field(default=0, ge=0, description="a whole number, 0 or more")
    launch: LaunchEntry = Field(
        default_factory=lambda: LaunchEntry(),
        description="{config: …, secrets: …, resources: …}",
    )
    limits: LimitsEntry = Field(
        default_factory=lambda: LimitsEntry(), description="{max_surge: 1, max_unavailable: 0}"
    )
    health: HealthEntry = Field(
        default_factory=lambda: HealthEntry(), description="{http: PATH, …}, {tcp: true} or engine"
    )
    rollout: RolloutEntry = Field(
        default_factory=lambda: RolloutEntry(),
        description="{strategy: rolling, stepped or blue-green, …}",
    )
    volumes: list[VolumeEntry] = Field(
        default_factory=list, description="a list of {name: NAME, path: PATH}"
    )
    order: Order | None = Field(default=None, description="[PROGRAM, ARGUMENT, …] or {command: …}")
    job: Job | None = Field(default=None, description="the name of a job, or {job: …, timeout: …}")
    before_first_wave: Job | None = Field(
        default=None, description="the name of a job, or {job: …, timeout: …}"
    )
    balancer: Any = Field(default=None, description="haproxy, command, file or none")
