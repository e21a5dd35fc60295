"""Windows: open or closed, until when, by which clock; held against a scan of every minute."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from ovenbird.fleet.window import Closed, Open, state_of
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.procedure import Window

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)
NIGHTS = Window(cron="0 22 * * 1-5", length=4 * 3600, zone="Europe/Berlin")


def berlin(*when: int, fold: int = 0) -> datetime:
    """A moment by Berlin's clocks, in UTC: arithmetic in a zone would leave out its changes."""
    return datetime(*when, tzinfo=BERLIN, fold=fold).astimezone(UTC)  # type: ignore[arg-type,misc]


def until(windows: list[Window], now: datetime) -> datetime | None:
    state = state_of(windows, now)
    assert isinstance(state, Open), state
    return state.until


def opens(windows: list[Window], now: datetime) -> datetime:
    state = state_of(windows, now)
    assert isinstance(state, Closed), state
    return state.opens_at


def test_without_windows_it_is_always_open() -> None:
    state = state_of((), berlin(2026, 11, 23, 12))

    assert state == Open(until=None, because="it has no windows, so it is always open")


def test_a_window_holds_from_its_opening_up_to_its_end_and_not_with_it() -> None:
    begin, end = berlin(2026, 11, 23, 22), berlin(2026, 11, 24, 2)

    assert opens([NIGHTS], begin - timedelta(microseconds=1)) == begin
    assert until([NIGHTS], begin) == end
    assert until([NIGHTS], end - timedelta(microseconds=1)) == end
    assert opens([NIGHTS], end) == berlin(2026, 11, 24, 22)


def test_the_night_of_a_friday_ends_on_saturday_and_the_next_is_on_monday() -> None:
    assert until([NIGHTS], berlin(2026, 11, 28, 1)) == berlin(2026, 11, 28, 2)
    assert opens([NIGHTS], berlin(2026, 11, 28, 2)) == berlin(2026, 11, 30, 22)


def test_it_is_told_by_the_clocks_of_the_windows_zone() -> None:
    closed = state_of([NIGHTS], datetime(2026, 11, 23, 11, tzinfo=UTC))
    opened = state_of([NIGHTS], datetime(2026, 11, 23, 21, tzinfo=UTC))

    assert closed.because == (
        "it is Mon 2026-11-23 12:00, and the next window opens Mon 2026-11-23 22:00 "
        "(0 22 * * 1-5, Europe/Berlin)"
    )
    assert opened.because == "its window is open until Tue 2026-11-24 02:00 (Europe/Berlin)"


def test_windows_that_overlap_or_touch_are_one() -> None:
    late = Window(cron="0 2 * * *", length=3600, zone="Europe/Berlin")
    tokyo = Window(cron="30 10 * * *", length=3600, zone="Asia/Tokyo")  # 02:30 in Berlin

    assert until([NIGHTS, late], berlin(2026, 11, 23, 23)) == berlin(2026, 11, 24, 3)
    assert until([tokyo, NIGHTS, late], berlin(2026, 11, 23, 23)) == berlin(2026, 11, 24, 3, 30)


def test_of_several_windows_the_first_to_open_is_told() -> None:
    noon = Window(cron="0 12 * * *", length=600, zone="UTC")

    closed = state_of([NIGHTS, noon], berlin(2026, 11, 23, 9))

    assert isinstance(closed, Closed)
    assert closed.opens_at == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert "it is Mon 2026-11-23 08:00" in closed.because


def test_a_length_beyond_its_period_never_closes() -> None:
    for window in (
        Window(cron="0 * * * *", length=3600),
        Window(cron="0 0 * * *", length=5 * 86400, zone="Europe/Berlin"),
        Window(cron="* * * * *", length=60),
    ):
        assert until([window], berlin(2026, 11, 23, 12)) is None


def test_an_opening_in_the_hour_that_a_clock_skips_is_at_its_end() -> None:
    window = Window(cron="30 2 * * *", length=3600, zone="Europe/Berlin")
    begin = berlin(2026, 3, 29, 3)

    assert begin == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert opens([window], begin - MINUTE) == begin
    assert until([window], begin + 30 * MINUTE) == begin + 60 * MINUTE


