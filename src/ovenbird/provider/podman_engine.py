"""Whether this machine's podman can run instances, and the settings that it needs for that.

Settings are written only where a fact of the machine asks for them, into the site's own folder;
an administrator's own containers.conf is never changed, and where there is one it stands.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field

from ovenbird import process
from ovenbird.values.errors import OvenbirdError

SETTINGS = "containers.conf"
_CAP_SYS_RESOURCE = 24
_PODMAN_NOFILE = 1_048_576  # what podman asks for as root, and fails without
_GIB = 2**30


class EngineFact(NamedTuple):
    """One line of ``invoke doctor``. ``ok`` with a remedy is a warning."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What decides which settings podman needs here."""

    cgroup_v2: bool
    has_runc: bool
    has_crun: bool
    has_systemd: bool
    may_raise_limits: bool
    settings_of_others: bool  # CONTAINERS_CONF or an administrator's file

    @classmethod
    def here(cls, environ: Mapping[str, str] | None = None) -> Host:
        environ = os.environ if environ is None else environ
        home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        own = (Path("/etc/containers") / SETTINGS, home / "containers" / SETTINGS)
        return cls(
            cgroup_v2=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
            has_runc=_installed("runc"),
            has_crun=_installed("crun"),
            has_systemd=Path("/run/systemd/system").is_dir(),
            may_raise_limits=_may_raise_limits(),
            settings_of_others="CONTAINERS_CONF" in environ or any(f.exists() for f in own),
        )


def settings_for(host: Host) -> str:
    """Return the containers.conf that ``host`` needs, or "" where podman's own defaults work."""
    containers, engine = [], []
    if not host.may_raise_limits:
        containers.append('default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]')
    # crun refuses cgroup v1 and the hybrid of both.
    if host.has_runc and not (host.cgroup_v2 and host.has_crun):
        engine.append('runtime = "runc"')
    if not (host.cgroup_v2 and host.has_systemd):
        engine.append('cgroup_manager = "cgroupfs"')
    if not host.has_systemd:
        engine.append('events_logger = "file"')
    parts = [("[containers]", containers), ("[engine]", engine)]
    return "".join("\n".join([head, *lines]) + "\n" for head, lines in parts if lines)


def environment(folder: Path) -> dict[str, str]:
    """Return what podman needs in its environment here, after writing it below ``folder``."""
    host = Host.here()
    settings = "" if host.settings_of_others else settings_for(host)
    if not settings:
        return {}
    file = folder / SETTINGS
    if not file.exists() or file.read_text() != settings:
        folder.mkdir(parents=True, exist_ok=True)
        # Two commands may start at once: each writes its own file, and the last one stays.
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as new:
            new.write(settings)
        Path(new.name).chmod(0o644)
        os.replace(new.name, file)
    return {"CONTAINERS_CONF": str(file)}


def facts() -> list[EngineFact]:
    """Look at this machine's podman; asks it once, changes nothing."""
    if shutil.which("podman") is None:
        return [EngineFact("podman", False, "not installed", "apt install podman")]
    try:
        told = process.run(
            ("podman", "info", "--format", "json"), doing="Asking podman about itself", timeout=30
        )
    except OvenbirdError as error:
        return [EngineFact("podman", False, error.problem, error.remedy)]
    info, host = Info.model_validate_json(told.stdout), Host.here()
    free = shutil.disk_usage(info.store.root).free
    return [*judged(info, host, free=free), _inotify(Path("/proc/sys/fs/inotify"))]


class _Security(BaseModel):
    rootless: bool


class _HostInfo(BaseModel):
    controllers: list[str] | None = Field(alias="cgroupControllers")
    security: _Security


class _StoreInfo(BaseModel):
    root: str = Field(alias="graphRoot")


class _VersionInfo(BaseModel):
    number: str = Field(alias="Version")


class Info(BaseModel):
    """The part of ``podman info --format json`` that we read."""

    host: _HostInfo
    store: _StoreInfo
    version: _VersionInfo


def judged(info: Info, host: Host, *, free: int) -> list[EngineFact]:
    """Turn what podman and the machine say into lines. ``free`` is in bytes."""
    rules: list[Callable[[], EngineFact]] = [
        lambda: _version(info),
        lambda: _runtime(host),
        lambda: _mode(info, host),
        lambda: _space(info, free),
    ]
    return [rule() for rule in rules]


def _version(info: Info) -> EngineFact:
    number = info.version.number
    if int(number.split(".")[0]) >= 4:
        return EngineFact("podman", True, number)
    return EngineFact("podman", False, f"{number} is too old", "Install podman 4.0 or later.")


def _runtime(host: Host) -> EngineFact:
    name = "container runtime"
    if host.cgroup_v2 and host.has_crun:
        return EngineFact(name, True, "crun on cgroup v2")
    if host.has_runc:
        return EngineFact(name, True, f"runc on cgroup {'v2' if host.cgroup_v2 else 'v1'}")
    why = "crun needs cgroup v2" if host.has_crun else "neither crun nor runc is installed"
    return EngineFact(name, False, why, "apt install runc")


def _mode(info: Info, host: Host) -> EngineFact:
    if not info.host.security.rootless:
        return EngineFact("podman mode", True, "rootful")
    if not host.cgroup_v2:
        return EngineFact(
            "podman mode",
            False,
            "rootless on cgroup v1: systemd does not start in a container",
            "Run Ovenbird as root, or boot with systemd.unified_cgroup_hierarchy=1.",
        )
    if {"memory", "pids"} <= set(info.host.controllers or []):
        return EngineFact("podman mode", True, "rootless, cgroup v2 is delegated")
    return EngineFact(
        "podman mode",
        False,
        "rootless, and cgroup v2 is not delegated",
        "Log in through systemd (machinectl shell), or add Delegate=yes to user@.service.",
    )


def _space(info: Info, free: int) -> EngineFact:
    detail = f"{free / _GIB:.1f} GiB at {info.store.root}"
    if free >= 5 * _GIB:
        return EngineFact("podman disk", True, detail)
    return EngineFact("podman disk", free >= 2 * _GIB, detail, "Keep 5 GiB free for bakes.")


def _inotify(folder: Path) -> EngineFact:
    allowed = int((folder / "max_user_instances").read_text())
    if allowed >= 512:
        return EngineFact("inotify instances", True, str(allowed))
    return EngineFact(
        "inotify instances",
        True,
        f"{allowed}: enough for about {allowed // 13} instances with systemd inside",
        "sysctl -w fs.inotify.max_user_instances=1024",
    )


def _installed(program: str) -> bool:
    # An ordinary user's PATH often lacks the folders where runtimes are installed.
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(program, path=places) is not None


def _may_raise_limits() -> bool:
    """Podman sets its own high limits only as root; there it needs the right to."""
    if os.geteuid() != 0:
        return True
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= _PODMAN_NOFILE:
        return True
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
