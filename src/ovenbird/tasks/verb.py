"""How a task meets the rest: errors become sentences and exit codes, and nothing else."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from invoke import Exit, task

from ovenbird.console import Console
from ovenbird.values.errors import Blocked, OvenbirdError

INTERRUPTED = 130

KEY = "The private key to sign with; else OVENBIRD_KEY, else the site's own."
"""What ``--key`` means, wherever something is signed."""


def verb(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """Make an invoke task that ends with the exit code of the error that it raises.

    A request to end (SIGTERM, SIGHUP) is heard like Ctrl-C: what was begun is put in order first.
    """

    def made(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _interrupt)
            try:
                function(*args, **kwargs)
                sys.stdout.flush()
            except OvenbirdError as error:
                _tell(error)
            except BrokenPipeError:
                # Whoever read our results has gone; the interpreter would complain at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            except OSError as error:
                _tell(_of_the_system(error))
            except KeyboardInterrupt:
                Console().note(
                    "\nInterrupted. Run the same command again: it goes on from what is there."
                )
                raise Exit(code=INTERRUPTED) from None

        return task(guarded, **options)

    return made


def _tell(error: OvenbirdError) -> NoReturn:
    Console().failure(error)
    raise Exit(code=error.exit_code) from None


def _of_the_system(error: OSError) -> Blocked:
    """Tell what the operating system refused: no space, no permission, no such folder."""
    what = error.filename or "This machine"
    return Blocked(
        f"{what}: {error.strerror or error}.",
        remedy="See that it is there, may be written by you, and has room; then run this again.",
    )


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
