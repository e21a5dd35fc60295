"""How a task meets the rest: errors become sentences and exit codes, and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from invoke import Exit, task

from ovenbird.console import Console
from ovenbird.values.errors import OvenbirdError

INTERRUPTED = 130


def verb(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """Make an invoke task that ends with the exit code of the error that it raises."""

    def made(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except OvenbirdError as error:
                Console().failure(error)
                raise Exit(code=error.exit_code) from None
            except KeyboardInterrupt:
                Console().note(
                    "\nInterrupted. Run the same command again: it goes on from what is there."
                )
                raise Exit(code=INTERRUPTED) from None

        return task(guarded, **options)

    return made
