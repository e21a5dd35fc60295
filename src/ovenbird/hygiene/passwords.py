"""Passwords and tokens without a look of their own: NAME=VALUE where the name says it.

Only where people and roles write settings, and never in programs: there a name that says
"password" is a variable. What is obviously no secret (a path, a placeholder, a number) is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ovenbird.hygiene.tokens import Found
from ovenbird.values.secret import SecretKind

_PLACES = re.compile(
    r"(?:/(?:etc|root|home|srv|opt|usr/local/etc|var/www)/.*|.*\.env|.*/\.env(?:\.[^/]*)?"
    r"|image:configuration)"
)
_PROGRAMS = re.compile(
    r".*\.(?:py|pyi|js|mjs|ts|rb|go|c|h|cc|cpp|java|pl|pm|lua|php|html?|css|md|rst|po|map|svg|pem"
    r"|crt|cer)"
)
_LARGEST = 1 << 20
_SETTING = re.compile(
    r"""(?im)(?:^|[\s;,{])["']?
    ([a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key
       |secret[_-]?key|auth[_-]?key|account[_-]?key|psk))["']?
    [ \t]*[=:][ \t]*
    (?:"([^"\n]{6,200})"|'([^'\n]{6,200})'|([^\s"'#;,]{6,200}))""",
    re.VERBOSE,
)
_NO_NAME = re.compile(r"(?i)passwd|shadow|.*(?:no|max|min|use|require|ask)_?-?(?:password|token)s?")
_NO_VALUE = re.compile(
    r"(?i)[/$%{<(\[@*!~].*|[a-z]+://.*|true|false|none|null|required|optional|sufficient|enabled"
    r"|disabled|prompt|(?:ask|interactive|auto|default|compat|systemd|passwords?|secrets?|tokens?)"
    r"|.*(?:\$\{|\{\{|\$\(|<[a-z_-]+>).*|\d{1,8}|x+|\*+|\.+|your.*|file:.*|command:.*|env:.*"
)


def passwords(path: str, data: bytes) -> Iterator[Found]:
    """Yield each setting of a file that gives a secret its value in clear."""
    settings = _PLACES.fullmatch(path) and not _PROGRAMS.fullmatch(path)
    if not settings or len(data) > _LARGEST or b"\0" in data[:8000]:
        return
    text = data.decode("latin-1")
    for found in _SETTING.finditer(text):
        name = found[1]
        value = next(filter(None, found.groups()[1:]))
        begin = text.rfind("\n", 0, found.start(1)) + 1
        comment = text[begin : found.start(1)].lstrip().startswith(("#", ";", "//"))
        if not comment and not _NO_NAME.fullmatch(name) and not _NO_VALUE.fullmatch(value):
            line = text.count("\n", 0, found.start(1)) + 1
            yield SecretKind.PASSWORD, line, f"a value of {name}"
