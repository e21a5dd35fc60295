"""LXD's own client, told which LXD is meant: a folder that it and Packer read instead of a home.

The server's certificate is compared with the pin before it is trusted, and nothing else is.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from ovenbird.values.engine import LOCAL_SOCKET, LxdSettings
from ovenbird.values.errors import ConfigurationError, EngineUnreachable

SOCKETS = ("/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket")
PATIENCE = 5.0
"""Seconds that a member has to answer before the next one is asked."""


def client(settings: LxdSettings, folder: Path) -> Mapping[str, str]:
    """Write a client's folder for the first endpoint that answers; return its environment.

    Raises `EngineUnreachable` where none does, `ConfigurationError` for a wrong certificate.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "servercerts").mkdir(exist_ok=True)
    address = _reachable(settings, folder)
    if settings.certificate:
        copyfile(settings.certificate, folder / "client.crt")
        (folder / "client.key").touch(mode=0o600)
        copyfile(settings.key, folder / "client.key")
    remote = {"addr": address, "protocol": "lxd", "auth_type": "tls", "project": settings.project}
    with (folder / "config.yml").open("w") as file:
        YAML().dump({"default-remote": "ovenbird", "remotes": {"ovenbird": remote}}, file)
    return {"LXD_CONF": str(folder)}


def socket_of(endpoint: str) -> Path:
    """Find the socket that ``unix:`` or ``unix:/PATH`` means."""
    said = endpoint.removeprefix(LOCAL_SOCKET).replace("//", "/")
    if said:
        return Path(said)
    if folder := os.environ.get("LXD_DIR"):
        return Path(folder) / "unix.socket"
    return next((Path(each) for each in SOCKETS if Path(each).exists()), Path(SOCKETS[0]))


def pinned(endpoint: str, settings: LxdSettings) -> str:
    """Fetch a member's certificate (PEM) and compare it with the pin, before anything is asked."""
    where = urlsplit(endpoint)
    address = (where.hostname or "", where.port or 8443)
    pem = ssl.get_server_certificate(address, timeout=PATIENCE)
    shown = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    if shown != settings.pin:
        raise ConfigurationError.of(
            f"{endpoint} shows the certificate {shown[:16]}…, and the pin is "
            f"{settings.pin[:16]}…: this is not the server that was meant.",
            remedy="Nothing was sent. If its certificate was renewed, compare it on a member "
            "(openssl x509 -noout -fingerprint -sha256 -in cluster.crt) and correct pin: in "
            "inventories/engines.yml.",
        )
    return pem


def _reachable(settings: LxdSettings, folder: Path) -> str:
    tried = []
    for endpoint in settings.endpoints:
        try:
            if endpoint.startswith(LOCAL_SOCKET):
                return f"unix://{_answering(socket_of(endpoint))}"
            (folder / "servercerts" / "ovenbird.crt").write_text(pinned(endpoint, settings))
        except OSError as error:
            tried.append(f"{endpoint}: {error.strerror or error}")
            continue
        return endpoint
    raise EngineUnreachable(
        "No endpoint of LXD answers.",
        remedy="Start LXD, or correct endpoints: in inventories/engines.yml.",
        evidence="\n".join(tried),
    )


def _answering(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(PATIENCE)
        door.connect(str(path))
    return path
