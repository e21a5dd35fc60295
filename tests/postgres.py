"""A real PostgreSQL server for tests, from this machine's own packages, gone when the test is.

It runs with its defaults, fsync included. It may be stopped, paused as a hung host would be, run
out of disk, and be followed by a standby that takes over.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest
from sqlalchemy.engine import URL
from tests.backends import a_free_port

OWNER = "ovenbird"
PATIENCE = 60.0
"""Seconds that a server may take to start or end on a busy machine."""


def programs() -> Path | None:
    """Find the folder of initdb and postgres, as Debian keeps them; None where there are none."""
    for place in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (place / "initdb").exists():
            return place
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PostgresServer:
    """One server on a loopback port, as a context manager.

    ``size`` puts its data onto a file system of its own with so many MiB (root only).
    """

    def __init__(self, *, size: int | None = None) -> None:
        found = programs()
        if found is None:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        self._programs, self._size = found, size
        self._password = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._undo = contextlib.ExitStack()
        self.port = a_free_port()

    def __enter__(self) -> PostgresServer:
        with contextlib.ExitStack() as undo:
            self._make_folder(undo)
            self._initialize()
            undo.callback(self.stop, number=signal.SIGQUIT)  # nobody reads its data again
            self.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def password(self) -> str:
        return self._password

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases, password included."""
        return URL.create(
            "postgresql+psycopg",
            username=OWNER,
            password=self._password,
            host="127.0.0.1",
            port=self.port,
            database=database,
        ).render_as_string(hide_password=False)

    def fresh_database(self, template: str = "template1") -> str:
        """Make a new database, empty or a copy of ``template``, and return its URL."""
        name = f"site{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def sql(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the server's superuser, each in a transaction of its own."""
        import psycopg

        plain = self.url(database).replace("+psycopg", "")
        with psycopg.connect(plain, autocommit=True, connect_timeout=10) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*self._as_its_user(), self._programs / "postgres", "-D", self.data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        ends = time.monotonic() + PATIENCE
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self, *, number: signal.Signals = signal.SIGINT) -> None:
        """End it in order, whoever is connected; nothing where it does not run.

        SIGINT is what PostgreSQL calls a fast shutdown. SIGQUIT ends it as a crash would.
        """
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(PATIENCE)
        self._process = None

    def pause(self) -> None:
        """Stop it and all that it has started in their tracks: ports accept, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Leave no room on its disk for a while; for a server with a ``size``."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            ballast.unlink()
            if self._process is None or self._process.poll() is not None:
                self._process = None
                self.start()

    @contextlib.contextmanager
    def standby(self) -> Iterator[PostgresServer]:
        """Give it a follower, which takes over after `promote`."""
        other = PostgresServer()
        other._password = self._password
        with contextlib.ExitStack() as undo:
            other._make_folder(undo)
            plain = self.url().replace("+psycopg", "")
            other._run("pg_basebackup", "-d", plain, "-D", str(other.data), "-R", "-c", "fast")
            other._configure()
            undo.callback(other.stop, number=signal.SIGQUIT)
            other.start()
            yield other

    def promote(self) -> None:
        self._run("pg_ctl", "promote", "-D", str(self.data), "-w")

    def _make_folder(self, undo: contextlib.ExitStack) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ovenbird-postgresql-"))
        undo.callback(shutil.rmtree, self.folder)
        if self._size is not None:
            if os.getuid() != 0:
                pytest.skip("only root may mount a small file system")
            _run("mount", "-t", "tmpfs", "-o", f"size={self._size}m", "tmpfs", str(self.folder))
            undo.callback(_run, "umount", "--lazy", str(self.folder))
        if os.getuid() == 0:  # as root it refuses to run
            user = _its_user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.folder.chmod(0o700)

    def _initialize(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self._password)
        secret.chmod(0o644)  # in a folder that only its user may enter
        self._run(
            "initdb", "-D", str(self.data), "-U", OWNER, "--pwfile", str(secret),
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=4",
        )  # fmt: skip
        self._configure()

    def _configure(self) -> None:
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"\nport = {self.port}\nlisten_addresses = '127.0.0.1'\n"
                f"unix_socket_directories = ''\nshared_buffers = 16MB\nmin_wal_size = 8MB\n"
                f"max_wal_size = 32MB\n"
            )

    def _is_ready(self) -> bool:
        said = subprocess.run(
            [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            check=False,
        )
        return said.returncode == 0

    def _run(self, program: str, *words: str) -> None:
        _run(*self._as_its_user(), str(self._programs / program), *words, cwd=self.folder)

    def _as_its_user(self) -> list[str]:
        """Run as its user, and end with this process: a killed test leaves no server behind."""
        words = ["setpriv", "--pdeathsig=INT"]
        if os.getuid() == 0:
            user = _its_user()
            words += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        return [*words, "--"]

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        main = self._process.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(main, number)
        listed = Path(f"/proc/{main}/task/{main}/children")
        for child in listed.read_text().split() if listed.exists() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), number)


def _its_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _run(*words: str, cwd: Path | None = None) -> None:
    said = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise RuntimeError(f"{' '.join(words[:6])}: {said.stdout}{said.stderr}")
