"""The list: what is planted into an image, one by one, and must be found.

Whoever teaches the scan a new kind adds a line here; whoever loses one sees it.
"""

from __future__ import annotations

import base64
import hashlib
import json

from tests import planted
from tests.planted import AWS, GITHUB, HASH, PEM, SLACK, letters

from ovenbird.values.secret import SecretKind

K = SecretKind

PLANTED: dict[str, tuple[SecretKind, str, bytes]] = {
    "a host key": (K.HOST_KEY, "/etc/ssh/ssh_host_ed25519_key", planted.OPENSSH),
    "who may enter as root": (K.AUTHORIZED_KEYS, "/root/.ssh/authorized_keys", planted.PUBLIC),
    "who may enter by the system": (
        K.AUTHORIZED_KEYS,
        "/etc/ssh/authorized_keys.d/ops",
        planted.PUBLIC,
    ),
    "a key of a person": (K.PRIVATE_KEY, "/home/web/.ssh/id_ed25519", planted.OPENSSH),
    "a key of a web server": (K.PRIVATE_KEY, "/etc/ssl/private/web.key", PEM),
    "a key in one line of JSON": (
        K.PRIVATE_KEY,
        "/srv/app/key.json",
        json.dumps({"k": PEM.decode()}).encode(),
    ),
    "a key in DER": (K.PRIVATE_KEY, "/srv/app/key.der", planted.DER),
    "a key of WireGuard": (
        K.PRIVATE_KEY,
        "/etc/wireguard/wg0.conf",
        b"[Interface]\nPrivateKey = " + base64.b64encode(bytes(range(32))) + b"\n",
    ),
    "a container of keys": (K.KEYSTORE, "/srv/app/app.p12", planted.PKCS12),
    "a keyring": (K.KEYRING, "/root/.gnupg/private-keys-v1.d/AB.key", b"(private-key (ecc))"),
    "a keytab": (K.KEYTAB, "/etc/krb5.keytab", b"\5\2\0\0\0\x40" + bytes(64)),
    "the hash of a password": (
        K.PASSWORD_HASH,
        "/etc/shadow",
        f"root:{HASH}:1:0:9:7:::\n".encode(),
    ),
    "a hash in the backup": (
        K.PASSWORD_HASH,
        "/etc/shadow-",
        f"ops:{planted.YESCRYPT}:1:::::\n".encode(),
    ),
    "a hash in a file of a role": (
        K.PASSWORD_HASH,
        "/etc/nginx/htpasswd",
        b"ops:$apr1$Zk1dR8aa$" + letters(22).encode(),
    ),
    "an account without a password": (
        K.EMPTY_PASSWORD,
        "/etc/shadow",
        b"guest::20781:0:99999:7:::\n",
    ),
    "a password of an application": (
        K.PASSWORD,
        "/etc/default/app",
        b"DB_PASSWORD=corr3ct-horse\n",
    ),
    "a password in YAML": (
        K.PASSWORD,
        "/srv/app/config.yml",
        b"db:\n  password: 'corr3ct horse'\n",
    ),
    "a password in a URL": (
        K.URL_PASSWORD,
        "/etc/apt/sources.list",
        b"deb https://apt:h0rse-77@repo.corp/ stable main\n",
    ),
    "the history of a shell": (K.HISTORY, "/root/.bash_history", b"mysql -p\n"),
    "the history of a database": (K.HISTORY, "/home/web/.psql_history", b"select 1;\n"),
    "the history of python": (K.HISTORY, "/root/.python_history", b"import os\n"),
    "a netrc": (K.NETRC, "/root/.netrc", b"machine a login b password c\n"),
    "a login of PostgreSQL": (K.DATABASE_PASSWORD, "/home/web/.pgpass", b"db:5432:*:web:c\n"),
    "a login of MySQL": (K.DATABASE_PASSWORD, "/root/.my.cnf", b"[client]\npassword=c\n"),
    "a login of a registry": (
        K.REGISTRY_LOGIN,
        "/root/.docker/config.json",
        b'{"auths": {"r.io": {"auth": "YTpi"}}}',
    ),
    "a login of podman": (
        K.REGISTRY_LOGIN,
        "/root/.config/containers/auth.json",
        b'{"auths": {"r.io": {"auth": "YTpi"}}}',
    ),
    "credentials of AWS": (
        K.CLOUD_CREDENTIALS,
        "/root/.aws/credentials",
        b"[default]\naws_secret_access_key = x\n",
    ),
    "credentials of Google": (
        K.CLOUD_CREDENTIALS,
        "/srv/sa.json",
        b'{"type": "service_account", "private_key": "x"}',
    ),
    "credentials of Azure": (K.CLOUD_CREDENTIALS, "/root/.azure/msal_token_cache.json", b"{}\n"),
    "a way into a cluster": (
        K.KUBECONFIG,
        "/root/.kube/config",
        b"users:\n- user:\n    client-key-data: eA==\n",
    ),
    "what opens Ansible's vault": (K.VAULT_PASSWORD, "/root/.vault_pass.txt", b"h0rse\n"),
    "what opens a Vault": (K.VAULT_TOKEN, "/root/.vault-token", b"s.abc\n"),
    "a login of a package source": (
        K.APT_PASSWORD,
        "/etc/apt/auth.conf.d/corp",
        b"machine repo.corp\nlogin apt password h0rse\n",
    ),
    "the id of one machine": (
        K.MACHINE_ID,
        "/etc/machine-id",
        b"0123456789abcdef0123456789abcdef\n",
    ),
    "randomness to share": (K.RANDOM_SEED, "/var/lib/systemd/random-seed", bytes(range(32))),
    "cloud-init's memory": (
        K.CLOUD_INIT,
        "/var/lib/cloud/instances/i-1/user-data.txt",
        b"#cloud-config\n",
    ),
    "a core dump that systemd kept": (
        K.CORE_DUMP,
        "/var/lib/systemd/coredump/core.app.zst",
        b"\x28\xb5\x2f\xfd",
    ),
    "a core dump anywhere": (
        K.CORE_DUMP,
        "/srv/app/core.17",
        b"\x7fELF\2\1\1" + bytes(9) + b"\4\0" + bytes(40),
    ),
    "what Ansible left": (
        K.BAKE_LEFTOVER,
        "/root/.ansible/tmp/ansible-1/AnsiballZ.py",
        b"import os\n",
    ),
    "what Packer left": (K.BAKE_LEFTOVER, "/tmp/packer-shell123", b"#!/bin/sh\n"),
    "a secret of a launch": (K.LAUNCH_SECRET, "/run/ovenbird/secrets/token", b"x"),
}
"""Forty-one things of 25 kinds, by a name that a person understands."""

TOKENS = {
    "GitHub": GITHUB,
    "GitLab": "gl" + "pat-" + letters(20),
    "AWS": AWS,
    "an AWS secret": "aws_secret_access_key = " + letters(40),
    "Azure": "DefaultEndpointsProtocol=https;Account" + "Key=" + letters(86) + "==",
    "Google": "AI" + "za" + letters(35),
    "Slack": SLACK,
    "Stripe": "sk_" + "live_" + letters(24),
    "Twilio": "SK" + hashlib.md5(b"twilio").hexdigest(),
    "npm": "//registry.npmjs.org/:_auth" + "Token=npm_" + letters(36),
    "PyPI": "pypi-" + "AgEIcHlwaS5vcmc" + letters(80),
    "SendGrid": "S" + "G." + letters(22) + "." + letters(43, "y"),
    "Telegram": "bot=834759374:AA" + letters(33),
    "OpenAI": "sk-" + letters(20) + "T3Blbk" + "FJ" + letters(20, "z"),
    "Vault": "hv" + "s." + letters(30),
    "a web token": planted.jwt(),
}
