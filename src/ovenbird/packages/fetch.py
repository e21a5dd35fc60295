"""Fetch what changes seldom: asked for with what is known already, and kept in a cache.

Nothing here decides whether a copy that could not be confirmed is good enough.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

TIMEOUT = 30.0
"""Seconds that a server may be silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a server has, whether it is other than what the cache had, and when it said so (UTC)."""

    data: bytes
    fresh: bool
    at: datetime


def fetched(url: str, *, cache: Path, proxy: str = "") -> Fetched:
    """Ask for a URL, and where the server says that nothing changed take the cached copy.

    Raises `OSError` (`HTTPException` for an answer that is no HTTP) where there is no answer.
    """
    from http import HTTPStatus
    from urllib.error import HTTPError
    from urllib.request import Request  # httpx takes 0.2 s to load

    kept = cache / hashlib.sha256(url.encode()).hexdigest()
    known = _known(kept)
    headers = {name: value for name, value in known.items() if name.startswith("If-")}
    now = datetime.now(UTC)
    try:
        with _opener(proxy).open(Request(url, headers=headers), timeout=TIMEOUT) as answer:
            data, said = answer.read(), answer.headers
    except HTTPError as error:
        if error.code != HTTPStatus.NOT_MODIFIED:
            raise
        kept.touch()
        _meta(kept).touch()
        return Fetched(data=kept.read_bytes(), fresh=False, at=now)
    told = {"If-None-Match": said.get("ETag"), "If-Modified-Since": said.get("Last-Modified")}
    digest = hashlib.sha256(data).hexdigest()
    write(kept, data)
    meta = {name: value for name, value in told.items() if value} | {"sha256": digest}
    write(_meta(kept), json.dumps(meta).encode())
    return Fetched(data=data, fresh=known.get("sha256") != digest, at=now)


def last_copy(url: str, *, cache: Path) -> Fetched | None:
    """Return what a server had when it last answered, and when that was; None without a copy."""
    kept = cache / hashlib.sha256(url.encode()).hexdigest()
    if not _known(kept):
        return None
    at = datetime.fromtimestamp(_meta(kept).stat().st_mtime, UTC)
    return Fetched(data=kept.read_bytes(), fresh=False, at=at)


def asked(url: str, *, proxy: str = "") -> bytes:
    """Fetch a URL, and keep nothing. Raises as `fetched` does."""
    with _opener(proxy).open(url, timeout=TIMEOUT) as answer:
        data: bytes = answer.read()
    return data


def write(path: Path, data: bytes) -> None:
    """Replace a file of the cache in one step: whoever reads it sees the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex[:12]}")  # bakes side by side are one process
    draft.write_bytes(data)
    draft.replace(path)


def _opener(proxy: str) -> OpenerDirector:
    from urllib.request import ProxyHandler, build_opener

    return build_opener(*([ProxyHandler({"http": proxy, "https": proxy})] if proxy else []))


def _meta(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.json")


def _known(kept: Path) -> dict[str, str]:
    """Return what is known of a cached copy; nothing where it is not whole."""
    try:
        known: dict[str, str] = json.loads(_meta(kept).read_text())
        whole = hashlib.sha256(kept.read_bytes()).hexdigest() == known.get("sha256")
    except (OSError, ValueError):
        return {}
    return known if whole else {}
