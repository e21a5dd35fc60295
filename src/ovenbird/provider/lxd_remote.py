"""LXD's own client, told which LXD is meant: a folder that it and Packer read instead of a home.

The server's certificate is compared with the pin before it is trusted, and nothing else is.
"""

from __future__ import annotations

import hashlib
import io
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from ovenbird.provider.lxd_way import (
    another_server,
    client_files,
    connected,
    nobody,
    socket_of,
    url_of,
)
from ovenbird.values.engine import LxdSettings
from ovenbird.values.errors import EngineUnreachable

PATIENCE = 5.0
"""Seconds that a member has to answer before the next one is asked."""


def client(settings: LxdSettings, folder: Path) -> Mapping[str, str]:
    """Write a client's folder for the first endpoint that answers; return its environment.

    Raises `EngineUnreachable` where none does, and for another certificate than the pinned one,
    `ConfigurationError` for a missing file of the client's.
    """
    (folder / "servercerts").mkdir(mode=0o700, parents=True, exist_ok=True)
    address = _reachable(settings, folder)
    if address.startswith("https:"):
        for name, file in zip(("client.crt", "client.key"), client_files(settings), strict=True):
            _write(folder / name, Path(file).read_text())
    remote = {"addr": address, "protocol": "lxd", "auth_type": "tls", "project": settings.project}
    text = io.StringIO()
    YAML().dump({"default-remote": "ovenbird", "remotes": {"ovenbird": remote}}, text)
    _write(folder / "config.yml", text.getvalue())
    return {"LXD_CONF": str(folder)}


def pinned(endpoint: str, settings: LxdSettings) -> str:
    """Fetch a member's certificate (PEM) and compare it with the pin, before anything is asked."""
    where = urlsplit(url_of(endpoint))
    address = (where.hostname or "", where.port or 0)
    pem = ssl.get_server_certificate(address, timeout=PATIENCE)
    shown = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    if shown != settings.pin:
        raise another_server(endpoint, said=f"it shows {shown}")
    return pem


def _reachable(settings: LxdSettings, folder: Path) -> str:
    tried = []
    for endpoint in settings.endpoints:
        try:
            if (path := socket_of(endpoint)) is not None:
                connected(path, timeout=PATIENCE).close()
                return f"unix://{path}"
            _write(folder / "servercerts" / "ovenbird.crt", pinned(endpoint, settings))
        except OSError as error:
            tried.append(nobody(endpoint, error))
            continue
        return url_of(endpoint)
    raise EngineUnreachable(
        "No endpoint of LXD answers.",
        remedy="Start LXD, or correct endpoints: in inventories/engines.yml.",
        evidence="\n".join(tried),
    )


def _write(path: Path, text: str) -> None:
    """Replace a file that the client of another bake may be reading."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
