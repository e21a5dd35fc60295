"""The files that start a patch run: a systemd service and timer, a line of cron, a CI's own file.

They are text; whoever asked for them writes and enables them. What a service may do is as little
as its engines allow. A container of podman's is a child of the command that launched it: it would
inherit what the service may not do, and mounts that no later command sees.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ovenbird.values.errors import ConfigurationError

NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ITS_CHILDREN = frozenset({"podman"})
"""Engines whose instances are children of the command that launched them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is run, where: ``program`` is invoke with its path, ``state`` is OVENBIRD_STATE or "",
    ``engines`` are those that it works with, ``is_root`` whose service it is."""

    program: Path
    project: Path
    state: str
    engines: tuple[str, ...]
    is_root: bool


ENVIRONMENT = "/etc/ovenbird/environment"
"""Where OVENBIRD_STATE=URL stands for a schedule, readable by its user alone."""

WORDS = ("patch", "--yes", "--scheduled")


def service(place: Place) -> str:
    """Write ``ovenbird-patch.service``.

    What a run leaves running (instances, HAProxy) must outlive it: hence ``KillMode=process``.
    """
    lines = [
        "# Written by: invoke schedule.install. See docs/how-to/patch-every-night.md.",
        "[Unit]",
        "Description=Bake, prove and roll out what is behind (Ovenbird)",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={str(place.project).replace('%', '%%')}",
        f"ExecStart={' '.join(_quoted(w) for w in (str(place.program), *WORDS))}",
    ]
    if _is_url(place.state):  # it may hold a password
        lines.append(f"EnvironmentFile={ENVIRONMENT}")
    elif place.state:
        lines.append(f"Environment={_quoted(f'OVENBIRD_STATE={place.state}')}")
    lines += [
        "KillMode=process",
        "KillSignal=SIGINT",
        "TimeoutStopSec=10min",
        "SuccessExitStatus=3",
        "Nice=10",
        *_hardening(place),
    ]
    return "\n".join([*lines, ""])


def _is_url(state: str) -> bool:
    return "://" in state


def _quoted(word: str) -> str:
    """Write a word as systemd reads it: specifiers, variables and quotes doubled or escaped."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if text != word or " " in word else word


def _hardening(place: Place) -> list[str]:
    """List what the service may not do. A container inherits all of it from whoever starts it,
    and one that the night launched must be as one that a person launched."""
    if ITS_CHILDREN & set(place.engines):
        return ["# No ProtectSystem or NoNewPrivileges: podman's containers would inherit them."]
    return [
        "NoNewPrivileges=yes",
        "ProtectSystem=full",
        "ProtectClock=yes",
        "ProtectKernelModules=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
    ]


def timer(at: str) -> str:
    """Write ``ovenbird-patch.timer``; a time that was slept through is made up for."""
    return "\n".join(
        [
            "# Written by: invoke schedule.install",
            "[Unit]",
            "Description=Run ovenbird-patch.service",
            "",
            "[Timer]",
            *(f"OnCalendar={each}" for each in calendar(at)),
            "Persistent=true",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def cron_line(place: Place, at: str) -> str:
    """Write the line for a crontab."""
    state = f"OVENBIRD_STATE={shlex.quote(place.state)} " if place.state else ""
    if _is_url(place.state):
        state = f". {ENVIRONMENT} && "
    words = " ".join(shlex.quote(word) for word in (str(place.program), *WORDS))
    command = f"cd {shlex.quote(str(place.project))} && {state}{words}".replace("%", "\\%")
    return f"{at} {command}\n"


def github(at: str) -> str:
    """Write a workflow. Its runner is one of yours, since the site's state and engines are there;
    GitHub reads the time as UTC, and stops schedules of a repository that sleeps for 60 days."""
    return f"""\
# Written by: invoke schedule.install --ci github
name: ovenbird patch
on:
  schedule:
    - cron: "{at}"
  workflow_dispatch: {{}}
permissions:
  contents: read
concurrency:
  group: ovenbird-patch
  cancel-in-progress: false
jobs:
  patch:
    runs-on: [self-hosted, ovenbird]
    timeout-minutes: 720
    steps:
      - uses: actions/checkout@v4
      - run: ./bootstrap {" ".join(WORDS)}
"""


def gitlab(at: str) -> str:
    """Write a pipeline. Its time is set in GitLab, under Build, Pipeline schedules."""
    return f"""\
# Written by: invoke schedule.install --ci gitlab. Its schedule: {at}
ovenbird-patch:
  rules:
    - if: $CI_PIPELINE_SOURCE == "schedule"
  tags: [ovenbird]
  resource_group: ovenbird-patch
  interruptible: false
  timeout: 12 hours
  script:
    - ./bootstrap {" ".join(WORDS)}
"""


def calendar(at: str) -> list[str]:
    """Say cron's five fields as systemd's calendar does. Worked: ``30 2 * * 1-5`` is
    ``Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00``.

    Cron takes either of two days where a day of the month and one of the week are given, and
    systemd both: so that is two lines. Raises `ConfigurationError` for what has no such form.
    """
    fields = at.split()
    if len(fields) != 5:
        raise ConfigurationError.of(
            f"{at!r} has no five fields, and systemd's calendar has no form for it.",
            remedy="Write five fields, or install a line of cron: invoke schedule.install --cron",
            file="inventories/patch.yml",
        )
    minute, hour, day, month, weekday = fields
    time = f"{_numbers(hour, 0, 23)}:{_numbers(minute, 0, 59)}:00"
    months, days = _numbers(month, 1, 12), _numbers(day, 1, 31)
    if weekday == "*":
        return [f"*-{months}-{days} {time}"]
    named = _weekdays(weekday)
    if day == "*":
        return [f"{named} *-{months}-* {time}"]
    return [f"*-{months}-{days} {time}", f"{named} *-{months}-* {time}"]


def _numbers(field: str, low: int, high: int) -> str:
    if field == "*":
        return "*"
    return ",".join(f"{number:02d}" for number in sorted(_listed(field, low, high)))


def _weekdays(field: str) -> str:
    numbers = {number % 7 for number in _listed(field, 0, 7)}
    return ",".join(
        NAMES[(number - 1) % 7] for number in sorted(numbers, key=lambda n: (n - 1) % 7)
    )


def _listed(field: str, low: int, high: int) -> Collection[int]:
    found: set[int] = set()
    try:
        for part in field.split(","):
            span, _, step = part.partition("/")
            first, _, last = span.partition("-")
            begin = low if span == "*" else int(first)
            end = high if span == "*" or (step and not last) else int(last or first)
            found |= set(range(begin, end + 1, int(step or 1)))
    except ValueError:
        raise ConfigurationError.of(
            f"{field!r} is not written in numbers, and systemd's calendar has no form for it.",
            remedy="Write numbers, or install a line of cron: invoke schedule.install --cron",
            file="inventories/patch.yml",
        ) from None
    return found
