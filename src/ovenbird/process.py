"""The one door to other programs: environment, time-out, scrubbed secrets, a failure to paste.

Nothing else in Ovenbird starts a process. A command that changes something at an engine is
given no time-out: killed half-way, nobody would know what it did.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ovenbird.values.errors import CommandFailed, ConfigurationError, EngineUnreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a program left behind."""

    code: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    doing: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
    check: bool = True,
    cwd: Path | None = None,
    scrub: Sequence[str] = (),
) -> Finished:
    """Run a program to its end and return what it wrote.

    ``doing`` starts the sentence of a failure ("Starting dev-web-k3 failed …"). With ``check``
    a code other than 0 raises `CommandFailed`; a time-out in seconds raises `EngineUnreachable`.
    """
    try:
        child = subprocess.Popen(
            list(argv),
            env=_environment(env),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            start_new_session=True,  # Ctrl-C is for us: an engine's command is let end
        )
    except FileNotFoundError as missing:
        raise _not_installed(argv[0], doing) from missing
    with child:
        try:
            streams = child.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as slow:
            child.kill()
            raise EngineUnreachable(
                f"{doing}: {argv[0]} has not answered for {timeout:g} s.",
                remedy=f"See whether it hangs: {_paste(argv, env, scrub)}",
            ) from slow
        except KeyboardInterrupt:
            child.communicate()
            raise
    out, err = (_scrubbed(s.decode(errors="replace"), scrub) for s in streams)
    if check and child.returncode:
        raise CommandFailed(
            doing=doing,
            command=_paste(argv, env, scrub),
            code=child.returncode,
            output=err or out,
        )
    return Finished(code=child.returncode, stdout=out, stderr=err)


def stream(
    argv: Sequence[str],
    *,
    doing: str,
    line: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    scrub: Sequence[str] = (),
) -> int:
    """Run a program, hand over each line of its output as it comes, and return its exit code.

    On an interrupt the program and what it started are told first and waited for, so that they
    can clean up.
    """
    try:
        child = subprocess.Popen(
            list(argv),
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as missing:
        raise _not_installed(argv[0], doing) from missing
    lines = _lines_of(child)
    with child:
        try:
            for raw in lines:
                line(_scrubbed(raw, scrub))
        except BaseException:
            if child.poll() is None:  # all of them, as a terminal would: Packer alone waits on
                os.killpg(child.pid, signal.SIGINT)
            # An interrupt of the waiting itself has ended the first of the two.
            for raw in chain(lines, _lines_of(child)):
                line(_scrubbed(raw, scrub))
            child.wait()
            raise
    return child.returncode


def _lines_of(child: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield each line until the program has ended, whoever else still holds its output open.

    What a program leaves running (conmon, beside a container that is kept) may never close it.
    """
    assert child.stdout is not None
    pipe, left, more = child.stdout.fileno(), b"", True
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while more:
        ended = child.poll() is not None  # before the look, so that no last word is missed
        ready = poll.poll(0 if ended else 200)
        chunk = os.read(pipe, 65536) if ready else b""
        more = bool(chunk) or not (ready or ended)
        *lines, left = (left + chunk).split(b"\n")
        yield from (text.decode(errors="replace").rstrip("\r") for text in lines)
    if left:
        yield left.decode(errors="replace").rstrip("\r")


def pass_through(argv: Sequence[str], *, doing: str, cwd: Path) -> int:
    """Run a program that talks to the operator itself; return its exit code."""
    try:
        return subprocess.run(list(argv), env=_environment(None), cwd=cwd, check=False).returncode
    except FileNotFoundError as missing:
        raise _not_installed(argv[0], doing) from missing


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Add the folders of daemons to the PATH, where an ordinary user's shell has none."""
    env = {**os.environ, **(extra or {})}
    return {**env, "PATH": f"{env.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"}


def _not_installed(program: str, doing: str) -> ConfigurationError:
    return ConfigurationError.of(
        f"{doing} needs {program}, which is not installed.",
        remedy="See what is missing and how to get it: invoke doctor",
    )


def _paste(argv: Sequence[str], env: Mapping[str, str] | None, scrub: Sequence[str]) -> str:
    words = [f"{k}={shlex.quote(v)}" for k, v in (env or {}).items()]
    return _scrubbed(" ".join([*words, shlex.join(argv)]), scrub)


def _scrubbed(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "•••")
    return text
