"""A blue-green switch at a real HAProxy, under load: how long it takes, and who notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.backends import Backends, a_free_port
from tests.project import until
from tests.traffic import Traffic, nobody_was_turned_away

from ovenbird.balancer.contract import an_instance_at, states
from ovenbird.balancer.haproxy import HAProxyBalancer, is_running, stop
from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck
from ovenbird.values.instance import EntryState

BLUE = [f"web-blue-{n}" for n in range(4)]
GREEN = [f"web-green-{n}" for n in range(4)]


def switch(balancer: HAProxyBalancer, backends: Backends, old: list[str], new: list[str]) -> float:
    """Change over as a rollout does, and return the seconds from the first call to the last."""
    begun = time.monotonic()
    for token in new:
        balancer.register(an_instance_at(token, backends.address(token)))
    until(lambda: all(states(balancer)[t] is EntryState.IN_SERVICE for t in new))
    for token in old:
        balancer.drain(token, timeout=0)
    assert all(states(balancer)[t] is EntryState.DRAINING for t in old)
    return time.monotonic() - begun


def test_a_switch_of_four_and_back_turns_nobody_away(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    spec = BalancerSpec(kind="haproxy", bind=f"127.0.0.1:{a_free_port()}")
    key = FleetKey(site="here", env="dev", name="web")
    balancer = HAProxyBalancer(key, spec, tmp_path, HealthCheck())
    with Backends(slow=1.0) as backends:
        try:
            balancer.open()
            for token in BLUE:
                balancer.register(an_instance_at(token, backends.address(token)))
            until(lambda: set(states(balancer).values()) == {EntryState.IN_SERVICE})
            for token in GREEN:
                backends.address(token)
            with Traffic(f"http://{spec.bind}", rate=200) as traffic:
                time.sleep(1)
                there = switch(balancer, backends, BLUE, GREEN)
                time.sleep(1)
                back = switch(balancer, backends, GREEN, BLUE)
                time.sleep(1)
            nobody_was_turned_away(traffic.results(), at_least=500)
            assert not {t.name for t in threading.enumerate()} & {"left running"}
        finally:
            stop(tmp_path)
    assert not is_running(tmp_path)
    record_property("seconds of a switch to four new ones", round(there, 3))
    record_property("seconds of a switch back to four draining ones", round(back, 3))
    print(f"a switch takes {there:.3f} s, and {back:.3f} s back; {traffic.results()}")
