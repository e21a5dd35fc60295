"""Every balancer passes the public contract: HAProxy with a real one, in a folder of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.backends import Backends, a_free_port

from ovenbird.balancer import Balancer
from ovenbird.balancer.command import CommandBalancer
from ovenbird.balancer.contract import (
    A_FLEET,
    AnInstance,
    BalancerContract,
    Connect,
    an_instance_at,
)
from ovenbird.balancer.file import FileBalancer
from ovenbird.balancer.haproxy import HAProxyBalancer, is_running, stop
from ovenbird.balancer.none import NoBalancer
from ovenbird.balancer.registry import balancer_for, balancers_for
from ovenbird.values.errors import BalancerUnreachable, CommandFailed, ConfigurationError
from ovenbird.values.fleet import BalancerSpec, HealthCheck

QUICK = HealthCheck(interval=0.1, timeout=1.0, passes=1)

A_SCRIPT = """\
import json, pathlib, sys
store = pathlib.Path(__file__).with_name("servers.json")
servers = json.loads(store.read_text()) if store.exists() else {}
asked = json.load(sys.stdin)
match sys.argv[1]:
    case "register":
        servers[asked["instance"]["token"]] = [asked["instance"]["address"], "in service"]
    case "drain":
        if asked["token"] in servers:
            servers[asked["token"]][1] = "draining"
        print(0)
    case "deregister":
        servers.pop(asked["token"], None)
    case "entries":
        print(json.dumps([{"token": t, "address": a, "state": s} for t, (a, s) in servers.items()]))
    case "close":
        servers = {}
store.write_text(json.dumps(servers))
"""


class TestNone(BalancerContract):
    lists = False

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return lambda: NoBalancer(A_FLEET, BalancerSpec(), tmp_path, QUICK)


class TestFile(BalancerContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        spec = BalancerSpec(kind="file", path="web.json")
        return lambda: FileBalancer(A_FLEET, spec, tmp_path, QUICK)

    def test_the_document_reads_as_documented(
        self, balancer: Balancer, tmp_path: Path, an_instance: AnInstance
    ) -> None:
        balancer.register(an_instance("web-a"))
        assert json.loads((tmp_path / "web.json").read_text()) == {
            "site": "contract",
            "fleet": "dev/web",
            "servers": [{"token": "web-a", "address": "127.0.0.1:9", "state": "ready"}],
        }


class TestCommand(BalancerContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        script = tmp_path / "balancer.py"
        script.write_text(A_SCRIPT)
        spec = BalancerSpec(kind="command", argv=(sys.executable, "-I", str(script)))
        return lambda: CommandBalancer(A_FLEET, spec, tmp_path, QUICK)


class TestHAProxy(BalancerContract):
    mode = "http"
    health = QUICK

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Iterator[Connect]:
        spec = BalancerSpec(kind="haproxy", bind=f"127.0.0.1:{a_free_port()}", mode=self.mode)
        yield lambda: HAProxyBalancer(A_FLEET, spec, tmp_path, self.health)
        stop(tmp_path)
        assert not is_running(tmp_path)

    @pytest.fixture
    def backends(self) -> Iterator[Backends]:
        with Backends() as started:
            yield started

    @pytest.fixture
    def an_instance(self, backends: Backends) -> AnInstance:
        return lambda token: an_instance_at(token, backends.address(token))


class TestHAProxyForTcp(TestHAProxy):
    mode = "tcp"
    health = HealthCheck(kind="tcp", interval=0.1, timeout=1.0, passes=1)


def a_command(tmp_path: Path, code: int) -> CommandBalancer:
    argv = ("sh", "-c", f"echo sorry >&2; exit {code}")
    return CommandBalancer(A_FLEET, BalancerSpec(kind="command", argv=argv), tmp_path, QUICK)


def test_a_command_that_exits_3_says_that_its_balancer_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(BalancerUnreachable) as caught:
        a_command(tmp_path, 3).entries()
    assert (caught.value.exit_code, caught.value.evidence) == (3, "sorry")


def test_a_command_that_exits_otherwise_is_fatal(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed):
        a_command(tmp_path, 1).deregister("web-a")


def test_the_registry_makes_each_kind_that_is_installed(tmp_path: Path) -> None:
    made = balancer_for(A_FLEET, BalancerSpec(), folder=tmp_path, health=QUICK)
    assert made.name == "none"
    spec = BalancerSpec(kind="file", path="x")
    both = balancers_for(A_FLEET, [spec, BalancerSpec()], folder=tmp_path, health=QUICK)
    assert [balancer.name for balancer in both] == ["file"]


def test_an_unknown_kind_is_told_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        balancer_for(A_FLEET, BalancerSpec(kind="nginx"), folder=tmp_path, health=QUICK)
    assert "haproxy" in caught.value.remedy
