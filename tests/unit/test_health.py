"""What a probe says of an answer, of a bad one, and of none. No socket is opened here."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from ovenbird.balancer.contract import an_instance_at
from ovenbird.fleet.health import EngineProbe, HttpProbe, TcpProbe, look_at_all
from ovenbird.values.instance import EngineState, Look, Seen, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = an_instance_at("web-a", "127.0.0.1:8080")


class StillClock:
    def now(self) -> datetime:
        return NOW

    def sleep(self, seconds: float) -> None: ...


def looked(answer: Callable[[httpx.Request], httpx.Response], instance: Seen = WEB) -> Look:
    return HttpProbe(transport=httpx.MockTransport(answer)).look(instance, NOW)


def raising(error: BaseException) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if isinstance(error, OSError):
            raise httpx.ConnectError(str(error)) from error
        raise error

    return answer


def test_the_wanted_status_passes() -> None:
    look = looked(lambda request: httpx.Response(200, text=str(request.url)))
    assert (look.token, look.at, look.verdict) == ("web-a", NOW, Verdict.PASS)
    assert look.detail == "HTTP 200 from /healthz"


def test_another_status_fails_and_is_told() -> None:
    look = looked(lambda request: httpx.Response(500))
    assert (look.verdict, look.detail) == (Verdict.FAIL, "HTTP 500 from /healthz")


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    look = looked(lambda request: httpx.Response(302, headers={"Location": "/"}))
    assert (look.verdict, look.detail) == (Verdict.FAIL, "HTTP 302 from /healthz")


@pytest.mark.parametrize(
    ("error", "verdict", "detail"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Verdict.FAIL, "refused"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Verdict.FAIL, "broken off"),
        (httpx.RemoteProtocolError("gibberish"), Verdict.FAIL, "gibberish"),
        (httpx.ReadTimeout("slow"), Verdict.NO_ANSWER, "no answer from /healthz within 2 s"),
        (httpx.ConnectTimeout("slow"), Verdict.NO_ANSWER, "within 2 s"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Verdict.NO_ANSWER, "No route to host"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Verdict.NO_ANSWER, "unreachable"),
    ],
)
def test_an_error_is_a_failure_only_where_somebody_answered(
    error: BaseException, verdict: Verdict, detail: str
) -> None:
    look = looked(raising(error))
    assert look.verdict is verdict
    assert detail in look.detail


def test_without_an_address_nothing_can_be_said() -> None:
    for probe in (HttpProbe(), TcpProbe()):
        look = probe.look(replace(WEB, address=None), NOW)
        assert (look.verdict, look.detail) == (Verdict.NO_ANSWER, "it has no address")


def test_one_that_exited_has_failed_and_is_not_asked() -> None:
    ended = replace(WEB, state=EngineState.EXITED, exit_code=137)
    for probe in (HttpProbe(), TcpProbe(), EngineProbe(console=lambda token: "")):
        look = probe.look(ended, NOW)
        assert (look.verdict, look.detail) == (Verdict.FAIL, "it exited with code 137")


def test_one_that_the_engine_lost_is_not_seen_ill() -> None:
    look = HttpProbe().look(replace(WEB, state=EngineState.LOST), NOW)
    assert look.verdict is Verdict.NO_ANSWER


def test_running_is_enough_for_the_engine() -> None:
    assert EngineProbe(console=lambda token: "").look(WEB, NOW).verdict is Verdict.PASS


def test_a_readiness_line_is_looked_for_until_the_instance_is_accepted() -> None:
    consoles = {"web-a": "boot\nworker ready\n", "web-b": "boot\n", "web-c": ""}
    probe = EngineProbe(
        ready_line="worker ready",
        console=lambda token: consoles[token],
        accepted=frozenset({"web-c"}),
    )
    looks = look_at_all(probe, [replace(WEB, token=token) for token in consoles], StillClock())
    assert {token: look.verdict for token, look in looks.items()} == {
        "web-a": Verdict.PASS,
        "web-b": Verdict.FAIL,
        "web-c": Verdict.PASS,
    }


def test_a_fleet_of_none_gives_no_looks() -> None:
    assert look_at_all(HttpProbe(), [], StillClock()) == {}


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        ("healthy", Verdict.PASS),
        ("", Verdict.PASS),
        ("starting", Verdict.FAIL),
        ("unhealthy", Verdict.FAIL),
    ],
)
def test_an_engine_probe_believes_the_health_check_of_the_image(
    check: str, verdict: Verdict
) -> None:
    probe = EngineProbe(console=lambda token: "")

    assert probe.look(replace(WEB, check=check), NOW).verdict is verdict
