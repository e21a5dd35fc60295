"""podman's command line, asked and told: the one way from here to the engine of this machine."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ovenbird import process
from ovenbird.provider import podman_engine
from ovenbird.values.errors import CommandFailed, EngineUnreachable

READ_TIMEOUT = 30.0
"""Seconds until an engine that does not answer a question counts as unreachable."""

LONGEST_CALL = 300.0
"""Seconds after which a command that changes something is left running, and is never cut short:
nobody would know what it did."""


class Podman:
    """podman with the settings that this machine needs, which are in the site's ``folder``."""

    cli: ClassVar[str] = "podman"

    def __init__(self, folder: Path, *, longest_call: float = LONGEST_CALL) -> None:
        self.folder, self._longest = folder, longest_call

    @cached_property
    def env(self) -> dict[str, str]:
        return podman_engine.environment(self.folder)

    def ask(self, *argv: str, doing: str, check: bool = True) -> process.Finished:
        """Ask something. Raises `EngineUnreachable` where there is no answer."""
        try:
            return process.run(
                (self.cli, *argv), doing=doing, env=self.env, timeout=READ_TIMEOUT, check=check
            )
        except CommandFailed as failed:  # a question that is not answered says nothing of an image
            raise EngineUnreachable(
                failed.problem, remedy=failed.remedy, evidence=failed.evidence
            ) from failed

    def change(
        self,
        *argv: str,
        doing: str,
        stdin: bytes | None = None,
        check: bool = True,
        longer: float = 0,
        scrub: Collection[str] = (),
    ) -> process.Finished:
        """Change something; what takes longer than the longest call is left running."""
        return process.run(
            (self.cli, *argv),
            doing=doing,
            env=self.env,
            stdin=stdin,
            leave_after=self._longest + longer,
            check=check,
            scrub=tuple(scrub),
        )
