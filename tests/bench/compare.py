"""Bake `web` with Ovenbird and by hand, in turn, and compare the medians.

    .venv/bin/python -m tests.bench.compare --times 5 --on qemu

Both start from the same image of `base` and end with a sealed image. Ovenbird's time is that of
the whole command less its proof, since the other side proves nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.by_hand import BY_HAND, BenchFailed, ByHand
from tests.project import INVOKE, Project

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


def ovenbird(project: Project, other: ByHand) -> Took:
    """Bake with Ovenbird; take the image away again."""
    begun = last = time.monotonic()
    stages: dict[str, float] = {}
    env = {**os.environ, **project.environment}
    words = [str(INVOKE), "bake", "web", "--on", other.engine, "--force", "--json"]
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
        other.forget(json.load(out)["image"]["artifacts"][0]["id"])
    return Took(whole=whole, stages=stages)


def compare(project: Project, other: ByHand, *, times: int) -> float:
    """Bake in turn, print what each took, and return the ratio of the medians."""
    (base, *_) = project.document("image.list", "--family", "base")["images"]
    other.lay_out(base["artifacts"][0]["id"])
    ours: list[Took] = []
    theirs: list[float] = []
    for turn in range(times):
        ours.append(ovenbird(project, other))
        theirs.append(other.bake())
        told = f"ovenbird {ours[-1].unproven:5.1f} s   by hand {theirs[-1]:5.1f} s"
        print(f"{turn + 1}: {told}", flush=True)
    here, there = statistics.median(one.unproven for one in ours), statistics.median(theirs)
    ratio = here / there
    print(f"medians: ovenbird {here:.1f} s, by hand {there:.1f} s")
    print(f"ratio {ratio:.3f}, at most {ALLOWED} is allowed")
    for stage in ours[0].stages:
        spent = statistics.median(took.stages[stage] for took in ours)
        print(f"  {spent:6.1f} s  {stage}")
    return ratio


def main() -> int:
    said = argparse.ArgumentParser(description="Compare Ovenbird with Packer and Ansible alone.")
    said.add_argument("--times", type=int, default=5, help="bakes of each side")
    said.add_argument("--on", default="podman", choices=BY_HAND, help="which engine bakes")
    said.add_argument("--oven", type=Path, help="a folder with a baked project, kept afterwards")
    asked = said.parse_args()
    with tempfile.TemporaryDirectory(prefix="ovenbird-bench-") as scratch:
        home = asked.oven or Path(scratch) / "oven"
        project = Project.copied(home / "project", site=home / "site")
        try:
            project.run("bake", "base", "--on", asked.on)
            other = BY_HAND[asked.on](project, Path(scratch) / "plain")
            ratio = compare(project, other, times=asked.times)
        except BenchFailed as failed:
            print(failed.problem, failed.evidence, sep="\n", file=sys.stderr)
            return 1
        finally:
            if not asked.oven:
                project.close()
    return 0 if ratio <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
