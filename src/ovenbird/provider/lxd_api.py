"""The one door to LXD: a call to whichever endpoint answers, waited for, its refusals in our words.

Every call may be made twice without harm: that is what makes it right to ask another endpoint
when one breaks off. Whoever calls takes "exists already" and "not found" for an answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pylxd
import requests
from pylxd import exceptions

from ovenbird.provider import lxd_way
from ovenbird.provider.lxd_errors import NOT_FOUND, Refused, translated
from ovenbird.values.engine import LxdSettings
from ovenbird.values.errors import EngineUnreachable

LONGEST_CALL = 300.0
"""Seconds that one operation may take before we stop waiting for it."""

PATIENCE = 15.0
"""Seconds in which a cluster that has lost its leader must have chosen another."""

_WAIT = 20  # seconds, one look at an operation
_READ = 60.0


class Lxd:
    """Calls of one LXD. Shared by threads; nothing is asked before the first call."""

    def __init__(self, settings: LxdSettings, *, longest_call: float = LONGEST_CALL) -> None:
        self.settings, self._longest = settings, longest_call
        self._clients: dict[str, pylxd.Client] = {}
        self._lock, self._first = threading.Lock(), 0

    @property
    def endpoint(self) -> str:
        """The endpoint that answered last."""
        return self.settings.endpoints[self._first]

    def get(self, *path: str, doing: str, **params: str | int) -> Any:
        """Return the ``metadata`` of a path under ``/1.0``. Raises `Refused`."""

        def ask(api: Any) -> Any:
            return _at(api, path).get(params=dict(params)).json()["metadata"]

        return self._called(ask, doing=doing)

    def read(self, *path: str, doing: str, **params: str | int) -> bytes | None:
        """Return the bytes of a file or a log, or None where there is none."""

        def ask(api: Any) -> bytes:
            content: bytes = _at(api, path).get(params=dict(params), is_api=False).content
            return content

        try:
            found: bytes | None = self._called(ask, doing=doing)
        except Refused as refused:
            if refused.code == NOT_FOUND:
                return None
            raise
        return found

    def write(
        self, *path: str, doing: str, to: str, content: bytes, kind: str = "file", mode: int
    ) -> None:
        """Put a file of root's, or a folder, where an instance finds it at its first start."""
        headers = {
            "X-LXD-type": kind,
            "X-LXD-mode": f"{mode:04o}",
            "X-LXD-uid": "0",
            "X-LXD-gid": "0",
            "X-LXD-write": "overwrite",
        }

        def ask(api: Any) -> None:
            _at(api, path).post(params={"path": to}, headers=headers, data=content)

        self._called(ask, doing=doing)

    def post(
        self, *path: str, doing: str, body: Mapping[str, object], target: str | None = None
    ) -> None:
        """Make something, on the member ``target`` where one is named, and wait until it is."""

        def ask(api: Any) -> Any:
            return _at(api, path).post(json=dict(body), params=_target(target)).json()

        self._change(ask, doing=doing)

    def put(self, *path: str, doing: str, body: Mapping[str, object], longer: float = 0.0) -> None:
        """Change something, and wait ``longer`` than ever for what takes its own time."""

        def ask(api: Any) -> Any:
            return _at(api, path).put(json=dict(body), params={}).json()

        self._change(ask, doing=doing, longer=longer)

    def patch(self, *path: str, doing: str, body: Mapping[str, object]) -> None:
        """Change what ``body`` names, and leave the rest as it is."""

        def ask(api: Any) -> Any:
            return _at(api, path).patch(json=dict(body), params={}).json()

        self._change(ask, doing=doing)

    def delete(self, *path: str, doing: str, target: str | None = None) -> None:
        def ask(api: Any) -> Any:
            return _at(api, path).delete(params=_target(target)).json()

        self._change(ask, doing=doing)

    def _change(self, ask: Callable[[Any], Any], *, doing: str, longer: float = 0.0) -> None:
        answer = self._called(ask, doing=doing)
        if answer.get("type") != "async":
            return
        id_ = answer["operation"].partition("?")[0].rpartition("/")[2]
        ends = time.monotonic() + self._longest + longer
        while time.monotonic() < ends:
            told = self.get("operations", id_, "wait", doing=doing, timeout=_WAIT)
            code = told["status_code"]
            if code >= 400:
                raise Refused(doing=doing, said=told["err"] or told["status"], code=code)
            if code >= 200:
                return
        raise EngineUnreachable(
            f"{doing} takes longer than {self._longest + longer:g} s at LXD.",
            remedy="See what it is doing: lxc operation list. Then run this again.",
        )

    def _called(self, ask: Callable[[Any], Any], *, doing: str) -> Any:
        """Ask each endpoint in turn, and again for as long as a cluster has no leader."""
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                return self._asked_in_turn(ask, doing=doing)
            except Refused as refused:
                if not refused.passes:
                    raise
                if time.monotonic() > ends:
                    raise EngineUnreachable(
                        f"{doing}: LXD has had no leader for {PATIENCE:g} s.",
                        remedy="See whether most of its members are up: lxc cluster list",
                        evidence=refused.said,
                    ) from refused
            time.sleep(0.5)

    def _asked_in_turn(self, ask: Callable[[Any], Any], *, doing: str) -> Any:
        silent = []
        count = len(self.settings.endpoints)
        for turn in range(self._first, self._first + count):
            endpoint = self.settings.endpoints[turn % count]
            try:
                answer = ask(self._client(endpoint).api)
            except exceptions.LXDAPIException as failure:
                raise _refused(failure, doing=doing) from failure
            except (exceptions.ClientConnectionFailed, requests.RequestException) as failure:
                if "Fingerprints did not match" in str(failure):
                    raise lxd_way.another_server(endpoint, said=str(failure)) from failure
                silent.append(lxd_way.nobody(endpoint, failure))
                continue
            self._first = turn % count
            return answer
        raise EngineUnreachable(
            f"{doing}: LXD does not answer at {', '.join(self.settings.endpoints)}.",
            remedy="See that it runs there: lxc info. inventories/engines.yml says where it is.",
            evidence="\n".join(silent),
        )

    def _client(self, endpoint: str) -> Any:
        with self._lock:
            known = self._clients.get(endpoint)
        if known is None:
            known = pylxd.Client(
                endpoint=lxd_way.url_of(endpoint),
                session=lxd_way.session_for(endpoint, self.settings),
                project=self.settings.project,
                timeout=(lxd_way.CONNECT_TIMEOUT, _READ),
            )
            with self._lock:
                self._clients[endpoint] = known
        return known


def _at(api: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        api = api[name]
    return api


def _target(member: str | None) -> dict[str, str]:
    return {} if member is None else {"target": member}


def _refused(failure: exceptions.LXDAPIException, *, doing: str) -> Exception:
    refused = Refused(doing=doing, said=str(failure), code=failure.response.status_code)
    if refused.code == requests.codes.forbidden:
        return translated(refused, what="it")
    return refused
