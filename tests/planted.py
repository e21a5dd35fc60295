"""Images made in memory: a clean Debian in small, and what is planted into it, one by one.

No secret stands here as it would be in an image: each is put together when the tests run, so that
nobody's scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization as to
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

ALPHABET = "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0uVwXyZ"


def letters(count: int, seed: str = "x") -> str:
    """Some letters that look like chance and are always the same."""
    digest = b"".join(hashlib.sha256(f"{seed}{n}".encode()).digest() for n in range(8))
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest)[:count]


_PRIVATE = ec.derive_private_key(int("1234567890" * 5), ec.SECP256R1())
PEM = _PRIVATE.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.NoEncryption())
OPENSSH = _PRIVATE.private_bytes(to.Encoding.PEM, to.PrivateFormat.OpenSSH, to.NoEncryption())
DER = _PRIVATE.private_bytes(to.Encoding.DER, to.PrivateFormat.PKCS8, to.NoEncryption())
PKCS12 = pkcs12.serialize_key_and_certificates(
    b"app", _PRIVATE, None, None, to.BestAvailableEncryption(b"secret")
)
PUBLIC = _PRIVATE.public_key().public_bytes(to.Encoding.OpenSSH, to.PublicFormat.OpenSSH)
PUBLIC_PEM = _PRIVATE.public_key().public_bytes(
    to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo
)

GITHUB = "gh" + "p_" + letters(36, "github")
AWS = "AK" + "IA" + letters(16, "aws").upper()
SLACK = "xo" + "xb-" + "2839485712-" + letters(24, "slack").lower()
HASH = "$6$" + letters(12, "salt") + "$" + letters(86, "hash")
YESCRYPT = "$y$j9T$" + letters(22, "salt") + "$" + letters(43, "yescrypt")

SHADOW = b"root:*:20781:0:99999:7:::\ndaemon:!*:20781:0:99999:7:::\n"


def zipped(name: str, data: bytes) -> bytes:
    holder = io.BytesIO()
    with zipfile.ZipFile(holder, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return holder.getvalue()


def wrapped(data: bytes) -> bytes:
    """base64 in lines of 76, as mail and YAML have it."""
    return b"\n".join(b"  " + line for line in base64.encodebytes(data).splitlines())


def jwt() -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, {"sub": "deploy", "n": 17})]
    coded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    return ".".join([*coded, letters(43, "jwt")])


@dataclass(frozen=True, kw_only=True)
class Image:
    """Layers of files, the lowest first, and what the image says of itself."""

    layers: Sequence[Mapping[str, bytes]]
    env: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[str] = ()

    def saved(self, folder: Path) -> Path:
        """Write it as ``podman save`` does."""
        archive = folder / "image.tar"
        config = {
            "config": {"Env": list(self.env), "Labels": dict(self.labels)},
            "history": [{"created_by": text} for text in self.history],
        }
        names = [f"{number}.tar" for number in range(len(self.layers))]
        members = {
            "config.json": json.dumps(config).encode(),
            **{n: tree(layer) for n, layer in zip(names, self.layers, strict=True)},
            "manifest.json": json.dumps([{"Config": "config.json", "Layers": names}]).encode(),
        }
        archive.write_bytes(tree(members))
        return archive


def tree(files: Mapping[str, bytes]) -> bytes:
    """Make a tar of files; the names are paths in the image."""
    holder = io.BytesIO()
    with tarfile.open(fileobj=holder, mode="w") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path.removeprefix("/"))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return holder.getvalue()


def wheel(folder: str, name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Lay out files of a Python package, with its own list."""
    rows = "".join(
        f"{path},sha256={digest},{len(data)}\n"
        for path, data in files.items()
        for digest in [base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().strip("=")]
    )
    placed = {f"{folder}/{path}": data for path, data in files.items()}
    return {**placed, f"{folder}/{name}.dist-info/RECORD": rows.encode()}


