"""The one door to other programs: environment, time-out, scrubbed secrets, a failure to paste.

Nothing else in Ovenbird starts a process. A command that changes something at an engine is never
killed: half-way, nobody would know what it did. It may be left running, and keeps what it was lent.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ovenbird.values.errors import CommandFailed, ConfigurationError, EngineUnreachable

_LENT: ContextVar[int | None] = ContextVar("lent", default=None)

_KEEPER = """\
exec 8>&2 2>/dev/null
(exec "$@" <"$0" 2>&8 8>&-)
exit $?
"""
"""A shell that has the lent file as its stdin and waits. The program gets another stdin, and what
it leaves running (conmon, haproxy -D) inherits nothing: conmon keeps every file that it is given.
The shell's own words ("Killed") are no output of the program's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a program left behind. ``code`` is negative where a signal ended it."""

    code: int
    stdout: str
    stderr: str


@contextmanager
def lending(file: int) -> Iterator[None]:
    """Meanwhile every program that `run` starts keeps the open file ``file`` until it has ended.

    So a lock (flock) on it outlives us: killed, we leave it to the program that is under way, and
    to nothing that this program itself leaves running. Of two the outer one is lent, the wider
    lock. A program with a time-out is lent nothing, since what may be killed changes nothing.
    """
    outer = _LENT.get()
    token = _LENT.set(file if outer is None else outer)
    try:
        yield
    finally:
        _LENT.reset(token)


def run(
    argv: Sequence[str],
    *,
    doing: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
    leave_after: float | None = None,
    check: bool = True,
    cwd: Path | None = None,
    scrub: Sequence[str] = (),
) -> Finished:
    """Run a program to its end and return what it wrote.

    ``doing`` starts the sentence of a failure ("Starting dev-web-k3 failed …"). With ``check``
    a code other than 0 raises `CommandFailed`. Both times are in seconds and raise
    `EngineUnreachable`: after ``timeout`` the program is killed, which is for questions; after
    ``leave_after`` it is left running, with what it was lent, which is for changes.
    """
    lent = _LENT.get() if timeout is None else None
    program = _Program(argv, doing, env, stdin, cwd, _paste(argv, env, scrub))
    if lent is None and leave_after is None:
        code, *streams = _answered(program, timeout)
    else:
        code, *streams = _kept(program, leave_after, lent)
    out, err = (_scrubbed(s.decode(errors="replace"), scrub) for s in streams)
    if check and code:
        raise CommandFailed(doing=doing, command=program.said, code=code, output=err or out)
    return Finished(code=code, stdout=out, stderr=err)


class _Program(NamedTuple):
    """What `run` was asked for. ``said`` is the line to paste."""

    argv: Sequence[str]
    doing: str
    env: Mapping[str, str] | None
    stdin: bytes | None
    cwd: Path | None
    said: str


def _answered(program: _Program, timeout: float | None) -> tuple[int, bytes, bytes]:
    argv, doing, env, stdin, cwd, said = program
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
            out, err = child.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as slow:
            child.kill()
            raise EngineUnreachable(
                f"{doing}: {argv[0]} has not answered for {timeout:g} s.",
                remedy=f"See whether it hangs: {said}",
            ) from slow
        except KeyboardInterrupt:
            child.communicate()
            raise
    return child.returncode, out, err


def _kept(program: _Program, after: float | None, lent: int | None) -> tuple[int, bytes, bytes]:
    """Run a program that may outlive us. Its output goes to memory of its own: a pipe would
    break with us, and the next word of the program would be its last."""
    argv, doing, env, stdin, cwd, said = program
    environment = _environment(env)
    found = shutil.which(argv[0], path=environment["PATH"])
    if found is None:
        raise _not_installed(argv[0], doing)
    with _memory("out") as out, _memory("err") as err, _pipe_of(stdin) as given:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, given, found, *argv[1:]],
            env=environment,
            stdin=subprocess.DEVNULL if lent is None else lent,
            stdout=out,
            stderr=err,
            cwd=cwd,
            start_new_session=True,
        )
        try:
            child.wait(after)
        except subprocess.TimeoutExpired as slow:
            _let_go(child)
            raise EngineUnreachable(
                f"{doing}: {argv[0]} has not ended for {after:g} s, and was left running.",
                remedy=f"Nobody knows yet what it will have done. See whether it hangs: {said}",
            ) from slow
        except KeyboardInterrupt:
            with suppress(subprocess.TimeoutExpired):
                child.wait(after)
            _let_go(child)
            raise
        code = child.returncode
        # What a shell says of a program that a signal ended; there are 64 signals.
        return -(code - 128) if 128 < code <= 192 else code, _read(out), _read(err)


def _let_go(child: subprocess.Popen[bytes]) -> None:
    """Leave a program running, and be there when it ends, so that it becomes no zombie."""
    threading.Thread(target=child.wait, name="left running", daemon=True).start()


def _memory(name: str) -> BinaryIO:
    return open(os.memfd_create(name), "w+b")


def _read(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


@contextmanager
def _pipe_of(data: bytes | None) -> Iterator[str]:
    """Give the path of a pipe from which another process of ours reads ``data``, until it ends.

    A pipe, since podman takes a secret from nothing else; by its path, since nobody inherits it.
    """
    if data is None:
        yield os.devnull
        return
    reading, writing = os.pipe()
    threading.Thread(target=_feed, args=(writing, data), name="stdin", daemon=True).start()
    try:
        yield f"/proc/{os.getpid()}/fd/{reading}"
    finally:
        os.close(reading)  # ends the writer too, where nobody reads it all


def _feed(writing: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(writing, "wb", buffering=0) as pipe:
        left = memoryview(data)
        while left:
            left = left[pipe.write(left) :]


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
