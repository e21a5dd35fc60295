"""A driver killed beside each kind of call over real instances, with the mixed load on them.

What it writes is the same over every engine: those points are in test_faults_memory.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.faults.harness import kill_everywhere
from tests.faults.points import is_at_a_call
from tests.faults.scene_podman import podman_scene
from tests.project import Project

EVERY = bool(os.environ.get("OVENBIRD_TEST_EVERY_POINT"))
SIZE = int(os.environ.get("OVENBIRD_TEST_FAULTS_SIZE", "1"))
"""Of the fleet. With one instance each try takes four seconds; ``invoke dev.faults`` has four."""


def test_killed_at_each_point_over_real_instances_nobody_is_turned_away(
    oven_project: Project, second_image: str, record_property: Callable[[str, object], None]
) -> None:
    with podman_scene(oven_project, second_image, size=SIZE) as scene:
        kills = kill_everywhere(scene, every=EVERY, among=is_at_a_call)
        results = scene.traffic.results()

    for name, said in {
        "points": len(kills),
        "killed": sum(kill.killed for kill in kills),
        "lowest": min(kill.lowest for kill in kills),
        "traffic": str(results),
    }.items():
        record_property(name, said)
        print(f"{name}: {said}")
    assert not [f"{kill}\n{kill.said}" for kill in kills if not kill.is_well]
    assert not results.failed
    assert sum(kill.killed for kill in kills) >= 0.9 * len(kills)