def packaged(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Lay out files with the list of the package that brought them."""
    listed = "".join(
        f"{hashlib.md5(data).hexdigest()}  {path.removeprefix('/')}\n"
        for path, data in files.items()
    )
    return {**files, f"/var/lib/dpkg/info/{name}.md5sums": listed.encode()}


CLEAN: Mapping[str, bytes] = {
    "/etc/shadow": SHADOW,
    "/etc/gshadow": b"root:*::\ndaemon:*::\n",
    "/etc/passwd": b"root:x:0:0:root:/root:/bin/bash\n",
    "/etc/machine-id": b"",
    "/etc/nsswitch.conf": b"passwd:         files systemd\nshadow:         files systemd\n",
    "/etc/debconf.conf": b"Config: configdb\nName: passwords\nReject-Type: password\nMode: 600\n",
    "/etc/pam.d/common-password": b"password\t[success=1 default=ignore]\tpam_unix.so obscure\n",
    "/etc/ssh/sshd_config": b"#PasswordAuthentication yes\nPasswordAuthentication no\n",
    "/etc/ssh/ssh_host_ed25519_key.pub": PUBLIC + b" root@debian\n",
    "/etc/ssl/certs/app.pem": PUBLIC_PEM,
    "/etc/apt/sources.list": b"deb http://deb.debian.org/debian bookworm main\n",
    "/etc/apt/auth.conf": b"# machine example.org login apt password debian\n",
    "/etc/app.env": b"PASSWORD_FILE=/run/ovenbird/secrets/db\nDB_PASSWORD=${DB_PASSWORD}\n"
    b"API_TOKEN=\nSESSION_TOKEN=/run/ovenbird/secrets/session\nMAX_TOKEN=100000\n",
    "/etc/openssl.cnf": b"# an example: password = 123456789\nsecret_key = $ENV::KEY\n",
    "/root/.bashrc": b"export HISTSIZE=1000\n# ~/.bashrc\n",
    "/root/.bash_history": b"",
    "/root/.ssh/authorized_keys": b"# nobody\n",
    "/home/web/.docker/config.json": b'{"auths": {}, "credsStore": "pass"}',
    "/home/web/.my.cnf": b"[client]\nuser = web\n",
    "/usr/local/lib/app/settings.json": b'{"type": "service", "private_key_file": "/run/key"}',
    "/usr/local/lib/app/SHA256SUMS": b"".join(
        hashlib.sha256(bytes([n])).hexdigest().encode() + b"  file\n" for n in range(40)
    ),
    "/usr/local/lib/app/read.py": b'if b"-----BEGIN RSA PRIVATE KEY-----" in data:\n    load()\n',
    "/usr/local/lib/app/README": b"Connect to postgres://user:password@host/db or to\n"
    b"https://$USER:$TOKEN@host. AWS: AKIAIOSFODNN7" + b"EXAMPLE, ghp_" + b"x" * 36 + b"\n",
    "/usr/local/lib/app/blob": base64.b64encode(bytes(range(256)) * 20),
    "/var/log/dpkg.log": b"",
    "/opt/app/lib/python3.11/site-packages/pkg/__pycache__/test.cpython-311.pyc": PEM,
    **wheel("/opt/app/lib/python3.11/site-packages", "pkg-1.0", {"pkg/test.py": PEM}),
    **packaged(
        "libpython3.11-testsuite",
        {
            "/usr/lib/python3.11/test/keycert.pem": PEM,
            "/usr/lib/python3.11/test/test_netrc.py": f"password = '{GITHUB}'\n".encode(),
        },
    ),
}
"""What is in a good image and looks a little like a secret; what packages brought is genuine."""

PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "base64": base64.b64encode,
    "lines of base64": wrapped,
    "zip": lambda data: zipped("a/b.txt", data),
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "UTF-16 without a mark": lambda data: data.decode().encode("utf-16-be"),
    "gzip in base64": lambda data: base64.b64encode(gzip.compress(data)),
    "base64 in UTF-16": lambda data: base64.b64encode(data).decode().encode("utf-16"),
}
