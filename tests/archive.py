"""A small apt archive that tests publish, sign and serve: two suites, one of them for security."""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.forward_proxy import own_address

ARCHITECTURE = "amd64"


class Key:
    """A signing key of its own GnuPG home. ``public`` lies beside it, where apt's user reads it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        self._gpg("--quick-generate-key", "Bakery <bakery@example.org>", "ed25519", "sign", "never")
        self.public = home.with_name("bakery.gpg")
        self.public.write_bytes(self._gpg("--export"))

    def sign(self, text: bytes) -> bytes:
        return self._gpg("--clearsign", "--digest-algo", "SHA512", stdin=text)

    def armored(self, path: Path) -> Path:
        """Write the public key as text."""
        path.write_bytes(self._gpg("--armor", "--export"))
        return path

    def close(self) -> None:
        subprocess.run(
            ["gpgconf", "--homedir", str(self.home), "--kill", "all"],
            check=False,
            capture_output=True,
        )

    def _gpg(self, *words: str, stdin: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "--passphrase", ""]
        return subprocess.run(
            [*argv, "--pinentry-mode", "loopback", *words],
            input=stdin,
            capture_output=True,
            check=True,
        ).stdout


class Archive:
    """Packages in a folder, served at ``url`` on an address that containers reach too.

    ``asked`` lists the paths that were fetched.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        (folder / "pool").mkdir(parents=True)
        self.key = Key(folder / "gnupg")
        self._debs: dict[str, list[str]] = {}
        self._server: ThreadingHTTPServer | None = None
        self._address = (own_address(), 0)

    @property
    def url(self) -> str:
        return f"http://{self._address[0]}:{self._address[1]}"

    def source(self, suite: str) -> str:
        return f"deb [signed-by={self.key.public}] {self.url} {suite} main"

    def put(self, name: str, version: str, *, suite: str) -> None:
        """Build a package of one small file and add it to a suite; `publish` shows it."""
        tree = self.folder / "build" / f"{name}_{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / f"usr/share/{name}").mkdir(parents=True)
        (tree / f"usr/share/{name}/version").write_text(f"{version}\n")
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nSection: misc\n"
            "Priority: optional\nMaintainer: Bakery <bakery@example.org>\n"
            f"Description: {name}, for tests\n"
        )
        deb = self.folder / "pool" / f"{name}_{version}_all.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)],
            check=True,
            capture_output=True,
        )
        control = (tree / "DEBIAN/control").read_text()
        data = deb.read_bytes()
        self._debs.setdefault(suite, []).append(
            f"{control}Filename: pool/{deb.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )

    def publish(self, suite: str, *, valid_for: timedelta = timedelta(days=7)) -> None:
        """Write and sign the index of a suite as it is now."""
        top = self.folder / "dists" / suite
        lists = top / f"main/binary-{ARCHITECTURE}"
        lists.mkdir(parents=True, exist_ok=True)
        text = "\n".join(self._debs.get(suite, ())).encode()
        files = {"Packages": text, "Packages.gz": gzip.compress(text, mtime=0)}
        sums = []
        for name, data in files.items():
            (lists / name).write_bytes(data)
            place = f"main/binary-{ARCHITECTURE}/{name}"
            sums.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {place}")
        now = datetime.now(UTC)
        release = (
            f"Origin: Bakery\nLabel: Bakery\nSuite: {suite}\nCodename: {suite}\n"
            f"Date: {format_datetime(now - timedelta(seconds=5), usegmt=True)}\n"
            f"Valid-Until: {format_datetime(now + valid_for, usegmt=True)}\n"
            f"Architectures: {ARCHITECTURE}\nComponents: main\nSHA256:\n" + "\n".join(sums) + "\n"
        )
        index = top / "InRelease"
        before = index.stat().st_mtime if index.exists() else 0
        index.write_bytes(self.key.sign(release.encode()))
        # HTTP knows whole seconds: an index of the same second would be no newer one.
        at = max(index.stat().st_mtime, before + 1)
        os.utime(index, (at, at))

    def start(self) -> None:
        """Serve, on the same port as before."""
        handler = functools.partial(_Handler, self.asked, directory=str(self.folder))
        self._server = ThreadingHTTPServer(self._address, handler)
        self._address = (self._address[0], self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.key.close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, asked: list[str], *words: object, directory: str) -> None:
        self._asked = asked
        super().__init__(*words, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `asked` has it."""
