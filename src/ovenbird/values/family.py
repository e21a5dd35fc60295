"""A family as its owner wrote it in ``packer/images.yml``: one line of images for one purpose."""

from __future__ import annotations

from dataclasses import dataclass, field

from ovenbird.values.fleet import HealthCheck, SecretRef
from ovenbird.values.image import Contract
from ovenbird.values.retention import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskImage:
    """A disk that somebody else made, in a format that QEMU reads: where it is and what it is.

    ``origin`` is a URL, or a path relative to the project; ``sha256`` 64 hex digits.
    """

    origin: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """Where a family without a parent comes from: mmdebstrap, an OCI reference, or a disk.

    Exactly one of ``suite`` (with ``variant`` and ``include``), ``oci`` and ``disk`` is set.
    """

    suite: str = ""
    variant: str = "minbase"
    include: tuple[str, ...] = ()
    oci: str = ""
    disk: DiskImage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSpec:
    """How an image of this family is proven: the launch data it gets, and the smoke check.

    ``config`` and ``secrets`` are test values, not references: they open nothing.
    ``tests`` are pytest files, relative to the project.
    """

    config: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    smoke: HealthCheck | None = None
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One entry of ``packer/images.yml``.

    Either ``parent`` (the name of a family) or ``definition`` is set. ``sources`` are the apt
    sources that the image keeps, one-line style. ``variables`` values are JSON texts, so that
    the entry can be hashed and handed to Ansible unchanged. A bake whose image takes more than
    ``max_size`` bytes at its engine fails; 0 allows any.
    """

    name: str
    playbook: str
    parent: str | None = None
    definition: Definition | None = None
    sources: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    contract: Contract = Contract()
    proof: ProofSpec = ProofSpec()
    max_size: int = 0
    retention: Retention | None = None  # no ingredient of an image, and none of its recipe
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeEnvironment:
    """What a bake is lent and an image never keeps: ``inventories/bake/environment.yml``.

    ``mirror`` replaces the host of every apt source while baking (``host`` takes the one that
    this machine's own apt uses, "" leaves the sources alone); ``proxy`` is an apt proxy URL.
    """

    mirror: str = "host"
    proxy: str = field(default="", repr=False)
    secrets: tuple[SecretRef, ...] = ()
