"""The state of the package sources on a day: a hash over their signed indexes.

An image is its recipe and this state. It is read once before a bake and compared after: a
source that moved in between makes a state of its own, which never equals another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from http.client import HTTPException

from ovenbird.packages.sources import Source
from ovenbird.values.errors import Blocked
from ovenbird.values.family import BakeEnvironment


def package_state(sources: Sequence[Source], environment: BakeEnvironment) -> str:
    """Hash the ``InRelease`` of every source as it is now: 64 hex digits.

    What they hold counts, not where they come from: two mirrors of one archive are one state.
    Raises `Blocked` where one cannot be reached. Without sources (an OCI base that brings its
    own) the state is the hash of nothing.
    """
    from urllib.request import ProxyHandler, build_opener  # httpx takes 0.2 s to load

    proxy = environment.proxy
    fetch = build_opener(*([ProxyHandler({"http": proxy, "https": proxy})] if proxy else []))
    indexes: list[bytes] = []
    for suite, uri in sorted({(source.suite, source.uri.rstrip("/")) for source in sources}):
        try:
            with fetch.open(f"{uri}/dists/{suite}/InRelease", timeout=30) as answer:
                indexes.append(hashlib.sha256(answer.read()).digest())
        except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
            raise Blocked(
                f"The package index of {suite} cannot be read: {type(error).__name__}.",
                remedy="See that the mirror in inventories/bake/environment.yml is reached "
                "from here, then bake again.",
            ) from error
    return hashlib.sha256(b"".join(sorted(indexes))).hexdigest()


def moved(before: str, after: str) -> str:
    """Name the state of sources that changed while an image was made from them."""
    return hashlib.sha256(f"{before} then {after}".encode()).hexdigest()
