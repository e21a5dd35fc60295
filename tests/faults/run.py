"""``invoke dev.faults``: kill a driver at the points of a rollout of four, and print a table."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.harness import HEAD, Kill, Scene, kill_everywhere, table
from tests.faults.scene import memory_scene
from tests.faults.scene_podman import podman_scene
from tests.postgres import PostgresServer
from tests.project import TITLE, Project

from ovenbird.console import Console

SIZE = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("memory", "podman", "all"), default="all")
    parser.add_argument("--state", choices=("sqlite", "postgresql", "all"), default="all")
    parser.add_argument("--every", action="store_true", help="every point, not one of each kind")
    wanted = parser.parse_args()
    console, rows, bad = Console(), [], []
    for engine, state in (("memory", "sqlite"), ("memory", "postgresql"), ("podman", "sqlite")):
        if wanted.engine not in (engine, "all") or wanted.state not in (state, "all"):
            continue
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            kills = _kill(engine, state, Path(folder), console, every=wanted.every)
        rows += kills[0]
        bad += [kill for kill in kills[1] if not kill.is_well]
    console.table(HEAD, rows)
    if bad:
        sys.exit("\n".join(f"{kill}\n{kill.said}" for kill in bad))


def _kill(
    engine: str, state: str, folder: Path, console: Console, *, every: bool
) -> tuple[list[list[str]], Sequence[Kill]]:
    """Return the rows of the table, the last one for all points, and the kills."""
    began = time.monotonic()
    with _scene(engine, state, folder) as scene, console.inside(f"Killing on {scene.name}"):
        kills = kill_everywhere(scene, every=every, tell=lambda kill: console.step(str(kill)))
        rows = list(table(scene.name, kills))
        console.step(f"{len(kills)} points in {time.monotonic() - began:.0f} s")
    return [*rows, _total(rows, scene.name)], kills


def _total(rows: Sequence[Sequence[str]], name: str) -> list[str]:
    numbers = [[int(cell) for cell in row[2:]] for row in rows]
    points, killed, well, lowest, failed = zip(*numbers, strict=True)
    told = (sum(points), sum(killed), sum(well), min(lowest), sum(failed))
    return [name, "all of them", *(str(each) for each in told)]


@contextmanager
def _scene(engine: str, state: str, folder: Path) -> Iterator[Scene]:
    if engine == "podman":
        with _baked(folder) as (project, second), podman_scene(project, second, size=SIZE) as live:
            yield live
    elif state == "postgresql":
        with (
            PostgresServer() as server,
            memory_scene(folder / "w", url=server.fresh_database(), size=SIZE) as far,
        ):
            yield far
    else:
        with memory_scene(folder / "w", size=SIZE) as near:
            yield near


@contextmanager
def _baked(folder: Path) -> Iterator[tuple[Project, str]]:
    """Bake two images of web in a project of our own, and leave nothing of it."""
    project = Project.copied(folder / "project", site=folder / "site")
    try:
        project.bake(changes={})
        project.run("image.promote", "web/1", "stable")
        yield project, project.bake(changes={TITLE: "web_title: The second\n"})
    finally:
        project.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
