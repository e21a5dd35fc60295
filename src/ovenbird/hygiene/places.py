"""Left-overs that are known by where they lie: keys of a host, of people, histories, logins.

A file counts when its content says that something was left: an empty one, or one of comments
only, is what a seal leaves behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ovenbird.hygiene.content import Content
from ovenbird.hygiene.tokens import Found
from ovenbird.values.secret import SecretKind

Judge = Callable[[bytes], str | None]
"""Say what a content of that place is, None for nothing to complain about."""


@dataclass(frozen=True, slots=True)
class _Place:
    path: re.Pattern[str]
    kind: SecretKind
    judge: Judge


def left_in(content: Content) -> Iterator[Found]:
    """Yield what a file is by its place, or by the way it begins."""
    for place in _PLACES:
        if place.path.fullmatch(content.path) and (what := place.judge(content.data)):
            yield place.kind, 0, what
    if _ACCOUNTS.fullmatch(content.path):
        yield from _accounts(content.data)
    if content.data.startswith(b"\x7fELF") and content.data[16:18] in (b"\4\0", b"\0\4"):
        yield SecretKind.CORE_DUMP, 0, "the memory of a program"


def _any(what: str) -> Judge:
    return lambda data: what if data.strip(b" \t\r\n\0") else None


def _holds(pattern: str, what: str) -> Judge:
    regex = re.compile(pattern.encode())
    return lambda data: what if regex.search(data) else None


def _lines(what: str) -> Judge:
    """Count lines that are no comment."""

    def judge(data: bytes) -> str | None:
        lines = [line.strip() for line in data.splitlines()]
        count = sum(bool(line) and not line.startswith(b"#") for line in lines)
        return f"{what}, {count} line{'s' * (count != 1)}" if count else None

    return judge


def _machine_id(data: bytes) -> str | None:
    return None if data.strip() in (b"", b"uninitialized") else "the id of one machine"


def _registry(data: bytes) -> str | None:
    try:
        said = json.loads(data)
    except ValueError:
        return "a file that is no JSON" if data.strip() else None
    entries = said.get("auths", said) if isinstance(said, Mapping) else {}
    entries = entries.values() if isinstance(entries, Mapping) else ()
    logins = [e for e in entries if isinstance(e, Mapping) and e.keys() & {"auth", "identitytoken"}]
    return f"{len(logins)} of registries" if logins else None


def _place(kind: SecretKind, judge: Judge, *paths: str) -> _Place:
    """``~`` is the home of somebody, wherever it lies."""
    whole = "|".join(path.replace("~", r"(?:/[^/]+)*") for path in paths)
    return _Place(re.compile(whole), kind, judge)


def _google(data: bytes) -> str | None:
    kinds = (b'"service_account"', b'"authorized_user"')
    mine = any(kind in data for kind in kinds) and _GOOGLE.search(data)
    return "of Google" if mine else None


def _keytab(data: bytes) -> str | None:
    return "keys of Kerberos" if data[:1] == b"\5" and len(data) > 2 else None


_GOOGLE = re.compile(rb'"(?:private_key|refresh_token)"\s*:\s*"[^"]')
_SETTING = r"(?im)^\s*[\w-]*(?:secret|password|token|pass)[\w-]*\s*[:=]\s*\S"
_AWS = r"aws_secret_access_key|aws_session_token|accessToken|AccessToken|refreshToken|clientSecret"
_KUBE = r'(?:client-key-data|token|password)"?\s*:\s*"?[^\s"]'

_PLACES = (
    _place(
        SecretKind.HOST_KEY,
        _any("a host's own key"),
        r"/etc/ssh/ssh_host_[^/]*_key",
        r"/etc/dropbear/[^/]*_host_key",
    ),
    _place(
        SecretKind.AUTHORIZED_KEYS,
        _lines("who may enter"),
        r"~/\.ssh/authorized_keys2?",
        r"/etc/ssh/authorized_keys(?:\.d)?(?:/.*)?",
    ),
    _place(
        SecretKind.HISTORY,
        _any("what somebody typed"),
        r"~/\.(?:bash|zsh|sh|ash|ksh|python|php|irb|node_repl|gdb|dbshell)_?history",
        r"~/\.(?:mysql|mariadb|psql|sqlite|rediscli|mongo)_?history",
        r"~/\.(?:histfile|viminfo|lesshst)",
        r"~/fish_history",
    ),
    _place(SecretKind.NETRC, _holds(r"\bpassword\s+\S", "a login"), r"~/[._]netrc"),
    _place(SecretKind.DATABASE_PASSWORD, _lines("logins of PostgreSQL"), r"~/\.pgpass"),
    _place(
        SecretKind.DATABASE_PASSWORD,
        _holds(r"(?m)^\s*password\s*=\s*\S", "a login of MySQL"),
        r"~/\.my\.cnf",
        r"/etc/mysql/debian\.cnf",
    ),
    _place(SecretKind.DATABASE_PASSWORD, _any("a login of MySQL"), r"~/\.mylogin\.cnf"),
    _place(
        SecretKind.REGISTRY_LOGIN,
        _registry,
        r"~/\.docker/config\.json",
        r"~/\.dockercfg",
        r"~/containers/auth\.json",
    ),
    _place(
        SecretKind.CLOUD_CREDENTIALS,
        _holds(_AWS, "of AWS"),
        r"~/\.aws/(?:credentials|config|(?:cli|sso)/cache/.*)",
    ),
    _place(
        SecretKind.CLOUD_CREDENTIALS,
        _any("of Azure"),
        r"~/\.azure/(?:accessTokens|msal_token_cache|service_principal_entries)\.[^/]*",
    ),
    _place(
        SecretKind.CLOUD_CREDENTIALS,
        _any("of Google"),
        r"~/gcloud/(?:credentials\.db|access_tokens\.db|legacy_credentials/.*)",
    ),
    _place(SecretKind.CLOUD_CREDENTIALS, _google, r".*\.json"),
    _place(
        SecretKind.CLOUD_CREDENTIALS,
        _holds(_SETTING, "of a cloud's tool"),
        r"~/\.(?:boto|s3cfg)",
        r"~/\.config/(?:rclone/rclone\.conf|doctl/config\.yaml)",
        r"~/(?:clouds|secure)\.yaml",
    ),
    _place(
        SecretKind.KUBECONFIG,
        _holds(_KUBE, "a way into a cluster"),
        r"~/\.kube/config",
        r"~/kubeconfig",
        r"~/[^/]*\.kubeconfig",
        r"/etc/kubernetes/.*\.conf",
        r"/etc/rancher/.*\.yaml",
    ),
    _place(
        SecretKind.VAULT_PASSWORD,
        _any("what opens Ansible's vault"),
        r".*/\.?(?:ansible[-_])?vault[-_]?pass(?:word)?(?:[-_]?file)?(?:\.txt)?",
    ),
    _place(SecretKind.VAULT_TOKEN, _any("what opens a Vault"), r"~/\.vault-token"),
    _place(
        SecretKind.APT_PASSWORD,
        _holds(r"(?m)^(?:[^#\n]*\s)?password\s+\S", "a login of a package source"),
        r"/etc/apt/auth\.conf(?:\.d/.*)?",
    ),
    _place(
        SecretKind.MACHINE_ID,
        _machine_id,
        r"/etc/machine-id",
        r"/var/lib/dbus/machine-id",
    ),
    _place(
        SecretKind.RANDOM_SEED,
        _any("what every instance would share"),
        r"/var/lib/(?:systemd|urandom|misc)/random-seed",
        r"/var/lib/systemd/credential\.secret",
        r"(?:/boot/efi)?/loader/random-seed",
    ),
    _place(
        SecretKind.CLOUD_INIT,
        _any("what cloud-init knows of one machine"),
        r"/var/lib/cloud/(?:instances?|data|sem|seed)/.*",
    ),
    _place(
        SecretKind.CORE_DUMP,
        _any("the memory of a program"),
        r"/var/lib/systemd/coredump/.*",
        r"/var/crash/.*",
    ),
    _place(
        SecretKind.BAKE_LEFTOVER,
        _any("of Packer, Ansible or Ovenbird"),
        r"(?:/var)?/tmp/(?:packer|\.?ansible|script_)[^/]*(?:/.*)?",
        r"~/\.ansible/.*",
        r"/run/ovenbird-(?:bake|door)/.*",
        r"/var/lib/ovenbird-bake/.*",
    ),
    _place(
        SecretKind.LAUNCH_SECRET,
        _any("what an instance gets when it starts"),
        r"/run/ovenbird/secrets/.*",
    ),
    _place(
        SecretKind.KEYRING,
        _any("private keys of GnuPG"),
        r"~/\.gnupg/(?:private-keys-v1\.d/.*|secring\.gpg)",
    ),
    _place(SecretKind.KEYTAB, _keytab, r".*\.keytab"),
)

_ACCOUNTS = re.compile(r"/etc/g?shadow-?|/etc/passwd-?|/var/backups/g?shadow\.bak")


def _accounts(data: bytes) -> Iterator[Found]:
    """Read lines of NAME:HASH:…; ``!`` and ``*`` say that no password works."""
    for number, line in enumerate(data.decode("latin-1").splitlines(), start=1):
        name, *rest = line.split(":")
        if not name or name.startswith("#") or not rest:
            continue
        if not rest[0]:
            yield SecretKind.EMPTY_PASSWORD, number, f"{name} enters without a password"
        elif rest[0].lstrip("!").startswith("$") or re.fullmatch(r"[./0-9A-Za-z]{13}", rest[0]):
            yield SecretKind.PASSWORD_HASH, number, f"the password of {name}"
