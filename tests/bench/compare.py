"""Bake `web` with Ovenbird and by hand, in turn, and compare the medians.

    .venv/bin/python -m tests.bench.compare --times 5

Both start from the same image of `base` and end with a sealed image. Ovenbird's time is that of
the whole command less its proof, since the other side proves nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.project import INVOKE, REPOSITORY, Project

from ovenbird.config import load_bake_environment, load_bake_variables, load_families
from ovenbird.packages.sources import apt_options, lend
from ovenbird.values.errors import OvenbirdError

PLAIN = Path(__file__).parent / "plain"
GUARD = shutil.ignore_patterns(
    "callback_plugins", "vars_plugins", "ansible.cfg", "roles", "molecule", "__pycache__"
)
ALLOWED = 1.10
STAGES = {
    "Rendering": "start",
    "Provisioning": "render, validate, lend",
    "Proving": "provision, seal, commit",
    "Registered": "prove",
}
"""Words that begin a step of a bake, and what ends with that step's beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """One bake: the seconds of the whole, and of each stage."""

    whole: float
    stages: Mapping[str, float]

    @property
    def unproven(self) -> float:
        return self.whole - self.stages.get("prove", 0.0)


def ovenbird(project: Project) -> Took:
    """Bake with Ovenbird; take the image away again."""
    begun = last = time.monotonic()
    stages: dict[str, float] = {}
    env = {**os.environ, **project.environment}
    words = [str(INVOKE), "bake", "web", "--force", "--json"]
    with (
        tempfile.TemporaryFile("w+") as out,
        subprocess.Popen(
            words, env=env, cwd=project.folder, stdout=out, stderr=subprocess.PIPE, text=True
        ) as child,
    ):
        assert child.stderr is not None
        said = []
        for line in child.stderr:
            said.append(line)
            for word, ended in STAGES.items():
                if line.strip().startswith(f"‣ {word}"):
                    now = time.monotonic()
                    stages[ended], last = now - last, now
        code = child.wait()
        whole = time.monotonic() - begun
        stages["clean, print"] = time.monotonic() - last
        if code:
            raise BenchFailed("".join(said))
        out.seek(0)
        forget(project, json.load(out)["image"]["artifacts"][0]["id"])
    return Took(whole=whole, stages=stages)


def by_hand(project: Project, folder: Path, source_image: str) -> Took:
    """Bake with Packer and Ansible alone; take the image away again."""
    manifest = folder / "manifest.json"
    manifest.unlink(missing_ok=True)
    variables = {"source_image": source_image, "lent": folder / "lent", "manifest": manifest}
    words = [f"-var={name}={value}" for name, value in variables.items()]
    begun = time.monotonic()
    done = subprocess.run(
        ["packer", "build", "-color=false", *words, "."],
        cwd=folder,
        env=plain_environment(project, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    whole = time.monotonic() - begun
    if done.returncode:
        raise BenchFailed(done.stdout)
    forget(project, json.loads(manifest.read_text())["builds"][-1]["artifact_id"])
    return Took(whole=whole, stages={})


def plain_environment(project: Project, folder: Path) -> dict[str, str]:
    """The environment of a user who has podman's shim for docker and Ansible on the PATH."""
    ours = {name for name in os.environ if name.startswith(("ANSIBLE_", "OVENBIRD_"))}
    path = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        **{name: value for name, value in os.environ.items() if name not in ours},
        **project.podman_environment,
        "PATH": path,
        "CHECKPOINT_DISABLE": "1",
    }


def lay_out(project: Project, folder: Path) -> None:
    """Copy the other side out of the checkout, with the roles and playbooks of the project."""
    shutil.copytree(PLAIN, folder)
    for name in ("roles", "playbooks"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=GUARD)
    docker = folder / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\nexec podman "$@"\n')
    docker.chmod(0o755)
    family = load_families(project.folder)["web"]
    environment = load_bake_environment(project.folder)
    lent = folder / "lent"
    lent.mkdir()
    sources = lend(family.sources, environment)
    (lent / "sources.list").write_text("".join(f"{source}\n" for source in sources))
    apt = [
        *apt_options(environment),
        'Dir::Etc::sourcelist "/run/ovenbird-bake/sources.list";',
        'Dir::Etc::sourceparts "-";',
    ]
    (lent / "apt.conf").write_text("\n".join([*apt, ""]))
    inside = {"APT_CONFIG": "/run/ovenbird-bake/apt.conf", "DEBIAN_FRONTEND": "noninteractive"}
    (lent / "environment").write_text("".join(f"{k}={v}\n" for k, v in inside.items()))
    variables = {
        **load_bake_variables(project.folder),
        **{name: json.loads(value) for name, value in family.variables},
        "ovenbird_family": family.name,
        "ovenbird_sources": list(family.sources),
    }
    (folder / "variables.json").write_text(json.dumps(variables))


def forget(project: Project, image: str) -> None:
    project.podman("rmi", "--no-prune", image.removeprefix("sha256:"))


class BenchFailed(OvenbirdError):
    """One of the sides could not bake, so there is nothing to compare."""

    def __init__(self, said: str) -> None:
        last = "\n".join(said.splitlines()[-15:])
        super().__init__("A bake failed.", remedy="Correct it first.", evidence=last)


def compare(project: Project, folder: Path, *, times: int) -> float:
    """Bake in turn, print what each took, and return the ratio of the medians."""
    lay_out(project, folder)
    (base, *_) = project.document("image.list", "--family", "base")["images"]
    source_image = base["artifacts"][0]["id"]
    ours: list[Took] = []
    theirs: list[Took] = []
    for turn in range(times):
        ours.append(ovenbird(project))
        theirs.append(by_hand(project, folder, source_image))
        print(
            f"{turn + 1}: ovenbird {ours[-1].unproven:5.1f} s   by hand {theirs[-1].whole:5.1f} s"
        )
    ratio = median(ours) / median(theirs)
    print(f"medians: ovenbird {median(ours):.1f} s, by hand {median(theirs):.1f} s")
    print(f"ratio {ratio:.3f}, at most {ALLOWED} is allowed")
    for stage in ours[0].stages:
        spent = statistics.median(took.stages[stage] for took in ours)
        print(f"  {spent:6.1f} s  {stage}")
    return ratio


def median(took: Sequence[Took]) -> float:
    return statistics.median(one.unproven for one in took)


def main() -> int:
    said = argparse.ArgumentParser(description="Compare Ovenbird with Packer and Ansible alone.")
    said.add_argument("--times", type=int, default=5, help="bakes of each side")
    said.add_argument("--oven", type=Path, help="a folder with a baked project, kept afterwards")
    asked = said.parse_args()
    with tempfile.TemporaryDirectory(prefix="ovenbird-bench-") as scratch:
        home = asked.oven or Path(scratch) / "oven"
        project = Project.copied(home / "project", site=home / "site")
        try:
            project.run("bake", "base")
            ratio = compare(project, Path(scratch) / "plain", times=asked.times)
        except BenchFailed as failed:
            print(failed.problem, failed.evidence, sep="\n", file=sys.stderr)
            return 1
        finally:
            if not asked.oven:
                project.close()
    return 0 if ratio <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
