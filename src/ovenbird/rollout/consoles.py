"""What instances wrote before they ended: kept in the site's folder, so that yesterday's machine
can still be read. Bounded in size and in time; nobody has to clear it away."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ovenbird.values.errors import Blocked

CONSOLE_BYTES = 1 << 20
"""Of each console its last MiB: what an instance said last is what explains its end."""

KEPT_FOR = timedelta(days=30)
"""As long as a month's report looks back."""

KEPT_BYTES = 256 << 20
"""Of all consoles together: a fleet that ends in circles must not fill the disk of its state."""

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    path: Path
    at: float
    size: int


class Consoles:
    """The consoles in one folder: ``TOKEN.log`` each."""

    def __init__(self, folder: Path, *, most: int = KEPT_BYTES) -> None:
        self._folder, self._most = folder, most

    def save(self, token: str, text: str, *, at: datetime) -> Path:
        """Keep the end of a console, whole or not at all, and forget what is too old.

        Raises `Blocked` where it cannot be written; whoever wanted to end the instance must not
        end it then.
        """
        path = self._path(token)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, _end_of(text), at=at)
            self.prune(at, but=path)
        except OSError as error:
            raise Blocked(
                f"The console of {token} cannot be kept in {self._folder}: {error.strerror}.",
                remedy="It was not ended. Free some space there, or correct the folder's owner, "
                "then run the same command again.",
            ) from error
        return path

    def read(self, token: str) -> str | None:
        """Return what was kept of a console; None where nothing was, or its time is over."""
        with suppress(FileNotFoundError):
            return self._path(token).read_text(errors="replace")
        return None

    def prune(self, now: datetime, *, but: Path | None = None) -> int:
        """Forget consoles older than `KEPT_FOR`, then the oldest until all fit; return how many.

        One listing of the folder; ``but`` is never forgotten.
        """
        every = sorted(self._kept(), key=lambda kept: kept.at, reverse=True)
        oldest, total, forgotten = (now - KEPT_FOR).timestamp(), 0, 0
        for kept in every:
            total += kept.size
            if kept.path != but and (kept.at < oldest or total > self._most):
                kept.path.unlink(missing_ok=True)
                total -= kept.size
                forgotten += 1
        return forgotten

    def _kept(self) -> Iterator[_Kept]:
        with suppress(FileNotFoundError), os.scandir(self._folder) as found:
            for entry in found:
                with suppress(FileNotFoundError):  # another driver forgets beside us
                    if entry.is_file(follow_symlinks=False):
                        about = entry.stat(follow_symlinks=False)
                        yield _Kept(path=Path(entry.path), at=about.st_mtime, size=about.st_size)

    def _path(self, token: str) -> Path:
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"{token!r} is no token, and would be no safe name of a file")
        return self._folder / f"{token}.log"


def _end_of(text: str) -> bytes:
    """Cut what is too much from the front, and the torn line with it."""
    data = text.encode(errors="replace")
    if len(data) <= CONSOLE_BYTES:
        return data
    torn, newline, rest = data[-CONSOLE_BYTES:].partition(b"\n")
    return rest if newline else torn


def _write(path: Path, data: bytes, *, at: datetime) -> None:
    """Write it beside its place and move it there: a reader sees all of it or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.utime(draft, (at.timestamp(), at.timestamp()))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
