"""What packages brought, by dpkg's own lists: such a file holds no secret of ours.

A file whose content is the one of its package was not written by a bake, so it is not searched. A
mistake is what is looked for, and not somebody who forges the lists.
"""

from __future__ import annotations

import re

_LISTS = re.compile(r"/var/lib/dpkg/(?:info/[^/]+\.md5sums|status|status\.d/[^/]+)")
_MERGED = ("/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/")
_CONFFILE = re.compile(r"^ (/.+?) ([0-9a-f]{32})(?: obsolete| remove-on-upgrade)*$", re.MULTILINE)


class Brought:
    """Paths with the hashes that their packages gave them."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def tells(self, path: str) -> bool:
        """Say whether a file is one of the lists."""
        return bool(_LISTS.fullmatch(path))

    def learn(self, path: str, data: bytes) -> None:
        """Take in a list: ``HASH  PATH`` lines, or the conffiles of dpkg's status."""
        text = data.decode(errors="replace")
        if not path.endswith(".md5sums"):
            self._known |= {(found[1], found[2]) for found in _CONFFILE.finditer(text)}
            return
        for line in text.splitlines():
            md5, _, name = line.partition("  ")
            self._add(f"/{name.lstrip('./')}", md5)

    def has(self, path: str, md5: str) -> bool:
        return (path, md5) in self._known

    def _add(self, path: str, md5: str) -> None:
        self._known.add((path, md5))
        if path.startswith(_MERGED):  # a package that still says /lib has its files in /usr/lib
            self._known.add((f"/usr{path}", md5))
