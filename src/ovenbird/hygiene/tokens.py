"""Secrets that are known by their looks: detect-secrets' rules, and a few that it has not.

A rule is asked only about lines that hold one of its anchors, so a large file costs a search for a
few words. An example of some documentation is none: EXAMPLE in it, or hardly any different letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from ovenbird.values.secret import SecretKind

if TYPE_CHECKING:
    from detect_secrets.plugins.base import RegexBasedDetector

Found = tuple[SecretKind, int, str]
"""A kind, a line counted from 1, and what it looks like."""

_SIDE = 2000
"""Characters of a line that are looked at, before and after an anchor."""
_MOST_LINES = 500

# Each name of a class in detect_secrets.plugins, and what must stand in a line that it finds. Its
# entropy and keyword rules are left out: of an image's files they call every tenth a secret.
_DETECTORS = (
    ("artifactory.ArtifactoryDetector", "an Artifactory key", (b"AKC",)),
    ("aws.AWSKeyDetector", "an AWS access key", (b"AKIA", b"ASIA", b"ABIA", b"ACCA", b"A3T")),
    ("azure_storage_key.AzureStorageKeyDetector", "an Azure storage key", (b"AccountKey=",)),
    ("cloudant.CloudantDetector", "a Cloudant key", (b"cloudant", b"CLOUDANT", b"Cloudant")),
    ("discord.DiscordBotTokenDetector", "a Discord token", (b"discord", b"DISCORD", b"Discord")),
    ("github_token.GitHubTokenDetector", "a GitHub token", (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")),  # noqa: E501
    ("gitlab_token.GitLabTokenDetector", "a GitLab token", (b"glpat-", b"gldt-", b"glft-", b"glsoat-", b"glrt-", b"GR1348941", b"glcbt-", b"glimt-", b"glptt-", b"glagent-", b"gloas-")),  # noqa: E501
    ("jwt.JwtTokenDetector", "a JSON web token", (b"eyJ",)),
    ("mailchimp.MailchimpDetector", "a Mailchimp key", (b"-us",)),
    ("npm.NpmDetector", "an npm token", (b":_authToken",)),
    ("openai.OpenAIDetector", "an OpenAI key", (b"T3BlbkFJ",)),
    ("pypi_token.PypiTokenDetector", "a PyPI token", (b"pypi-Ag",)),
    ("sendgrid.SendGridDetector", "a SendGrid key", (b"SG.",)),
    ("slack.SlackDetector", "a Slack token", (b"xox", b"hooks.slack.com")),
    ("softlayer.SoftlayerDetector", "a SoftLayer key", (b"softlayer", b"SOFTLAYER", b"SoftLayer")),
    ("square_oauth.SquareOAuthDetector", "a Square secret", (b"sq0csp-",)),
    ("stripe.StripeDetector", "a Stripe key", (b"sk_live_", b"rk_live_")),
    ("telegram_token.TelegramBotTokenDetector", "a Telegram token", (b":AA",)),
    ("twilio.TwilioKeyDetector", "a Twilio key", (b"SK",)),
)  # fmt: skip

_OWN = (
    ("a GitHub token", r"github_pat_[A-Za-z0-9_]{60,}", (b"github_pat_",)),
    ("a Google API key", r"AIza[A-Za-z0-9_-]{35}", (b"AIza",)),
    ("a Google access token", r"ya29\.[A-Za-z0-9_-]{40,}", (b"ya29.",)),
    ("a Hugging Face token", r"hf_[A-Za-z0-9]{34}", (b"hf_",)),
    ("an npm token", r"npm_[A-Za-z0-9]{36}", (b"npm_",)),
    ("a DigitalOcean token", r"do[opr]_v1_[0-9a-f]{64}", (b"_v1_",)),
    ("a Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}", (b"hvs.", b"hvb.", b"hvr.")),
    ("a Terraform token", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}", (b".atlasv1.",)),
    ("a Slack app token", r"xapp-\d-[A-Z0-9]+-\d+-[a-z0-9]+", (b"xapp-",)),
    ("an OpenAI key", r"sk-proj-[A-Za-z0-9_-]{40,}", (b"sk-proj-",)),
    ("an Anthropic key", r"sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{40,}", (b"sk-ant-",)),
    ("a Grafana token", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}", (b"glsa_",)),
    ("a Shopify token", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", (b"shp",)),
    ("a Databricks token", r"dapi[0-9a-f]{32}", (b"dapi",)),
    ("an AWS secret key", r"(?i:secret_?access_?key)[\"']?\s*[=:]\s*[\"']?([A-Za-z0-9/+]{40})", (b"ecret_access_key", b"SECRET_ACCESS_KEY", b"ecretAccessKey")),  # noqa: E501
    ("an age key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", (b"AGE-SECRET-KEY-1",)),
)  # fmt: skip

_HASHES = (
    r"\$6\$(?:rounds=\d+\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}",
    r"\$5\$(?:rounds=\d+\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}",
    r"\$(?:1|apr1)\$[./0-9A-Za-z]{1,8}\$[./0-9A-Za-z]{22}",
    r"\$g?y\$[./0-9A-Za-z]+\$[./0-9A-Za-z]{1,86}\$[./0-9A-Za-z]{43}",
    r"\$2[abxy]\$\d\d\$[./0-9A-Za-z]{53}",
    r"\$argon2(?:id|i|d)\$v=\d+\$m=[^$]+\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}",
    r"grub\.pbkdf2\.sha512\.\d+\.[0-9A-F]{16,}\.[0-9A-F]{64,}",
)
_HASH_ANCHORS = (
    *(f"${name}$".encode() for name in ("1", "5", "6", "y", "gy", "apr1", "2a", "2b", "2x", "2y")),
    *(b"$argon2", b"grub.pbkdf2."),
)

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://([^\s:/?#\[\]@'\"<>]*):([^\s/?#@'\"<>]+)@[A-Za-z0-9\[]")
_NO_PASSWORD = re.compile(
    r"(?i)(?:pass|passwd|password|passwort|pw|pwd|secret|token|user|username|xxx+|\.+|\*+|key"
    r"|my_?pass(?:word)?|your.*|proxypassword)|[$%{<(\[].*|\d{1,5}"
)


_TEXT = re.compile(rb"[ -~]{12}")
"""Whatever is looked for has at least so many letters in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    kind: SecretKind
    what: str
    anchors: tuple[bytes, ...]
    find: Callable[[str], Iterable[str]]


