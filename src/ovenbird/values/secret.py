"""What must not be in an image: the kinds of it, and one that was found.

A finding never holds the secret: its hint shows four characters at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SecretKind(StrEnum):
    """The names that findings and exceptions use."""

    HOST_KEY = "host-key"
    AUTHORIZED_KEYS = "authorized-keys"
    PRIVATE_KEY = "private-key"
    KEYSTORE = "keystore"
    KEYRING = "keyring"
    KEYTAB = "keytab"
    PASSWORD_HASH = "password-hash"
    EMPTY_PASSWORD = "empty-password"
    PASSWORD = "password"
    URL_PASSWORD = "url-password"
    HISTORY = "history"
    NETRC = "netrc"
    DATABASE_PASSWORD = "database-password"
    REGISTRY_LOGIN = "registry-login"
    CLOUD_CREDENTIALS = "cloud-credentials"
    KUBECONFIG = "kubeconfig"
    VAULT_PASSWORD = "vault-password"
    VAULT_TOKEN = "vault-token"
    TOKEN = "token"
    APT_PASSWORD = "apt-password"
    LAUNCH_SECRET = "launch-secret"
    CORE_DUMP = "core-dump"
    BAKE_LEFTOVER = "bake-leftover"
    MACHINE_ID = "machine-id"
    RANDOM_SEED = "random-seed"
    CLOUD_INIT = "cloud-init"


OF_ONE_MACHINE = frozenset({SecretKind.MACHINE_ID, SecretKind.RANDOM_SEED, SecretKind.CLOUD_INIT})
"""Whose machine it was: no secret, so what an upper layer took away harms nobody."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One thing that must not be in an image.

    ``where`` is the part of the image: a layer, its configuration, the disk. ``line`` counts from
    1; 0 is the whole file. ``hint`` says what it looks like.
    """

    path: str
    line: int
    kind: SecretKind
    where: str
    hint: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.kind}, {self.hint} (in {self.where})"
