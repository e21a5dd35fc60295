"""Nothing is waited for without end, and nothing is left half known."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest
from tests.builders import KEY, a_seen, an_order

from ovenbird.balancer.faulty import FaultyBalancer
from ovenbird.mishap import Kind, Mishap, Mishaps, Verb
from ovenbird.provider.faulty import FaultyProvider
from ovenbird.provider.memory import MemoryBalancer, MemoryProvider
from ovenbird.rollout.bounded import BoundedBalancer, BoundedProvider, within
from ovenbird.values.errors import BalancerUnreachable, EngineUnreachable, NoCapacity
from ovenbird.values.image import StopPolicy

LIMIT = 0.1
AT_ONCE = StopPolicy(timeout=0)

ENGINE: dict[Verb, Callable[[BoundedProvider], object]] = {
    Verb.INSTANCES: lambda engine: engine.instances(KEY),
    Verb.LAUNCH: lambda engine: engine.launch(an_order()),
    Verb.TERMINATE: lambda engine: engine.terminate("web-001", stop=AT_ONCE),
    Verb.CONSOLE: lambda engine: engine.console("web-001", lines=5),
}
BALANCER: dict[Verb, Callable[[BoundedBalancer], object]] = {
    Verb.OPEN: lambda balancer: balancer.open(),
    Verb.REGISTER: lambda balancer: balancer.register(a_seen()),
    Verb.ENTRIES: lambda balancer: balancer.entries(),
    Verb.DRAIN: lambda balancer: balancer.drain("web-001", timeout=0.0),
    Verb.DEREGISTER: lambda balancer: balancer.deregister("web-001"),
    Verb.CLOSE: lambda balancer: balancer.close(),
}


def an_engine(*mishaps: Mishap) -> BoundedProvider:
    return BoundedProvider(FaultyProvider(MemoryProvider(), Mishaps(*mishaps)), longest=LIMIT)


def a_balancer(*mishaps: Mishap) -> BoundedBalancer:
    inner = MemoryBalancer(MemoryProvider(), KEY)
    return BoundedBalancer(FaultyBalancer(inner, Mishaps(*mishaps)), longest=LIMIT)


@pytest.mark.parametrize("verb", ENGINE)
def test_a_hanging_engine_raises_in_time(verb: Verb) -> None:
    engine, began = an_engine(Mishap(verb=verb, kind=Kind.HANG)), time.monotonic()

    with pytest.raises(EngineUnreachable, match=r"^memory .* within 0\.1 s") as told:
        ENGINE[verb](engine)

    assert LIMIT <= time.monotonic() - began < 20 * LIMIT
    assert told.value.exit_code == 3


@pytest.mark.parametrize("verb", BALANCER)
def test_a_hanging_balancer_raises_in_time(verb: Verb) -> None:
    balancer, began = a_balancer(Mishap(verb=verb, kind=Kind.HANG)), time.monotonic()

    with pytest.raises(BalancerUnreachable, match=r"^The balancer memory .* within 0\.1 s") as told:
        BALANCER[verb](balancer)

    assert LIMIT <= time.monotonic() - began < 20 * LIMIT
    assert told.value.exit_code == 3


def test_a_stop_and_a_drain_have_the_time_they_were_given_beside() -> None:
    late = Mishap(verb=Verb.TERMINATE, kind=Kind.LATE, seconds=2 * LIMIT)
    an_engine(late).terminate("web-001", stop=StopPolicy(timeout=5))
    late = Mishap(verb=Verb.DRAIN, kind=Kind.LATE, seconds=2 * LIMIT)

    assert a_balancer(late).drain("web-001", timeout=5.0) == 0


def test_what_answers_in_time_is_passed_on_as_it_is() -> None:
    provider = MemoryProvider()
    engine = BoundedProvider(provider, longest=10.0)
    seen = engine.launch(an_order())

    assert list(engine.instances(KEY)) == [seen]
    assert (engine.name, engine.place) == (provider.name, provider.place)
    provider.make_room(1)
    with pytest.raises(NoCapacity):
        engine.launch(an_order("web-002"))


def test_a_call_that_is_too_late_is_left_alone_and_not_undone() -> None:
    """Nobody would know what a killed call has done; so it is found out by looking."""
    go, landed = threading.Event(), threading.Event()

    def slow() -> None:
        go.wait(30)
        landed.set()

    with pytest.raises(EngineUnreachable):
        within(0.01, slow, late=EngineUnreachable("Late.", remedy="Wait."))
    assert not landed.is_set()
    go.set()

    assert landed.wait(30)


@pytest.mark.parametrize("after", [0.0, 0.1])
def test_an_interrupt_waits_for_the_call_that_is_under_way(after: float) -> None:
    """Also one that comes while the call is only being started."""
    landed: list[str] = []

    def launch() -> None:
        time.sleep(after)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.2)
        landed.append("landed")

    with pytest.raises(KeyboardInterrupt):
        within(30.0, launch, late=EngineUnreachable("Late.", remedy="Wait."))

    assert landed == ["landed"]


def test_an_interrupt_does_not_wait_for_a_call_that_hangs() -> None:
    def hang() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        threading.Event().wait()

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        within(0.2, hang, late=EngineUnreachable("Late.", remedy="Wait."))

    assert time.monotonic() - began < 10
