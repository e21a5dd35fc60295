"""The other side of the comparison: the same image as somebody would bake it without Ovenbird.

What is theirs alone lies in ``plain/``; see the README.md there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from tests.project import REPOSITORY, Project

from ovenbird.bake.oven_qemu_disk import virtual_size
from ovenbird.config import load_bake_environment, load_bake_variables, load_families
from ovenbird.packages.sources import apt_options, lend
from ovenbird.provider import qemu_accelerator, qemu_store
from ovenbird.values.engine import QemuSettings
from ovenbird.values.errors import OvenbirdError

PLAIN = Path(__file__).parent / "plain"
GUARD = shutil.ignore_patterns(
    "callback_plugins", "vars_plugins", "ansible.cfg", "roles", "molecule", "__pycache__"
)
LENT = "/run/ovenbird-bake"
WANTED = "/etc/systemd/system/multi-user.target.wants/ssh.service"
INSIDE = {"APT_CONFIG": f"{LENT}/apt.conf", "DEBIAN_FRONTEND": "noninteractive"}


class BenchFailed(OvenbirdError):
    """One of the sides could not bake, so there is nothing to compare."""

    def __init__(self, said: str) -> None:
        last = "\n".join(said.splitlines()[-15:])
        super().__init__("A bake failed.", remedy="Correct it first.", evidence=last)


class ByHand(ABC):
    """Packer and Ansible alone, in a folder outside of the checkout, from the same first image."""

    engine: str

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder = project, folder

    def lay_out(self, source: str) -> None:
        """Write all that is needed to bake from the artifact ``source``."""
        shutil.copytree(PLAIN / self.engine, self.folder)
        for name in ("roles", "playbooks"):
            shutil.copytree(REPOSITORY / name, self.folder / name, ignore=GUARD)
        family = load_families(self.project.folder)["web"]
        self._lend(family.sources)
        variables = {
            **load_bake_variables(self.project.folder),
            **{name: json.loads(value) for name, value in family.variables},
            "ovenbird_family": family.name,
            "ovenbird_sources": list(family.sources),
        }
        (self.folder / "variables.json").write_text(json.dumps(variables))
        self._prepare(source)

    def bake(self) -> float:
        """Bake, and take the image away again; return the seconds of the bake."""
        words = [f"-var={name}={value}" for name, value in self._variables.items()]
        begun = time.monotonic()
        done = subprocess.run(
            ["packer", "build", "-color=false", *words, "."],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        took = time.monotonic() - begun
        if done.returncode:
            raise BenchFailed(done.stdout)
        self._forget_own()
        return took

    @abstractmethod
    def forget(self, artifact_id: str) -> None:
        """Take an image away that Ovenbird has baked, and leave it in the catalog."""

    @property
    @abstractmethod
    def _variables(self) -> Mapping[str, object]: ...

    @abstractmethod
    def _prepare(self, source: str) -> None: ...

    @abstractmethod
    def _forget_own(self) -> None: ...

    def _lend(self, kept: tuple[str, ...]) -> None:
        """Lend the mirror that Ovenbird lends."""
        environment, lent = load_bake_environment(self.project.folder), self._lent
        lent.mkdir(parents=True)
        sources = lend(kept, environment)
        (lent / "sources.list").write_text("".join(f"{source}\n" for source in sources))
        apt = [
            *apt_options(environment),
            f'Dir::Etc::sourcelist "{LENT}/sources.list";',
            'Dir::Etc::sourceparts "-";',
        ]
        (lent / "apt.conf").write_text("\n".join([*apt, ""]))

    @property
    def _lent(self) -> Path:
        return self.folder / "lent" / Path(LENT).name

    @property
    def _environment(self) -> dict[str, str]:
        """The environment of a user who has Ansible on the PATH."""
        ours = {name for name in os.environ if name.startswith(("ANSIBLE_", "OVENBIRD_"))}
        path = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {
            **{name: value for name, value in os.environ.items() if name not in ours},
            "PATH": path,
            "CHECKPOINT_DISABLE": "1",
        }


class OnPodman(ByHand):
    """With the docker builder, through podman's shim for docker."""

    engine = "podman"

    def forget(self, artifact_id: str) -> None:
        self.project.podman("rmi", "--no-prune", artifact_id.removeprefix("sha256:"))

    @property
    def _variables(self) -> Mapping[str, object]:
        return {
            "source_image": self._source,
            "lent": self._lent,
            "manifest": self.folder / "manifest.json",
        }

    def _prepare(self, source: str) -> None:
        self._source = source
        inside = "".join(f"{name}={value}\n" for name, value in INSIDE.items())
        (self._lent / "environment").write_text(inside)
        docker = self.folder / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text('#!/bin/sh\nexec podman "$@"\n')
        docker.chmod(0o755)

    def _forget_own(self) -> None:
        manifest = self.folder / "manifest.json"
        self.forget(json.loads(manifest.read_text())["builds"][-1]["artifact_id"])
        manifest.unlink()

    @property
    def _environment(self) -> dict[str, str]:
        return {**super()._environment, **self.project.podman_environment}


class OnQemu(ByHand):
    """With the qemu builder, by an sshd and a key that the first disk has for this."""

    engine = "qemu"

    def forget(self, artifact_id: str) -> None:
        qemu_store.remove(self.project.site, artifact_id)

    @property
    def _variables(self) -> Mapping[str, object]:
        return {
            "disk": self.folder / "base.qcow2",
            "disk_size": f"{virtual_size(self._golden.disk) >> 20}M",
            "boot": self._golden.folder,
            "append": self._golden.boot.append,
            "accelerator": self._accelerator,
            "cpu": qemu_accelerator.flags(self._accelerator)[-1],
            "key": self.folder / "key",
            "lent": self._lent,
            "output": self.folder / "out",
        }

    def _prepare(self, source: str) -> None:
        self._golden = qemu_store.golden(self.project.site, source, what="base")
        self._accelerator = qemu_accelerator.chosen(QemuSettings(), self.project.site, self._golden)
        for name in ("key", "host"):
            self._said("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name)
        inside = "".join(f"{name}={value}\n" for name, value in INSIDE.items())
        (self.folder / "inside").write_text(inside)
        self._said("qemu-img", "convert", "-O", "raw", str(self._golden.disk), "base.raw")
        requests = (
            "write inside /etc/environment",
            "mkdir /root/.ssh",
            "write key.pub /root/.ssh/authorized_keys",
            "write host /etc/ssh/ssh_host_ed25519_key",
            "sif /etc/ssh/ssh_host_ed25519_key mode 0100600",
            f"symlink {WANTED} /lib/systemd/system/ssh.service",
        )
        (self.folder / "requests").write_text("\n".join(requests))
        self._said("debugfs", "-w", "-f", "requests", "base.raw")
        self._said("qemu-img", "convert", "-O", "qcow2", "base.raw", "base.qcow2")
        (self.folder / "base.raw").unlink()

    def _forget_own(self) -> None:
        shutil.rmtree(self.folder / "out")

    def _said(self, *words: str) -> str:
        return subprocess.run(
            words, cwd=self.folder, capture_output=True, text=True, check=True
        ).stdout


BY_HAND: Mapping[str, type[ByHand]] = {each.engine: each for each in (OnPodman, OnQemu)}
