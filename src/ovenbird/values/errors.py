"""Every failure that we raise on purpose, each with a way out and an exit code.

OvenbirdError                 1  failed: the image or the bake is bad
├── ConfigurationError        2  one or more faults in files or flags, nothing was touched
├── BakeFailed                1
├── ProofFailed               1
├── Tampered                  1  an image is not what was signed, or nobody signed it
├── CommandFailed             1  a program that we started said no
├── GoalFailed                1  an image did not become healthy in this fleet
│   └── GoalRefuted           1  and the image itself is why: refused until somebody retries
├── Blocked                   3  nothing is wrong with the image: lock, disk, pin, capacity
│   ├── Busy                  3  somebody else holds it
│   │   └── Superseded        3  somebody else has taken it over since
│   ├── NoCapacity            3  the engine has no room for one more instance
│   ├── BalancerUnreachable   3
│   └── EngineUnreachable     3
├── Inconclusive              4  no data: paused
├── RollbackFailed            5  everything kept as it is, a person is needed
└── Found                     6  a report found what it was asked to look for
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class OvenbirdError(Exception):
    """A failure with something that the operator can do about it.

    ``problem`` is one sentence, ``remedy`` what to do, ``evidence`` a few lines of output.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, *, remedy: str, evidence: str = "") -> None:
        super().__init__(problem)
        self.problem, self.remedy, self.evidence = problem, remedy, evidence


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """One thing wrong in one place: ``inventories/dev/fleets.yml:7: size must be 0 or more``."""

    file: str
    line: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.problem}\n  {self.remedy}"


class ConfigurationError(OvenbirdError):
    """Files or flags that cannot be meant. All faults are told at once; nothing was touched."""

    exit_code = 2

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        first, *more = self.faults
        where = f"{first.file}:{first.line}" if first.line else first.file
        super().__init__(
            f"{where}: {first.problem}" if where else first.problem,
            remedy="\n".join([first.remedy, *(str(fault) for fault in more)]),
        )

    @classmethod
    def of(cls, problem: str, *, remedy: str, file: str = "", line: int = 0) -> ConfigurationError:
        return cls([Fault(file=file, line=line, problem=problem, remedy=remedy)])


class BakeFailed(OvenbirdError):
    """An image could not be made. Nothing half made is left."""


class ProofFailed(OvenbirdError):
    """An image was made, booted, and is not good enough to get a version that fleets may use."""


class Tampered(OvenbirdError):
    """An image, or what the catalog says of it, is not what was signed. Nothing is launched."""


class CommandFailed(OvenbirdError):
    """A program that we started failed; the sentence can be pasted and run again."""

    def __init__(self, *, doing: str, command: str, code: int, output: str) -> None:
        super().__init__(
            f"{doing} failed with exit code {code}.",
            remedy=f"Run it by hand to see more: {command}",
            evidence="\n".join(output.strip().splitlines()[-10:]),
        )
        self.code, self.output = code, output


class GoalFailed(OvenbirdError):
    """The goal of a rollout did not become healthy; what was in service still is."""


class GoalRefuted(GoalFailed):
    """The goal itself is bad here, and ``why``: it is refused until somebody retries it."""

    def __init__(self, problem: str, *, why: str, remedy: str, evidence: str = "") -> None:
        super().__init__(problem, remedy=remedy, evidence=evidence)
        self.why = why


class Blocked(OvenbirdError):
    """It cannot move now, and nothing is wrong with the image."""

    exit_code = 3


class Busy(Blocked):
    """Somebody else is doing it."""


class Superseded(Busy):
    """Somebody else took over what this driver was doing; it has stopped where it was."""


class NoCapacity(Blocked):
    """The engine has no room: disk, memory, quota. Nothing is wrong with the image."""


class BalancerUnreachable(Blocked):
    """A balancer does not answer, so nobody knows who gets traffic; nothing was ended."""


class EngineUnreachable(Blocked):
    """The engine of a provider does not answer in time."""


class Inconclusive(OvenbirdError):
    """There is no data to decide on, and no data is not bad news: paused."""

    exit_code = 4


class RollbackFailed(OvenbirdError):
    """A rollback could not finish. Everything is kept as it is; a person is needed."""

    exit_code = 5


class Found(OvenbirdError):
    """A report found what ``--check`` looks for; nothing was touched."""

    exit_code = 6
