"""Instances that somebody changed from inside, found by the engine's own comparison from outside.

OVENBIRD_TEST_DRIFT=10 makes the fleet ten; the time of a look and the traffic are printed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from tests.live import LiveFleet
from tests.traffic import nobody_was_turned_away

SIZE = int(os.environ.get("OVENBIRD_TEST_DRIFT", "2"))

MANY_FILES = "mkdir -p /var/cache/app && cd /var/cache/app && touch $(seq 200)"


def test_a_hand_changed_instance_is_found_and_replaced_and_what_all_write_is_only_told(
    new_fleet: Callable[..., LiveFleet], record_property: Callable[[str, object], None]
) -> None:
    fleet = new_fleet(size=SIZE)
    fleet.rollout()
    look = ("fleet.drift", "--fleet", fleet.name, "--env", fleet.env)
    clean = fleet.project.document(*look, "--check")["fleets"][0]
    assert {each["bucket"] for each in clean["instances"]} == {"current"}, clean

    token = min(fleet.containers())
    fleet.project.podman("exec", token, "touch", "/etc/x")
    begun = time.monotonic()
    found = fleet.project.run(*look, "--check", code=6)
    seconds = time.monotonic() - begun
    assert "/etc/x" in found.stdout
    assert "1 drifted" in found.stdout

    with fleet.traffic() as traffic:
        fleet.project.run(*look, "--repair", "--yes")
    results = traffic.results()
    record_property(f"seconds of a look at {SIZE}", round(seconds, 2))
    record_property("traffic", str(results))
    print(f"a look at {SIZE} took {seconds:.2f} s; {results}")
    nobody_was_turned_away(results, at_least=100)
    assert token not in fleet.containers()
    assert len(fleet.containers()) == SIZE
    assert fleet.serving() == ["web/1"] * SIZE

    before = set(fleet.containers())
    for each in before:
        fleet.project.podman("exec", each, "sh", "-c", MANY_FILES)
    told = fleet.project.run(*look, "--check", "--repair", "--yes", code=6).stdout
    assert told.count("undeclared: ") == 1, told
    assert f"/var/cache/app changed in {SIZE} of {SIZE} instances" in told
    assert "writable: [/var/log/nginx, /var/cache/app]" in told
    assert "packer/images.yml line " in told
    assert set(fleet.containers()) == before
