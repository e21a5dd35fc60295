"""Look for what must not be in an image: every file, each in all its forms.

It finds and tells; what is allowed for a while is sorted out by `judge`, and what a finding costs
is the caller's affair. A secret itself is never kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ovenbird.hygiene.content import Content
from ovenbird.hygiene.encoded import forms
from ovenbird.hygiene.keys import keys
from ovenbird.hygiene.passwords import passwords
from ovenbird.hygiene.places import left_in
from ovenbird.hygiene.tokens import Found, tokens
from ovenbird.values.exception import SecretException
from ovenbird.values.secret import OF_ONE_MACHINE, Finding, SecretKind

_SAYS_ALL = frozenset({SecretKind.HOST_KEY, SecretKind.KEYRING, SecretKind.LAUNCH_SECRET})
"""Where a place says what it is, what the content looks like is no second finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What was looked at: ``files`` with those of packages, ``cut`` the paths of which only the
    beginning and the end were, and what was found, ordered by path."""

    files: int
    findings: tuple[Finding, ...]
    cut: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``unused`` are exceptions that nothing needed."""

    bad: tuple[Finding, ...]
    allowed: tuple[tuple[Finding, SecretException], ...]
    unused: tuple[SecretException, ...]


def scan(contents: Iterable[Content]) -> Scan:
    """Look into each, and tell what must not be there. A thing in several layers is one."""
    files, cut = 0, list[str]()
    findings: dict[tuple[str, int, SecretKind], Finding] = {}
    for content in contents:
        files += 1
        if not content.whole and not content.brought:
            cut.append(content.path)
        for kind, line, hint in _found(content):
            if kind in OF_ONE_MACHINE and not content.live:
                continue
            if not content.live:
                hint += "; a later layer only hides it"
            key = (content.path, line, kind)
            if key not in findings or (content.live and findings[key].where != content.where):
                findings[key] = Finding(
                    path=content.path, line=line, kind=kind, where=content.where, hint=hint
                )
    return Scan(files=files, findings=tuple(sorted(findings.values())), cut=tuple(sorted(set(cut))))


def judge(findings: Sequence[Finding], exceptions: Sequence[SecretException]) -> Verdict:
    """Sort findings by the exceptions that allow them; the first that does counts."""
    bad, allowed, used = list[Finding](), list[tuple[Finding, SecretException]](), set[int]()
    for finding in findings:
        number = next((n for n, e in enumerate(exceptions) if e.allows(finding)), None)
        if number is None:
            bad.append(finding)
        else:
            used.add(number)
            allowed.append((finding, exceptions[number]))
    unused = tuple(e for n, e in enumerate(exceptions) if n not in used)
    return Verdict(bad=tuple(bad), allowed=tuple(allowed), unused=unused)


def _found(content: Content) -> Iterator[Found]:
    known = list(left_in(content))
    yield from known
    kinds = {kind for kind, _, _ in known}
    if content.brought or kinds & _SAYS_ALL:
        return
    for form in forms(content.data):
        for kind, line, hint in _looks(content.path, form.data):
            if kind is SecretKind.PASSWORD_HASH and kind in kinds:
                continue  # a line of /etc/shadow, told with its account
            packed = f", {form.how}" if form.how else ""
            yield kind, form.line or line, f"{hint}{packed}"


def _looks(path: str, data: bytes) -> Iterator[Found]:
    yield from tokens(data)
    yield from keys(data)
    yield from passwords(path, data)
