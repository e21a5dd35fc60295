"""The metric gate against the real Prometheus, and against servers that only look like one."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.prometheus import Prometheus, prometheus

from ovenbird.fleet.metric import Kind, MetricVerdict, ask
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.procedure import Direction, MetricSpec


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as served:
        yield served


def a_metric(server: Prometheus, query: str = "errors", **more: object) -> MetricSpec:
    spec = MetricSpec(name="error rate", url=server.url, query=query, threshold=0.05, timeout=5.0)
    return replace(spec, **more)  # type: ignore[arg-type]


def asked(spec: MetricSpec) -> MetricVerdict:
    return ask(spec, env="dev", fleet="web", image="web/2")


def test_a_value_on_the_good_side_is_good(server: Prometheus) -> None:
    server.expose(errors=0.01)

    verdict = asked(a_metric(server))

    assert (verdict.kind, verdict.value) == (Kind.GOOD, 0.01)
    assert verdict.because.endswith(", not above 0.05")


def test_a_value_above_is_bad_and_told_with_its_limit(server: Prometheus) -> None:
    server.expose(errors=0.12)

    verdict = asked(a_metric(server, "sum(errors)"))

    assert verdict == MetricVerdict(
        kind=Kind.BAD, value=0.12, because="error rate is 0.12, above 0.05"
    )


def test_a_value_below_is_bad_where_less_is_worse(server: Prometheus) -> None:
    server.expose(served=0.9)
    below = a_metric(server, "sum(served)", direction=Direction.BELOW, threshold=0.99)

    assert asked(below).because == "error rate is 0.9, below 0.99"
    assert asked(replace(below, threshold=0.9)).kind is Kind.GOOD


def test_a_scalar_is_judged_as_a_vector_is(server: Prometheus) -> None:
    assert asked(a_metric(server, "scalar(vector(0.2))")).kind is Kind.BAD
    assert asked(a_metric(server, "0.02")).value == 0.02


def test_the_worst_sample_speaks_for_all(server: Prometheus) -> None:
    server.exposed = 'rate{at="a"} 0.01\nrate{at="b"} 0.4\nrate{at="c"} 0.3\n'
    server.wait_for("count(rate) == 3")

    verdict = asked(a_metric(server, "max by (at) (rate)"))

    assert verdict.because == 'error rate is 0.4 for {at="b"}, above 0.05 (2 of 3 are)'


def test_the_fleet_and_its_image_are_in_the_query(server: Prometheus) -> None:
    server.exposed = 'requests{env="dev",fleet="web",image="web/2",family="web"} 7\n'
    server.wait_for("requests")
    query = 'requests{env="$env", fleet=~"^$fleet$", image="${image}", family="$family"}'

    assert asked(a_metric(server, query)).value == 7


def test_a_metric_that_nobody_has_is_no_data(server: Prometheus) -> None:
    verdict = asked(a_metric(server, "no_such_metric"))

    assert (verdict.kind, verdict.value) == (Kind.NO_DATA, None)
    assert verdict.because == "error rate has no data: the query matches nothing"


def test_what_is_not_a_number_is_no_data(server: Prometheus) -> None:
    assert asked(a_metric(server, "vector(0) / 0")).because.endswith("not a number (NaN)")


def test_data_that_is_not_needed_is_good_without(server: Prometheus) -> None:
    verdict = asked(a_metric(server, "no_such_metric", must_have_data=False))

    assert verdict.kind is Kind.GOOD
    assert "needs none" in verdict.because


@pytest.mark.parametrize(
    ("query", "why"),
    [("sum(errors", "unclosed left parenthesis"), ("errors[1m]", "matrix"), ('"x"', "string")],
)
def test_a_query_that_is_none_is_the_operators_mistake(
    query: str, why: str, server: Prometheus
) -> None:
    with pytest.raises(ConfigurationError, match="cannot be answered") as refused:
        asked(a_metric(server, query, must_have_data=False))

    assert query in refused.value.problem
    assert why in refused.value.remedy
    assert refused.value.exit_code == 2


def test_a_query_that_fails_over_its_data_is_no_data(server: Prometheus) -> None:
    server.exposed = 'left{a="1"} 1\nright{a="1",b="1"} 1\nright{a="1",b="2"} 1\n'
    server.wait_for("count(right) == 2")

    verdict = asked(a_metric(server, "left * on (a) right"))

    assert verdict.kind is Kind.NO_DATA
    assert "answers 422" in verdict.because


def test_a_server_that_is_stopped_is_no_data_in_time(server: Prometheus) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        verdict = asked(a_metric(server, timeout=0.5))
    finally:
        os.kill(server.pid, signal.SIGCONT)

    assert verdict.kind is Kind.NO_DATA
    assert verdict.because.endswith("has not answered for 0.5 s")
    assert time.monotonic() - begun < 3


def test_a_server_that_is_gone_is_no_data(tmp_path: Path) -> None:
    with prometheus(tmp_path) as gone:
        spec = a_metric(gone, "vector(1)")
        assert asked(spec).kind is Kind.BAD

    assert "does not answer" in asked(spec).because


# ── What only looks like a Prometheus ───────────────────────────────────────────────────────
@contextmanager
def answering(said: bytes, *, drips: bool = False) -> Iterator[str]:
    """A server that says the same to everybody, or a byte of it every 50 ms for ever."""
    over = threading.Event()

    def serve(door: socket.socket) -> None:
        while not over.is_set():
            try:
                caller, _ = door.accept()
            except TimeoutError:
                continue
            with caller:
                caller.recv(65536)
                caller.sendall(said)
                while drips and not over.wait(0.05):
                    try:
                        caller.sendall(b" ")
                    except OSError:
                        break  # the caller has gone: there is nobody to drip on

    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.1)
        thread = threading.Thread(target=serve, args=(door,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def said_by(answer: bytes, *, drips: bool = False, timeout: float = 2.0) -> MetricVerdict:
    with answering(answer, drips=drips) as url:
        spec = MetricSpec(name="m", url=url, query="up", threshold=1, timeout=timeout)
        return asked(spec)


HEAD = b"HTTP/1.0 %s\r\nContent-Type: text/html\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (HEAD % b"200 OK" + b"<h1>welcome</h1>", "answers 200, and not as a Prometheus does"),
        (HEAD % b"200 OK" + b'{"status": "success"}', "not as a Prometheus does"),
        (HEAD % b"200 OK" + b"[]", "not as a Prometheus does"),
        (HEAD % b"503 Away" + b'{"status": "error", "error": "busy"}', "answers 503: busy"),
        (HEAD % b"400 No" + b"<h1>TLS wanted</h1>", "answers 400, and not as a Prometheus"),
        (b"garbage\r\n\r\n", "does not answer"),
        (b"", "does not answer"),
    ],
)
def test_an_answer_of_somebody_else_is_no_data(answer: bytes, why: str) -> None:
    verdict = said_by(answer)

    assert verdict.kind is Kind.NO_DATA
    assert why in verdict.because


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX-Slow:", HEAD % b"200 OK"])
def test_a_server_that_drips_for_ever_is_left(said: bytes) -> None:
    begun = time.monotonic()

    verdict = said_by(said, drips=True, timeout=0.6)

    assert verdict.kind is Kind.NO_DATA
    assert time.monotonic() - begun < 4