def test_an_opening_in_the_hour_that_a_clock_repeats_is_in_the_first() -> None:
    window = Window(cron="30 2 * * *", length=4800, zone="Europe/Berlin")
    begin, second = berlin(2026, 10, 25, 2, 30), berlin(2026, 10, 25, 2, 30, fold=1)

    assert second - begin == 60 * MINUTE
    assert until([window], begin) == begin + 80 * MINUTE
    assert until([window], second - 10 * MINUTE) == begin + 80 * MINUTE
    assert until([window], second + 10 * MINUTE) == begin + 80 * MINUTE
    assert opens([window], second + 20 * MINUTE) == berlin(2026, 10, 26, 2, 30)


def test_a_length_is_passing_time_whatever_the_clocks_do_meanwhile() -> None:
    nights = Window(cron="0 22 * * *", length=8 * 3600, zone="Europe/Berlin")

    assert until([nights], berlin(2026, 3, 28, 23)) == berlin(2026, 3, 29, 7)
    assert until([nights], berlin(2026, 10, 24, 23)) == berlin(2026, 10, 25, 5)


@pytest.mark.parametrize(
    ("cron", "why"), [("0 25 * * *", "Bad hour"), ("0 0 30 2 *", "Bad day-of-month")]
)
def test_a_cron_that_cannot_be_read_or_never_comes_is_refused(cron: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        state_of([Window(cron=cron, length=60)], berlin(2026, 1, 1))


def test_windows_that_follow_on_one_another_for_ever_are_answered_at_once() -> None:
    worst = [Window(cron="* * * * *", length=60, zone="Europe/Berlin")] * 3
    begun = time.monotonic()

    assert until(worst, berlin(2026, 11, 23, 1)) is None
    assert time.monotonic() - begun < 2  # 0.05 s where nothing else runs


# ── Against a scan of every minute ──────────────────────────────────────────────────────────
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
HOURS = st.sampled_from(["*", "2", "1-3", "22", "*/6", "0,12"])
MINUTES = st.sampled_from(["0", "30", "15,45", "59", "*/20"])
DAYS = st.sampled_from(["* * *", "* * 1-5", "* * 0", "* * SAT", "29 * *", "25-31 * *"])
WINDOWS = st.builds(
    lambda minute, hour, day, length, zone: Window(
        cron=f"{minute} {hour} {day}", length=length * 60.0, zone=zone
    ),
    MINUTES,
    HOURS,
    DAYS,
    st.sampled_from([1, 20, 60, 95, 240, 1500]),
    st.sampled_from(ZONES),
)
CHANGES = (
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Berlin goes forward
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # and back
    datetime(2026, 11, 1, 6, tzinfo=UTC),  # New York goes back
    datetime(2026, 4, 4, 15, tzinfo=UTC),  # Lord Howe goes back half an hour
    datetime(2026, 7, 1, tzinfo=UTC),  # nobody does
)
NOWS = st.builds(
    lambda change, minutes: change + minutes * MINUTE,
    st.sampled_from(CHANGES),
    st.integers(-1500, 1500),
)
SCAN = timedelta(days=2)


def open_minutes(windows: list[Window], now: datetime) -> set[datetime]:
    """Every open minute from ``now`` for `SCAN`, by following each cron forward from long ago."""
    minutes: set[datetime] = set()
    for window in windows:
        length = timedelta(seconds=window.length)
        begin = now - length - timedelta(days=1)
        for start in CronSim(window.cron, begin.astimezone(ZoneInfo(window.zone))):
            at = start.astimezone(UTC)
            if at > now + SCAN:
                break
            first = max(at, now)
            minutes |= {first + n * MINUTE for n in range((at + length - first) // MINUTE)}
    return minutes


@settings(max_examples=60)
@given(st.lists(WINDOWS, min_size=1, max_size=3), NOWS)
def test_it_agrees_with_a_scan_of_every_minute(windows: list[Window], now: datetime) -> None:
    opened = open_minutes(windows, now)
    minutes = [now + n * MINUTE for n in range(SCAN // MINUTE)]

    match state_of(windows, now):
        case Open(until=end):
            assert now in opened
            closes = next((minute for minute in minutes if minute not in opened), None)
            assert end == closes or (closes is None and (end is None or end >= minutes[-1]))
        case Closed(opens_at=begin):
            assert now not in opened
            opening = next((minute for minute in minutes if minute in opened), None)
            assert begin == opening or (opening is None and begin >= minutes[-1])
