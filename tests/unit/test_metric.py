"""What an answer of Prometheus means, with answers that are handed over."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ovenbird.fleet import metric
from ovenbird.fleet.metric import Kind, MetricVerdict, ask
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.procedure import Direction, MetricSpec

SPEC = MetricSpec(name="latency", url="http://prometheus:9090", query="p99", threshold=0.5)
BELOW = replace(SPEC, direction=Direction.BELOW)


def vector(*values: str) -> bytes:
    found = [{"metric": {"at": str(n)}, "value": [0, value]} for n, value in enumerate(values)]
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": found}}
    ).encode()


def judged(
    monkeypatch: pytest.MonkeyPatch, body: bytes, *, spec: MetricSpec = SPEC
) -> MetricVerdict:
    monkeypatch.setattr(metric, "_fetched", lambda spec, query: (200, body))
    return ask(spec, env="dev", fleet="web", image="web/2")


@pytest.mark.parametrize(
    ("values", "kind", "worst"),
    [
        (["0.1", "0.5"], Kind.GOOD, 0.5),  # the threshold itself is good
        (["0.1", "0.500001"], Kind.BAD, 0.500001),
        (["+Inf", "0.1"], Kind.BAD, float("inf")),
        (["-Inf", "0.1"], Kind.GOOD, 0.1),
        (["0.7", "NaN"], Kind.BAD, 0.7),  # one that is bad is bad, whatever the others are
        (["0.1", "NaN"], Kind.NO_DATA, None),
        (["NaN"], Kind.NO_DATA, None),
        ([], Kind.NO_DATA, None),
    ],
)
def test_every_sample_must_be_good_and_a_number(
    values: list[str], kind: Kind, worst: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = judged(monkeypatch, vector(*values))

    assert (verdict.kind, verdict.value) == (kind, worst)


def test_where_less_is_worse_the_least_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = judged(monkeypatch, vector("0.9", "0.2", "0.4"), spec=BELOW)

    assert verdict == MetricVerdict(
        kind=Kind.BAD,
        value=0.2,
        because='latency is 0.2 for {at="1"}, below 0.5 (2 of 3 are)',
    )


@pytest.mark.parametrize(
    "found", [[{"metric": {}}], [7], [{"metric": {}, "value": [0, "many"]}], [{}]]
)
def test_a_sample_that_is_none_is_no_data(
    found: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"resultType": "vector", "result": found}

    verdict = judged(monkeypatch, json.dumps({"status": "success", "data": data}).encode())

    assert verdict.kind is Kind.NO_DATA


def test_a_histogram_is_the_querys_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"resultType": "vector", "result": [{"metric": {}, "histogram": [0, {}]}]}

    with pytest.raises(ConfigurationError, match="'latency'") as refused:
        judged(monkeypatch, json.dumps({"status": "success", "data": data}).encode())

    assert "histogram" in refused.value.remedy


def test_what_prometheus_writes_with_a_dollar_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def answer(spec: MetricSpec, query: str) -> tuple[int, bytes]:
        asked.append(query)
        return 200, vector("0")

    monkeypatch.setattr(metric, "_fetched", answer)
    query = 'up{path=~"/a$|/b$", fleet="$fleet", image="${image}", family="$family"}'
    ask(replace(SPEC, query=query), env="dev", fleet="web", image="web/2")

    assert asked == ['up{path=~"/a$|/b$", fleet="web", image="web/2", family="web"}']
