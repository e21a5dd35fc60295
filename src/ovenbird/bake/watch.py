"""Watch a build: keep every line in its log, and show the operator how far it is."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from ovenbird.bake.provision import MARK, Progress
from ovenbird.console import Console


class Watch:
    """Sorts the lines of a build into progress and log."""

    def __init__(self, console: Console, *, log: Path, verbose: bool) -> None:
        self.log = log
        self._console, self._verbose = console, verbose
        self._last: deque[str] = deque(maxlen=10)
        self._failed: str = ""
        self._ok = self._changed = 0

    def __enter__(self) -> Self:
        self._file = self.log.open("a")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def line(self, line: str) -> None:
        """Take one line of Packer's output."""
        _, mark, progress = line.partition(MARK)
        if mark:
            self._progress(json.loads(progress))
        elif line.strip():
            self._keep(line)

    def _progress(self, progress: Progress) -> None:
        self._ok, self._changed = progress["ok"], progress["changed"]
        for line in progress["log"].splitlines():
            if line.strip():
                self._keep(line)
                if line.startswith(("fatal:", "ERROR!", "[ERROR]")) and not self._failed:
                    self._failed = progress["task"]
        self._console.progress(f"{self.counts()}  {progress['task']}")

    def _keep(self, line: str) -> None:
        print(line, file=self._file, flush=True)
        self._last.append(line)
        if self._verbose:
            self._console.note(line)

    def counts(self) -> str:
        return f"{self._ok} ok, {self._changed} changed"

    def failure(self) -> str:
        """Name the task that failed, or "" where none did."""
        return f"The task {self._failed!r} failed in the build instance." if self._failed else ""

    def tail(self) -> str:
        return "\n".join(self._last)
