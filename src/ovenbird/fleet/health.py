"""Probes: one look at one instance, from outside. What it means is decided elsewhere.

An answer that is bad is FAIL: a wrong status, a refused or reset connection. Silence is NO_ANSWER:
a time-out, no route, no address. The observer may be the blind one then.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from ovenbird.clock import Clock
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import HealthCheck
from ovenbird.values.instance import EngineState, Look, Seen, Verdict

if TYPE_CHECKING:
    import httpx

AT_ONCE = 32
"""Looks at one time: a fleet is looked at in about one time-out, however many are silent."""

CONSOLE_LINES = 5000

ANSWERED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}
"""Errors that somebody sent us. All others (no route, time-out) say nothing about the instance."""

ReadConsole = Callable[[str], str]


class Probe(Protocol):
    """One way of looking. A look never raises: what went wrong is its verdict and detail."""

    def look(self, instance: Seen, at: datetime) -> Look: ...


def probe_for(
    health: HealthCheck, *, console: ReadConsole, accepted: Collection[str] = ()
) -> Probe:
    """Make the probe that ``health.kind`` names. ``console`` returns the console of a token.

    ``accepted`` are the tokens that passed their gate: a readiness line is asked for once, since
    a console forgets. Give ``console`` some `CONSOLE_LINES` lines for the same reason.
    """
    match health.kind:
        case "http":
            return HttpProbe(path=health.path, status=health.status, timeout=health.timeout)
        case "tcp":
            return TcpProbe(timeout=health.timeout)
        case "engine":
            return EngineProbe(
                ready_line=health.ready_line, console=console, accepted=frozenset(accepted)
            )
        case unknown:
            raise ConfigurationError.of(
                f"{unknown!r} is no way to look at an instance.",
                remedy="Write kind: http, tcp or engine.",
            )


def look_at_all(
    probe: Probe, seen: Collection[Seen], clock: Clock, *, longest: float = 10.0
) -> dict[str, Look]:
    """Look at every instance at once and return the looks by token.

    Who has not answered wholly after ``longest`` seconds, though it may drip on, gave no answer.
    """
    looks: dict[str, Look] = {}
    places = threading.Semaphore(AT_ONCE)

    def look(instance: Seen) -> None:
        with places:
            looks[instance.token] = probe.look(instance, clock.now())

    # Daemons, so that one that drips for ever cannot keep us from ending.
    threads = [threading.Thread(target=look, args=(each,), daemon=True) for each in seen]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + longest
    for thread in threads:
        thread.join(max(ends - time.monotonic(), 0))
    late = [each for each in seen if each.token not in looks]
    dripping = {e.token: _silent(e, clock.now(), f"no whole answer in {longest:g} s") for e in late}
    return {**looks, **dripping}


@dataclass(frozen=True, kw_only=True)
class HttpProbe:
    """``path`` answers ``status`` within ``timeout`` seconds; redirects are answers, not followed.

    Proxies and certificate settings of the environment are ignored: the address is meant.
    """

    path: str = "/healthz"
    status: int = 200
    timeout: float = 2.0
    transport: httpx.BaseTransport | None = field(default=None, repr=False)

    def look(self, instance: Seen, at: datetime) -> Look:
        if unseen := _without_a_network(instance, at):
            return unseen
        import httpx

        try:
            # Only the head is read: a long page is as good as a short one.
            with self._client.stream("GET", f"http://{instance.address}{self.path}") as answer:
                code = answer.status_code
        except httpx.TimeoutException:
            return _silent(instance, at, f"no answer from {self.path} within {self.timeout:g} s")
        except (httpx.TransportError, httpx.InvalidURL) as failure:
            return _of_an_error(instance, at, failure)
        if code == self.status:
            return _passed(instance, at, f"HTTP {code} from {self.path}")
        wanted = "" if self.status == 200 else f", wanted {self.status}"
        return _failed(instance, at, f"HTTP {code} from {self.path}{wanted}")

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        return httpx.Client(
            trust_env=False,
            verify=False,
            timeout=self.timeout,
            headers={"User-Agent": "ovenbird", "Connection": "close"},
            limits=httpx.Limits(max_keepalive_connections=0),
            transport=self.transport,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProbe:
    """The port accepts a connection within ``timeout`` seconds."""

    timeout: float = 2.0

    def look(self, instance: Seen, at: datetime) -> Look:
        if unseen := _without_a_network(instance, at):
            return unseen
        assert instance.address is not None
        host, _, port = instance.address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=self.timeout):
                return _passed(instance, at, f"{instance.address} accepts")
        except OSError as failure:
            return _of_an_error(instance, at, failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProbe:
    """The engine says that it runs and, where the image has a health check of its own, that it is
    healthy; until it is accepted, ``ready_line`` is on its console."""

    ready_line: str = ""
    console: ReadConsole
    accepted: frozenset[str] = frozenset()

    def look(self, instance: Seen, at: datetime) -> Look:
        if ended := _ended(instance, at):
            return ended
        if instance.check in ("unhealthy", "starting"):
            return _failed(instance, at, f"the engine's health check says {instance.check}")
        if not self.ready_line or instance.token in self.accepted:
            return _passed(instance, at, "the engine says that it runs")
        if self.ready_line in self.console(instance.token):
            return _passed(instance, at, f"{self.ready_line!r} is on its console")
        return _failed(instance, at, f"{self.ready_line!r} is not on its console")


def _ended(instance: Seen, at: datetime) -> Look | None:
    match instance.state:
        case EngineState.EXITED:
            code = "" if instance.exit_code is None else f" with code {instance.exit_code}"
            return _failed(instance, at, f"it exited{code}")
        case EngineState.LOST:
            return _silent(instance, at, "the engine says that it is lost")
        case EngineState.CREATED:
            return _silent(instance, at, "it has not started")
        case _:
            return None


def _without_a_network(instance: Seen, at: datetime) -> Look | None:
    if ended := _ended(instance, at):
        return ended
    return None if instance.address else _silent(instance, at, "it has no address")


def _of_an_error(instance: Seen, at: datetime, failure: BaseException) -> Look:
    for cause in _causes(failure):
        if isinstance(cause, OSError) and cause.errno in ANSWERED:
            what = "refused" if cause.errno == errno.ECONNREFUSED else "broken off"
            return _failed(instance, at, f"connection to {instance.address} {what}")
        if isinstance(cause, TimeoutError):
            return _silent(instance, at, f"no answer from {instance.address} in time")
        if isinstance(cause, OSError):
            return _silent(instance, at, f"{instance.address}: {cause.strerror or cause}")
    # No error of the network below it: something answered, and not as HTTP does.
    return _failed(instance, at, f"{instance.address}: {failure}")


def _causes(failure: BaseException | None) -> Iterator[BaseException]:
    while failure:
        yield failure
        failure = failure.__cause__ or failure.__context__


def _passed(instance: Seen, at: datetime, detail: str) -> Look:
    return Look(token=instance.token, at=at, verdict=Verdict.PASS, detail=detail)


def _failed(instance: Seen, at: datetime, detail: str) -> Look:
    return Look(token=instance.token, at=at, verdict=Verdict.FAIL, detail=detail)


def _silent(instance: Seen, at: datetime, detail: str) -> Look:
    return Look(token=instance.token, at=at, verdict=Verdict.NO_ANSWER, detail=detail)