def tokens(data: bytes) -> Iterator[Found]:
    """Yield what looks like a token, a password hash or a password in a URL, line by line."""
    if not _TEXT.search(data):
        return  # most of what looks like base64 is none
    for rule in _rules():
        for at, text in _lines(data, rule.anchors):
            for secret in rule.find(text):
                line = data.count(b"\n", 0, at) + 1
                yield rule.kind, line, f"{rule.what} ({masked(secret)})"


def masked(secret: str) -> str:
    """Show at most four characters, and none of a short one."""
    shown = secret[:4] if len(secret) >= 16 else ""
    return "".join(c if c.isprintable() else "?" for c in shown) + "…"


@cache
def _rules() -> tuple[_Rule, ...]:
    from importlib import import_module

    found = []
    for name, what, anchors in _DETECTORS:
        module, _, plugin = name.partition(".")
        detector = getattr(import_module(f"detect_secrets.plugins.{module}"), plugin)()
        found.append(_rule(what, anchors, partial(_detected, detector)))
    found += [_rule(what, anchors, _matches(regex)) for what, regex, anchors in _OWN]
    hashes = _Rule(
        kind=SecretKind.PASSWORD_HASH,
        what="a password hash",
        anchors=_HASH_ANCHORS,
        find=_genuine(_matches("|".join(_HASHES))),
    )
    url = _Rule(kind=SecretKind.URL_PASSWORD, what="a URL", anchors=(b"://",), find=_in_urls)
    return (*found, hashes, url)


def _rule(what: str, anchors: tuple[bytes, ...], find: Callable[[str], Iterable[str]]) -> _Rule:
    return _Rule(kind=SecretKind.TOKEN, what=what, anchors=anchors, find=_genuine(find))


def _detected(detector: RegexBasedDetector, text: str) -> Iterator[str]:
    """Yield all that a detector matches: of some it tells a part alone, and of others it has
    checked more than the looks."""
    if any(detector.analyze_string(text)):
        for pattern in detector.denylist:
            yield from (found[0] for found in pattern.finditer(text))


def _matches(regex: str) -> Callable[[str], Iterable[str]]:
    pattern = re.compile(regex)
    return lambda text: [found[found.lastindex or 0] for found in pattern.finditer(text)]


def _genuine(find: Callable[[str], Iterable[str]]) -> Callable[[str], Iterable[str]]:
    """Drop examples, and what is only a piece of a longer word."""

    def checked(text: str) -> Iterator[str]:
        for secret in set(find(text)):
            before = r"(?<![A-Za-z0-9])" if secret[:1].isalnum() else ""
            after = r"(?![A-Za-z0-9])" if secret[-1:].isalnum() else ""
            short = len(set(secret)) < 8 or len(secret) < 20
            if short or "EXAMPLE" in secret.upper():
                continue
            if re.search(before + re.escape(secret) + after, text):
                yield secret

    return checked


def _in_urls(text: str) -> Iterator[str]:
    for found in _URL.finditer(text):
        user, password = found[1], found[2]
        if not _NO_PASSWORD.fullmatch(password) and user.lower() != password.lower():
            yield password


def _lines(data: bytes, anchors: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yield each line that holds an anchor, with where it begins; a long one in pieces."""
    seen = set[int]()
    for anchor in anchors:
        at = data.find(anchor)
        while at >= 0 and len(seen) < _MOST_LINES:
            begin = max(data.rfind(b"\n", 0, at) + 1, at - _SIDE)
            end = data.find(b"\n", at, at + _SIDE)
            end = min(at + _SIDE, len(data)) if end < 0 else end
            if begin not in seen:
                seen.add(begin)
                yield begin, data[begin:end].decode("latin-1").rstrip("\r")
            at = data.find(anchor, max(end, at + 1))
