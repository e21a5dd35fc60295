"""What the operator sees: nested steps, tables and errors on stderr; results on stdout.

‣ Baking web from base/7
  ‣ Rendering packer/image.pkr.hcl.j2
✗ web/42 is revoked: CVE-2026-1.
  Bake a successor, or pick another image with --image.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from ovenbird.values.errors import OvenbirdError


class Console:
    """Writes for one person. ``quiet`` (for ``--json``) keeps steps, but colour never leaves a
    terminal and stdout carries results only."""

    def __init__(
        self, *, err: TextIO | None = None, out: TextIO | None = None, name: str = ""
    ) -> None:
        self._err, self._out = err or sys.stderr, out or sys.stdout
        self._name = name
        self._depth = 0
        self._live = False

    def of(self, name: str) -> Console:
        """Return a console for one of several that work side by side: each line begins with its
        name, and none is overwritten."""
        return Console(err=self._err, out=self._out, name=name)

    def step(self, text: str) -> None:
        """Say one thing that is being done."""
        self._write(f"{'  ' * self._depth}‣ {text}")

    @contextmanager
    def inside(self, text: str) -> Iterator[None]:
        """Say what begins; steps inside are indented below it."""
        self.step(text)
        with self.deeper():
            yield

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Say what follows below the last step."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def note(self, text: str) -> None:
        """Say something beside the steps, at their depth."""
        for line in text.splitlines():
            self._write(f"{'  ' * self._depth}{line}")

    def progress(self, text: str) -> None:
        """Overwrite one live line; nothing at all where there is no terminal."""
        if self._err.isatty() and not self._name:
            self._err.write(f"\r\x1b[2K{'  ' * self._depth}  {text[:100]}")
            self._err.flush()
            self._live = True

    def result(self, text: str) -> None:
        """Print a result on stdout."""
        self._end_live()
        print(text, file=self._out, flush=True)

    def document(self, document: object) -> None:
        """Print one JSON document on stdout."""
        self.result(json.dumps(document, indent=2, ensure_ascii=False))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows under their heads on stdout, as wide as they are."""
        from rich import box
        from rich.console import Console as Rich
        from rich.table import Table

        self._end_live()
        table = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for row in rows:
            table.add_row(*row)
        wide = None if self._out.isatty() else 200
        Rich(file=self._out, width=wide, highlight=False, markup=False).print(table)

    def failure(self, error: OvenbirdError) -> None:
        """Say what went wrong, what was seen, and what to do."""
        self._write(f"\n{self._red('✗')} {error.problem}")
        for line in error.evidence.splitlines():
            self._write(f"  │ {line}")
        for line in error.remedy.splitlines():
            self._write(f"  {line}")

    def ask(self, question: str) -> bool:
        """Ask for a yes; anything else, also the end of input, is a no."""
        self._end_live()
        self._err.write(f"{question} [y/N] ")
        self._err.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    @property
    def interactive(self) -> bool:
        return sys.stdin.isatty() and self._err.isatty()

    def _write(self, text: str) -> None:
        self._end_live()
        line = f"{self._name}: {text}" if self._name else text
        self._err.write(f"{line}\n")  # at once: two bakes may speak at the same time
        self._err.flush()

    def _end_live(self) -> None:
        if self._live:
            self._err.write("\r\x1b[2K")
            self._live = False

    def _red(self, text: str) -> str:
        return f"\x1b[31m{text}\x1b[0m" if self._err.isatty() else text
