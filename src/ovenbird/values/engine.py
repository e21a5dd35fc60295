"""How an engine is reached and what it gives by default: ``inventories/engines.yml``."""

from __future__ import annotations

from dataclasses import dataclass

LOCAL_SOCKET = "unix:"
"""The endpoint of the LXD on this host: ``$LXD_DIR/unix.socket``, else where packages put it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LxdSettings:
    """One LXD, alone or a cluster.

    ``endpoints`` are tried in turn; each is ``https://HOST:PORT``, ``unix:`` or ``unix:/PATH``.
    ``pin`` is the SHA-256 of the server's certificate, 64 hex digits, and needed for https:
    all members of a cluster show the same certificate. ``certificate`` and ``key`` are files of
    the client's. Instances get their network from ``profile``, their disks from ``pool``.
    """

    endpoints: tuple[str, ...] = (LOCAL_SOCKET,)
    pin: str = ""
    certificate: str = ""
    key: str = ""
    project: str = "default"
    pool: str = "default"
    profile: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuSettings:
    """Virtual machines on this host.

    ``accelerator`` is ``kvm``, ``tcg``, or ``auto``: kvm where it has booted a guest here.
    ``memory`` and ``cpus`` are for instances whose fleet says nothing. With ``bridge`` instances
    stand on it, else on a network of their own with forwarded ports on loopback.
    """

    accelerator: str = "auto"
    memory: str = "512m"
    cpus: int = 1
    bridge: str = ""


EngineSettings = LxdSettings | QemuSettings
