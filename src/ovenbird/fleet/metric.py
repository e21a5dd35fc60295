"""Ask Prometheus whether a rollout may go on. The answer is a verdict, never a hope.

No data is a verdict of its own: a server that is away, an empty answer or one that is not a
number says nothing about an image. Only a query that Prometheus itself refuses is the operator's
mistake. Proxies of the environment are ignored, as for probes: the address is meant.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from string import Template

from ovenbird.values.errors import ConfigurationError
from ovenbird.values.procedure import Direction, MetricSpec

LARGEST = 4_000_000
"""Bytes of an answer that are read; a gate needs a few hundred."""


class Kind(StrEnum):
    GOOD = "good"
    BAD = "bad"
    NO_DATA = "no data"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """What a metric says. ``value`` is the worst sample, None where there is none."""

    kind: Kind
    value: float | None
    because: str


class _NoData(Exception):
    """Nothing to judge: the message is why."""


@dataclass(frozen=True, slots=True)
class _Sample:
    series: str
    value: float


def ask(spec: MetricSpec, *, env: str, fleet: str, image: str) -> MetricVerdict:
    """Ask once and judge the answer, after ``spec.timeout`` seconds at the latest.

    ``image`` is a version, ``web/2``. Every sample must be good and the worst is told; a value
    that equals the threshold is good. Raises `ConfigurationError` where Prometheus refuses the
    query, or answers with something else than an instant value.
    """
    family = image.partition("/")[0]
    query = Template(spec.query).safe_substitute(env=env, fleet=fleet, image=image, family=family)
    try:
        status, body = _answer(spec, query)
        return _judged(spec, _samples(spec, query, status=status, body=body))
    except _NoData as reason:
        if spec.must_have_data:
            because = f"{spec.name} has no data: {reason}"
            return MetricVerdict(kind=Kind.NO_DATA, value=None, because=because)
        because = f"{spec.name} has no data and needs none: {reason}"
        return MetricVerdict(kind=Kind.GOOD, value=None, because=because)


# ── Asking ──────────────────────────────────────────────────────────────────────────────────
def _answer(spec: MetricSpec, query: str) -> tuple[int, bytes]:
    """Return the status and the body, or raise `_NoData`.

    In a thread that is left behind when it is late: neither a name server that does not answer
    nor a server that drips a byte now and then ends by httpx's own time-outs.
    """
    answers: list[tuple[int, bytes] | _NoData] = []

    def fetch() -> None:
        try:
            answers.append(_fetched(spec, query))
        except _NoData as reason:
            answers.append(reason)

    thread = threading.Thread(target=fetch, name=f"asking for {spec.name}", daemon=True)
    thread.start()
    thread.join(spec.timeout)
    if not answers:
        raise _NoData(f"{spec.url} has not answered for {spec.timeout:g} s")
    answer = answers[0]
    if isinstance(answer, _NoData):
        raise answer
    return answer


def _fetched(spec: MetricSpec, query: str) -> tuple[int, bytes]:
    import ssl

    import httpx

    ends = time.monotonic() + spec.timeout
    verify = ssl.create_default_context() if spec.url.startswith("https:") else False
    try:
        with (
            httpx.Client(verify=verify, timeout=spec.timeout, trust_env=False) as client,
            client.stream(
                "GET", f"{spec.url.rstrip('/')}/api/v1/query", params={"query": query}
            ) as answer,
        ):
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    raise _NoData(f"{spec.url} answers with more than {LARGEST} bytes")
                if time.monotonic() > ends:
                    raise _NoData(f"{spec.url} has not answered wholly for {spec.timeout:g} s")
            return answer.status_code, bytes(body)
    except httpx.TimeoutException:
        raise _NoData(f"{spec.url} has not answered for {spec.timeout:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as failure:
        raise _NoData(f"{spec.url} does not answer ({failure or type(failure).__name__})") from None


# ── Reading ─────────────────────────────────────────────────────────────────────────────────
def _samples(spec: MetricSpec, query: str, *, status: int, body: bytes) -> list[_Sample]:
    """Read an answer of Prometheus. Raises `_NoData`, or `ConfigurationError` for the query."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _NoData(f"{spec.url} answers {status}, and not as a Prometheus does")
    if status == 400 and answer.get("errorType") == "bad_data":
        raise _refused(spec, query, str(answer.get("error")))
    if status != 200 or answer.get("status") != "success":
        raise _NoData(f"{spec.url} answers {status}: {answer.get('error') or 'no reason given'}")
    match answer.get("data"):
        case {"resultType": "scalar", "result": [_, str(value)]}:
            return [_Sample("", _number(spec, value))]
        case {"resultType": "vector", "result": list(found)}:
            return [_sample(spec, query, one) for one in found]
        case {"resultType": ("matrix" | "string") as kind}:
            raise _refused(
                spec, query, f"it gives a {kind}, and a gate compares a scalar or a vector"
            )
        case _:
            raise _NoData(f"{spec.url} answers {status}, and not as a Prometheus does")


def _sample(spec: MetricSpec, query: str, found: object) -> _Sample:
    match found:
        case {"metric": dict(labels), "value": [_, str(value)]}:
            inside = ", ".join(f'{k}="{v}"' for k, v in sorted(labels.items()))
            return _Sample(f"{{{inside}}}" if inside else "", _number(spec, value))
        case {"histogram": _}:
            raise _refused(spec, query, "it gives a histogram, and a gate compares a number")
        case _:
            raise _NoData(f"{spec.url} answers with a sample that is none")


def _number(spec: MetricSpec, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _NoData(f"{spec.url} answers with a value that is no number") from None


def _refused(spec: MetricSpec, query: str, why: str) -> ConfigurationError:
    return ConfigurationError.of(
        f"The metric {spec.name!r} asks what cannot be answered: {query}",
        remedy=f"Prometheus at {spec.url} says: {why}. Mend its query in fleets.yml.",
    )


# ── Judging ─────────────────────────────────────────────────────────────────────────────────
def _judged(spec: MetricSpec, samples: Sequence[_Sample]) -> MetricVerdict:
    """One bad sample makes it bad; else one that is not a number leaves it open."""
    if not samples:
        raise _NoData("the query matches nothing")
    numbers = [sample for sample in samples if not math.isnan(sample.value)]
    pick, word = (max, "above") if spec.direction is Direction.ABOVE else (min, "below")
    if not numbers:
        raise _NoData("the answer is not a number (NaN)")
    worst = pick(numbers, key=lambda sample: sample.value)
    bad = [sample for sample in numbers if _is_bad(spec, sample.value)]
    if not bad and len(numbers) < len(samples):
        raise _NoData(f"{len(samples) - len(numbers)} of {len(samples)} are not a number (NaN)")
    told = f"{spec.name} is {worst.value:g}{' for ' if worst.series else ''}{worst.series}"
    limit = f"{'' if bad else 'not '}{word} {spec.threshold:g}"
    of_all = f" ({len(bad)} of {len(samples)} are)" if bad and len(samples) > 1 else ""
    kind = Kind.BAD if bad else Kind.GOOD
    return MetricVerdict(kind=kind, value=worst.value, because=f"{told}, {limit}{of_all}")


def _is_bad(spec: MetricSpec, value: float) -> bool:
    return value > spec.threshold if spec.direction is Direction.ABOVE else value < spec.threshold
