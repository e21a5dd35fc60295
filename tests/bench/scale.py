"""What a rollout costs as its fleet grows: ``python -m tests.bench.scale``.

Drives rollouts of several sizes on the memory provider, counts every call, and fits the formula
of docs/explanation/scale.md: so many for each instance, and so many for each wave. With ``--lxd``
it measures instead what the calls of an LXD cluster of three cost: requests, seconds and bytes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import event
from tests.cluster import a_cluster
from tests.driving import HEALTH, Scene
from tests.lxd import Lxc
from tests.sequences.death import Death, a_site_with_images

from ovenbird.console import Console
from ovenbird.provider.lxd import LxdProvider
from ovenbird.provider.memory import MemoryBalancer, MemoryProvider
from ovenbird.rollout import bounded
from ovenbird.rollout.bounded import BoundedBalancer, BoundedProvider
from ovenbird.values.engine import LxdSettings
from ovenbird.values.fleet import FleetKey, LaunchData, Order
from ovenbird.values.image import Artifact, Contract, StopPolicy
from ovenbird.values.limits import Limits

LAUNCHED = 12
"""Instances that are measured on a cluster."""

COUNTED = {
    BoundedProvider: ("instances", "launch", "terminate", "console"),
    BoundedBalancer: ("entries", "register", "drain", "deregister"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one rollout has cost. ``rows`` is how many instances all lists together had."""

    size: int
    surge: int
    waves: int
    calls: Counter[str]
    rows: int
    transactions: int
    writes: int


def cost_of(size: int, surge: int) -> Cost:
    """Roll a fleet from one image to another, and count."""
    calls: Counter[str] = Counter()
    with a_site_with_images(Death()) as (database, folder), _counting(calls):
        limits = Limits(max_surge=surge, max_unavailable=0)
        scene = Scene.of(database, folder, size=size, limits=limits, health=HEALTH)
        scene.roll("web/1")
        calls.clear()
        event.listen(database._engine, "begin", lambda _: calls.update(["transactions"]))
        event.listen(
            database._engine,
            "before_cursor_execute",
            lambda _c, _k, statement, *_: calls.update(_write(statement)),
        )
        scene.roll("web/2")
    return Cost(
        size=size,
        surge=surge,
        waves=ceil((size - 1) / surge) + 1,
        calls=calls,
        rows=calls["rows"],
        transactions=calls["transactions"],
        writes=calls["writes"],
    )


def _write(statement: str) -> list[str]:
    return ["writes"] if statement.split(None, 1)[0] in ("INSERT", "UPDATE", "DELETE") else []


@contextmanager
def _counting(calls: Counter[str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded, "within", lambda _seconds, call, *, late: call())
        for owner, verbs in (
            (MemoryProvider, COUNTED[BoundedProvider]),
            (MemoryBalancer, COUNTED[BoundedBalancer]),
        ):
            for verb in verbs:
                patch.setattr(owner, verb, _counted(getattr(owner, verb), verb, calls))
        yield


def _counted(call: Any, verb: str, calls: Counter[str]) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[verb] += 1
        result = call(*args, **kwargs)
        if verb == "instances":
            calls["rows"] += len(result)
        return result

    return counted


def fitted(costs: Sequence[Cost], verb: str) -> tuple[float, float, float]:
    """Fit ``a * size + b * waves`` to what was counted, by least squares; return a, b, and by how
    much the worst count is off (a share of it)."""
    points = [(c.size, c.waves, c.calls[verb]) for c in costs]
    nn = sum(n * n for n, _, _ in points)
    ww = sum(w * w for _, w, _ in points)
    nw = sum(n * w for n, w, _ in points)
    ny = sum(n * y for n, _, y in points)
    wy = sum(w * y for _, w, y in points)
    by = nn * ww - nw * nw
    a, b = (ny * ww - wy * nw) / by, (wy * nn - ny * nw) / by
    return a, b, max(abs(a * n + b * w - y) / y for n, w, y in points)


def measure_lxd(console: Console) -> None:
    """Launch, list and end instances of a small image on a cluster, and count the requests."""
    sent: Counter[str] = Counter()
    plain = requests.Session.request

    def counted(session: requests.Session, *args: Any, **kwargs: Any) -> requests.Response:
        answer = plain(session, *args, **kwargs)
        sent["requests"] += 1
        sent["bytes"] += len(answer.content)
        return answer

    with a_cluster() as made, tempfile.TemporaryDirectory() as folder:
        settings = LxdSettings(
            endpoints=made.endpoints,
            pin=made.pin,
            certificate=str(made.certificate),
            key=str(made.key),
        )
        provider = LxdProvider(folder=Path(folder), site="scale", settings=settings)
        image = Lxc(made.members[0].folder).import_image()
        key = FleetKey(site="scale", env="dev", name="web")
        orders = [_order(key, image, slot) for slot in range(LAUNCHED)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(requests.Session, "request", counted)
            rows = [_timed("a launch", [partial(provider.launch, o) for o in orders], sent)]
            rows.append(_timed("a list of 12", [partial(provider.instances, key)] * 5, sent))
            ends = [
                partial(provider.terminate, o.token, stop=StopPolicy(timeout=5)) for o in orders
            ]
            rows.append(_timed("an ending", ends, sent))
    console.table(["call", "requests", "seconds", "bytes"], rows)


def _order(key: FleetKey, image: Artifact, slot: int) -> Order:
    return Order(
        token=f"dev-web-{slot:010d}",
        fleet=key,
        version="web/1",
        artifact=image,
        contract=Contract(port=80),
        launch=LaunchData(),
        slot=slot,
    )


def _timed(what: str, calls: Sequence[Callable[[], object]], sent: Counter[str]) -> list[str]:
    before, begun = Counter(sent), time.monotonic()
    for call in calls:
        call()
    seconds, count = (time.monotonic() - begun) / len(calls), len(calls)
    made = [(sent[each] - before[each]) / count for each in ("requests", "bytes")]
    return [what, f"{made[0]:.1f}", f"{seconds:.3f}", f"{made[1]:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,20,40,80")
    parser.add_argument(
        "--lxd", action="store_true", help="measure the calls of a cluster of three"
    )
    wanted, console = parser.parse_args(), Console()
    if wanted.lxd:
        measure_lxd(console)
        return
    costs: list[Cost] = []
    rows = []
    for size in map(int, wanted.sizes.split(",")):
        for surge in sorted({1, max(1, size // 10), max(1, size // 4)}):
            cost = cost_of(size, surge)
            costs.append(cost)
            verbs = ("instances", "launch", "terminate", "console", "entries")
            each = [f"{cost.calls[verb] / size:.1f}" for verb in (*verbs, "register", "drain")]
            lists = f"{cost.rows / size:.0f}"
            state = [f"{cost.transactions / size:.0f}", f"{cost.writes / size:.1f}"]
            rows.append([str(size), str(surge), str(cost.waves), *each, lists, *state])
    head = ["size", "surge", "waves", "lists", "launch", "terminate", "console", "entries"]
    head += ["register", "drain", "rows listed", "transactions", "writes"]
    console.table(head, rows)
    fits = [(verb, *fitted(costs, verb)) for verb in (*verbs, "transactions", "writes")]
    console.table(
        ["what", "an instance", "a wave", "worst off by"],
        [[verb, f"{a:.1f}", f"{b:.1f}", f"{off:.0%}"] for verb, a, b, off in fits],
    )
    console.note("Calls, rows and writes are those of one rollout, divided by its size.")


if __name__ == "__main__":
    main()
