"""What packages brought, by their own lists: dpkg's and those of Python's wheels.

A file whose content is the one of its package was not written by a bake, so it is not searched. A
mistake is what is looked for, and not somebody who forges the lists.
"""

from __future__ import annotations

import base64
import csv
import re
from pathlib import PurePosixPath

_DPKG = re.compile(r"/var/lib/dpkg/(?:info/[^/]+\.md5sums|status|status\.d/[^/]+)")
_WHEEL = re.compile(r".*\.dist-info/RECORD")
_SHA256 = re.compile(r"sha256=[A-Za-z0-9_-]{43}")
_MERGED = ("/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/")
_CONFFILE = re.compile(r"^ (/.+?) ([0-9a-f]{32})(?: obsolete| remove-on-upgrade)*$", re.MULTILINE)
_COMPILED = re.compile(r"(.*)/__pycache__/([^/]+?)\.cpython-\d+(?:\.opt-\d)?\.pyc")


class Brought:
    """Paths with the hashes that their packages gave them: MD5 in hex, or SHA-256."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()
        self._paths: set[str] = set()

    def tells(self, path: str) -> bool:
        """Say whether a file is one of the lists."""
        return bool(_DPKG.fullmatch(path) or _WHEEL.fullmatch(path))

    def learn(self, path: str, data: bytes) -> None:
        """Take in a list: ``HASH  PATH`` lines, the conffiles of dpkg's status, or a RECORD."""
        text = data.decode(errors="replace")
        if path.endswith(".md5sums"):
            for line in text.splitlines():
                md5, _, name = line.partition("  ")
                self._add(f"/{name.lstrip('./')}", md5)
        elif path.endswith("/RECORD"):
            self._learn_wheel(PurePosixPath(path).parent.parent, text)
        else:
            for found in _CONFFILE.finditer(text):
                self._add(found[1], found[2])

    def has(self, path: str, *, md5: str, sha256: str) -> bool:
        """Say whether a content is the package's. What Python compiled of its source is, too."""
        if compiled := _COMPILED.fullmatch(path):
            return f"{compiled[1]}/{compiled[2]}.py" in self._paths
        return bool({(path, md5), (path, sha256)} & self._known)

    def _learn_wheel(self, folder: PurePosixPath, text: str) -> None:
        for row in csv.reader(line for line in text.splitlines() if len(line) < 10_000):
            if len(row) == 3 and _SHA256.fullmatch(row[1]):
                digest = base64.urlsafe_b64decode(row[1].removeprefix("sha256=") + "=")
                self._add(f"{folder}/{row[0]}", digest.hex())

    def _add(self, path: str, digest: str) -> None:
        self._paths.add(path)
        self._known.add((path, digest))
        if path.startswith(_MERGED):  # a package that still says /lib has its files in /usr/lib
            self._known.add((f"/usr{path}", digest))
