"""``inventories/engines.yml``: where the engines are that are not simply this machine's podman."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ovenbird.config.schema import Entry, parse, refuse, section
from ovenbird.config.yaml import read
from ovenbird.values.engine import LOCAL_SOCKET, EngineSettings, LxdSettings, QemuSettings
from ovenbird.values.errors import ConfigurationError, Fault

FILE = "inventories/engines.yml"


def _endpoint(text: str) -> str:
    if text.startswith("unix:") or re.fullmatch(r"https://[^/\s@]+(:\d{1,5})?/?", text):
        return text.rstrip("/")
    return refuse(f"cannot be {text!r}", "An endpoint is https://HOST:8443, unix: or unix:/PATH.")


def _pin(text: str) -> str:
    digits = text.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        refuse(
            "is no SHA-256 in 64 hex digits",
            "On the server: openssl x509 -noout -fingerprint -sha256 -in cluster.crt "
            "(server.crt where it stands alone).",
        )
    return digits


class ClientEntry(Entry):
    certificate: str = Field(description="the file of the client's certificate (PEM)")
    key: str = Field(description="the file of its key (PEM)")


class LxdEntry(Entry):
    endpoints: list[Annotated[str, AfterValidator(_endpoint)]] = Field(
        default_factory=lambda: [LOCAL_SOCKET],
        min_length=1,
        description="a list of https://HOST:8443, unix: or unix:/PATH, tried in turn",
    )
    pin: Annotated[str, AfterValidator(_pin)] | None = Field(
        default=None, description="the SHA-256 of the server's certificate, 64 hex digits"
    )
    client: ClientEntry | None = Field(
        default=None, description="{certificate: FILE, key: FILE}, which the server trusts"
    )
    project: str = Field(default="default", description="the name of an LXD project")
    pool: str = Field(default="default", description="the name of a storage pool")
    profile: str = Field(default="default", description="the profile with the network card")


class QemuEntry(Entry):
    accelerator: Literal["auto", "kvm", "tcg"] = Field(
        default="auto", description="auto, kvm or tcg"
    )
    memory: str = Field(
        default="512m", pattern=r"^[1-9][0-9]{0,6}[mg]$", description="a size as in 512m or 2g"
    )
    cpus: int = Field(default=1, ge=1, le=256, description="a whole number of processors")
    bridge: str = Field(default="", description='the name of a bridge, or "" for loopback ports')


def engines(project: Path) -> dict[str, EngineSettings]:
    """What the file says of each engine; an engine that it does not name has its defaults.

    Raises `ConfigurationError` with every fault.
    """
    if not (project / FILE).exists():
        return {}
    document = read(project, FILE)
    if document.data is None:
        return {}
    faults: list[Fault] = []
    found: dict[str, EngineSettings] = {}
    for name, data in section(document, "engines", faults).items():
        loc = ("engines", name)
        called = f"engine {name}"
        if name == "lxd":
            entry = parse(LxdEntry, data, document=document, loc=loc, called=called, faults=faults)
            if entry is not None:
                faults.extend(_incomplete(entry, document.fault(loc, "", "", key=True)))
                found[name] = _lxd(entry, project)
        elif name == "qemu":
            vm = parse(QemuEntry, data, document=document, loc=loc, called=called, faults=faults)
            if vm is not None:
                found[name] = QemuSettings(
                    accelerator=vm.accelerator, memory=vm.memory, cpus=vm.cpus, bridge=vm.bridge
                )
        else:
            problem = f"There is nothing to say of an engine {name!r} here."
            faults.append(document.fault(loc, problem, "Allowed: lxd, qemu.", key=True))
    if faults:
        raise ConfigurationError(faults)
    return found


def _lxd(entry: LxdEntry, project: Path) -> LxdSettings:
    client = entry.client
    return LxdSettings(
        endpoints=tuple(entry.endpoints),
        pin=entry.pin or "",
        certificate=str(project / Path(client.certificate).expanduser()) if client else "",
        key=str(project / Path(client.key).expanduser()) if client else "",
        project=entry.project,
        pool=entry.pool,
        profile=entry.profile,
    )


def _incomplete(entry: LxdEntry, where: Fault) -> list[Fault]:
    if not any(endpoint.startswith("https:") for endpoint in entry.endpoints):
        return []
    missing = [name for name in ("pin", "client") if getattr(entry, name) is None]
    return [
        Fault(
            file=where.file,
            line=where.line,
            problem=f"engine lxd: {name} is missing, and an endpoint is https.",
            remedy="Without it nobody knows who answers, or the server who asks: "
            f"{LxdEntry.model_fields[name].description}.",
        )
        for name in missing
    ]
