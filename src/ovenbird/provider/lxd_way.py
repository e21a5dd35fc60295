"""The way to one endpoint of LXD: its socket, or TLS to the one server whose certificate is pinned.

The pin is compared as soon as the server has shown its certificate, before any request is sent.
Nothing of the environment (a proxy, a bundle of authorities) takes part in it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from ovenbird.values.engine import LOCAL_SOCKET, LxdSettings
from ovenbird.values.errors import ConfigurationError, EngineUnreachable

PACKAGED = ("/var/snap/lxd/common/lxd/unix.socket", "/var/lib/lxd/unix.socket")
CONNECT_TIMEOUT = 3.0
PORT = 8443
AT_ONCE = 32
"""Connections to one socket that are kept for the next call."""


def socket_of(endpoint: str) -> str | None:
    """Return the path of the socket that ``unix:`` or ``unix:/PATH`` means; None for https."""
    if not endpoint.startswith(LOCAL_SOCKET):
        return None
    if named := endpoint.removeprefix(LOCAL_SOCKET):
        return named
    if folder := os.environ.get("LXD_DIR"):
        return str(Path(folder) / "unix.socket")
    return next((path for path in PACKAGED if Path(path).exists()), PACKAGED[-1])


def url_of(endpoint: str) -> str:
    """Write an endpoint as pylxd wants it."""
    path = socket_of(endpoint)
    if path is not None:
        return f"http+unix://{quote(path, safe='')}"
    return endpoint if urlsplit(endpoint).port else f"{endpoint}:{PORT}"


class _SocketConnection(HTTPConnection):
    """HTTP over a socket's path. (pylxd's own one leaves the socket open when nobody listens.)"""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = connected(self._path, timeout=CONNECT_TIMEOUT)


class _SocketPool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", maxsize=AT_ONCE)
        self._path = path

    def _new_conn(self) -> _SocketConnection:
        return _SocketConnection(self._path)


class _Local(HTTPAdapter):
    """Speaks to whoever listens at one path."""

    def __init__(self, path: str) -> None:
        self._pool = _SocketPool(path)
        super().__init__()

    def get_connection_with_tls_context(self, request, verify, proxies=None, cert=None):  # type: ignore[no-untyped-def]
        return self._pool

    def request_url(self, request, proxies):  # type: ignore[no-untyped-def]
        return request.path_url

    def close(self) -> None:
        self._pool.close()
        super().close()


class _Pinned(HTTPAdapter):
    """Speaks to a server that shows the pinned certificate, whoever signed it, and to no other."""

    def __init__(self, pin: str) -> None:
        self._pin = pin
        super().__init__()

    def cert_verify(self, conn, url, verify, cert) -> None:  # type: ignore[no-untyped-def]
        conn.assert_fingerprint = self._pin
        super().cert_verify(conn, url, False, cert)


def session_for(endpoint: str, settings: LxdSettings) -> requests.Session:
    """Open a session; nothing is sent yet. Raises `ConfigurationError` for a missing file."""
    session, path = requests.Session(), socket_of(endpoint)
    session.trust_env = False
    if path is not None:
        session.mount("http+unix://", _Local(path))
    else:
        session.cert = client_files(settings)
        session.mount("https://", _Pinned(settings.pin))
    return session


def stream(endpoint: str, settings: LxdSettings, *, timeout: float) -> socket.socket:
    """Connect for a conversation that is no HTTP after its first words. The caller closes it.

    Raises `EngineUnreachable` for another certificate, and `OSError` where nobody answers.
    """
    path = socket_of(endpoint)
    if path is not None:
        return connected(path, timeout=timeout)
    parts = urlsplit(url_of(endpoint))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(*client_files(settings))
    plain = socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_TIMEOUT)
    plain.settimeout(timeout)
    try:
        secured = context.wrap_socket(plain)
    except OSError:
        plain.close()
        raise
    shown = hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
    if shown != settings.pin:
        secured.close()
        raise another_server(endpoint, said=f"it shows {shown}")
    return secured


def connected(path: str, *, timeout: float) -> socket.socket:
    """Connect to a socket within ``timeout`` seconds. Raises `OSError` where nobody listens."""
    local = socket.socket(socket.AF_UNIX)
    local.settimeout(timeout)
    try:
        local.connect(path)
    except OSError:
        local.close()
        raise
    return local


def another_server(endpoint: str, *, said: str) -> EngineUnreachable:
    """Say that a server is not the one that is pinned."""
    return EngineUnreachable(
        f"{endpoint} shows another certificate than the pinned one, and was sent nothing.",
        remedy="See who answers there. If the server has a new certificate, read its SHA-256 on "
        "the server itself, and write it as pin: in inventories/engines.yml: "
        "openssl x509 -noout -fingerprint -sha256 -in cluster.crt (server.crt where it stands "
        "alone).",
        evidence=said,
    )


def nobody(endpoint: str, failure: BaseException) -> str:
    """Say in half a line why an endpoint does not answer."""
    path = socket_of(endpoint)
    if path is not None and not Path(path).exists():
        return f"{endpoint}: there is no socket {path}"
    if "Permission denied" in str(failure):
        return f"{endpoint}: {path} may not be opened by this user (is it in the group lxd?)"
    return f"{endpoint}: {str(failure)[-200:]}"


def client_files(settings: LxdSettings) -> tuple[str, str]:
    """Return certificate and key of the client. Raises `ConfigurationError` for a missing one."""
    for name, file in (("certificate", settings.certificate), ("key", settings.key)):
        if not Path(file).is_file():
            raise ConfigurationError.of(
                f"engine lxd: the client's {name} is missing: {file or 'none is named'}.",
                remedy="Name it as client: in inventories/engines.yml; docs/how-to/lxd.md makes "
                "one in two commands.",
            )
    return settings.certificate, settings.key
