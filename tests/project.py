"""A copy of this project with a site and ports of its own, driven through its command line.

Nothing here reaches around the command line to make something happen; podman is asked only to
see from outside what happened, and to clean up.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ovenbird import process
from ovenbird.balancer import haproxy
from ovenbird.process import Finished
from ovenbird.provider import podman_engine
from ovenbird.state.site import open_site

REPOSITORY = Path(__file__).parents[1]
COPIED = ("packer", "playbooks", "roles", "inventories", "tests/images", "tasks.py", "ansible.cfg")
INVOKE = Path(sys.executable).with_name("invoke")

NEEDS = {
    "# secrets: [token]": "secrets: [token]",
    "# secrets: {token: not-a-secret}": "secrets: {token: not-a-secret}",
}
"""What the project's own ``web`` only hints at: here it needs a secret."""

TITLE = "web_title: Ovenbird\n"
SMOKE = "smoke: {http: /healthz}"


class Project:
    """``folder`` is the copy, ``site`` its state. ``said`` keeps all that any command printed."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder, self.site = folder, site
        self.said: list[str] = []
        self._fleets: dict[str, dict[str, object]] = {}

    @classmethod
    def copied(cls, folder: Path, *, site: Path) -> Project:
        """Copy what a bake and a rollout read, unless that was done before; no fleet is in it."""
        project = cls(folder, site)
        if not folder.exists():
            for name in COPIED:
                project._copy(name)
            project.rewrite_families(NEEDS)
        for env in ("dev", "staging"):
            project.declare(env, {})
        return project

    def _copy(self, name: str) -> None:
        source, target = REPOSITORY / name, self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copyfile(source, target)

    def rewrite_families(self, changes: Mapping[str, str]) -> None:
        """Replace texts in packer/images.yml; one that is not there is an error."""
        path = self.folder / "packer/images.yml"
        text = path.read_text()
        for old, new in changes.items():
            assert old in text, f"{old!r} is not in packer/images.yml any more"
            text = text.replace(old, new)
        path.write_text(text)

    def declare(self, env: str, fleets: Mapping[str, object]) -> None:
        """Write inventories/<env>/fleets.yml, whole. JSON is YAML."""
        self._fleets[env] = dict(fleets)
        path = self.folder / "inventories" / env / "fleets.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"fleets": self._fleets[env]}, indent=2))

    def declare_one(self, env: str, name: str, fleet: Mapping[str, object] | None) -> None:
        """Add or change one fleet beside the others; None takes it out."""
        others = {k: v for k, v in self._fleets[env].items() if k != name}
        self.declare(env, others if fleet is None else {**others, name: fleet})

    def run(self, *words: str, code: int | None = 0) -> Finished:
        """Run ``invoke WORDS`` without a terminal. Any other exit code than ``code`` is an error;
        None takes them all."""
        done = process.run(
            [str(INVOKE), *words],
            doing=f"invoke {' '.join(words)}",
            env=self.environment,
            cwd=self.folder,
            check=False,
        )
        self.said += [done.stdout, done.stderr]
        if code is not None:
            assert done.code == code, f"{words} ended with {done.code}:\n{done.stdout}{done.stderr}"
        return done

    def document(self, *words: str, code: int = 0) -> Any:
        """Run ``invoke WORDS --json`` and read its stdout, where nothing else may be."""
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def start(self, *words: str) -> Driver:
        """Start ``invoke WORDS`` and return while it runs."""
        return Driver(self, words)

    def bake(self, *, changes: Mapping[str, str], without: str = "") -> str:
        """Bake ``web`` with changed families, put them back, and return what was made (web/2).

        ``without`` is a file that is not there meanwhile: the proof that a bad image would fail.
        """
        families = self.folder / "packer/images.yml"
        before, aside = families.read_text(), self.folder / f"{without}.aside"
        self.rewrite_families(changes)
        if without:
            (self.folder / without).rename(aside)
        try:
            return self.run("bake", "web").stdout.strip()
        finally:
            families.write_text(before)
            if without:
                aside.rename(self.folder / without)

    @property
    def environment(self) -> dict[str, str]:
        return {"OVENBIRD_STATE": str(self.site)}

    @cached_property
    def id(self) -> str:
        site = open_site({**os.environ, **self.environment})
        # An open connection here would lose its locks when a test reads the file as bytes.
        site.database.close()
        return site.id

    def podman(self, *argv: str, check: bool = True) -> str:
        """Ask podman itself, to see behind Ovenbird."""
        return process.run(
            ("podman", *argv), doing="Looking", env=self.podman_environment, check=check
        ).stdout

    @property
    def podman_environment(self) -> dict[str, str]:
        return podman_engine.environment(self.site)

    def close(self) -> None:
        """Leave nothing of this site: no instance, image, secret, HAProxy or file."""
        haproxy.stop(self.site)
        mine = f"--filter=label=ovenbird.site={self.id}"
        if names := self.podman("ps", "--all", mine, "--format={{.Names}}").split():
            self.podman("rm", "--force", "--time=0", *names)
        images = self.document("image.list")["images"]
        for artifact in [a for image in images for a in image["artifacts"] if a["id"]]:
            self.podman("rmi", "--force", artifact["id"].removeprefix("sha256:"), check=False)
        shutil.rmtree(self.folder)
        shutil.rmtree(self.site)


class Driver:
    """A command that runs. ``text`` is what it has said so far, on stderr and stdout."""

    def __init__(self, project: Project, words: tuple[str, ...]) -> None:
        self._words, self._project = words, project
        self._child = subprocess.Popen(
            [str(INVOKE), *words],
            env={**os.environ, **project.environment},
            cwd=project.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, name="driver", daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return "".join(self._lines)

    @property
    def runs(self) -> bool:
        return self._child.poll() is None

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._child.poll()

    def until(self, pattern: str, *, seconds: float = 60) -> re.Match[str]:
        """Return as soon as what it says matches, so early that it is still at it."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            assert self.runs or self._reader.is_alive(), f"it ended without:\n{self.text}"
            assert time.monotonic() < deadline, f"{pattern!r} is not in:\n{self.text}"
            time.sleep(0.005)
        return found

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self._child.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill it as the kernel would, and nothing that it has started."""
        self._child.send_signal(signal.SIGKILL)
        self._child.wait()

    def end(self, *, code: int | None = 0) -> str:
        """Wait for its end and return all that it said."""
        ended = self._child.wait(timeout=300)
        self._reader.join(timeout=30)
        self._project.said.append(self.text)
        if code is not None:
            assert ended == code, f"{self._words} ended with {ended}:\n{self.text}"
        return self.text

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as out:
            for line in out:
                self._lines.append(line)


def until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
