"""A real HAProxy in front of real servers: nobody is turned away, and a kill is survived."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.backends import Backend, Backends, a_free_port
from tests.project import until
from tests.sampler import Sampler
from tests.traffic import Traffic, nobody_was_turned_away

from ovenbird.balancer.contract import an_instance_at
from ovenbird.balancer.haproxy import HAProxyBalancer, is_running, start, stop
from ovenbird.balancer.haproxy_process import Place
from ovenbird.balancer.haproxy_socket import Socket
from ovenbird.values.errors import BalancerUnreachable, Blocked
from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck
from ovenbird.values.instance import EntryState

QUICK = HealthCheck(interval=0.1, timeout=1.0, passes=1)


class Door:
    """One site with its own HAProxy, one fleet behind it, and real servers to put there."""

    def __init__(self, folder: Path, backends: Backends) -> None:
        self.folder, self.backends = folder, backends
        self.port = a_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.place = Place.of_site(folder)
        self.balancer = self.of("web", self.port)

    def of(self, fleet: str, port: int, *, site: str = "here") -> HAProxyBalancer:
        spec = BalancerSpec(kind="haproxy", bind=f"127.0.0.1:{port}")
        return HAProxyBalancer(FleetKey(site=site, env="dev", name=fleet), spec, self.folder, QUICK)

    def register(self, *tokens: str) -> None:
        for token in tokens:
            self.balancer.register(an_instance_at(token, self.backends.address(token)))
        until(lambda: set(tokens) <= self.in_service())

    def in_service(self) -> set[str]:
        return {e.token for e in self.balancer.entries() if e.state is EntryState.IN_SERVICE}

    def replace(self, old: str, new: str) -> Backend:
        """One replacement in the order of a rollout; returns the old one, which has ended."""
        self.register(new)
        ended = self.backends.running[old]
        until(lambda: ended.in_flight > 0)
        assert self.balancer.drain(old, timeout=10) == 0
        assert ended.in_flight == 0
        self.balancer.deregister(old)
        self.backends.stop(old)
        return ended

    def kill(self) -> None:
        os.kill(int(self.place.pid.read_text()), signal.SIGKILL)
        until(lambda: not Socket(self.place.socket).answers())


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with Backends(slow=1.0) as backends:
        door = Door(tmp_path, backends)
        door.balancer.open()
        yield door
        stop(tmp_path)
    assert not is_running(tmp_path)


def test_replacing_every_server_under_load_turns_nobody_away(door: Door) -> None:
    door.register("web-0", "web-1", "web-2")
    with (
        Traffic(door.url, rate=50) as traffic,
        Sampler(door.place.socket, "ovenbird-dev-web") as sampler,
    ):
        time.sleep(1)
        for number in range(4):
            door.replace(f"web-{number}", f"web-{number + 3}")
    nobody_was_turned_away(traffic.results(), at_least=150)
    assert sampler.lowest() >= 3
    assert sampler.blind() == 0
    assert door.in_service() == {"web-4", "web-5", "web-6"}


def test_another_fleet_that_opens_and_closes_meanwhile_is_not_noticed(door: Door) -> None:
    """Each reload leaves a worker with old connections behind, and the drain waits for it."""
    door.register("web-0", "web-1")
    other = door.of("shop", a_free_port())
    with Traffic(door.url, rate=50, slow_share=0.2) as traffic:
        time.sleep(1)
        for number in range(3):
            other.open()
            door.replace(f"web-{number}", f"web-{number + 2}")
            other.close()
    nobody_was_turned_away(traffic.results(), at_least=100)
    assert door.in_service() == {"web-3", "web-4"}


def test_a_drain_waits_for_a_request_that_an_old_worker_still_serves(door: Door) -> None:
    door.register("web-0")
    with socket.create_connection(("127.0.0.1", door.port)) as client:
        client.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        until(lambda: door.backends.running["web-0"].in_flight == 1)
        door.of("shop", a_free_port()).open()
        assert door.balancer.drain("web-0", timeout=0.1) == 1
        assert door.balancer.drain("web-0", timeout=5) == 0
        assert b"200 OK" in client.recv(1000)


def test_a_drain_that_runs_out_of_time_says_how_many_are_left(door: Door) -> None:
    door.register("web-0")
    with socket.create_connection(("127.0.0.1", door.port)) as client:
        client.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        until(lambda: door.backends.running["web-0"].in_flight == 1)
        assert door.balancer.drain("web-0", timeout=0.2) == 1
        door.balancer.deregister("web-0")
    assert not door.balancer.entries()


def test_a_killed_haproxy_comes_back_with_the_complete_list(door: Door) -> None:
    door.register("web-0", "web-1", "web-2")
    door.balancer.drain("web-0", timeout=0.5)
    door.kill()
    assert not is_running(door.folder)
    door.balancer.open()
    until(lambda: door.in_service() == {"web-1", "web-2"})
    left = {e.token for e in door.balancer.entries() if e.state is EntryState.DRAINING}
    assert left == {"web-0"}
    door.balancer.deregister("web-0")
    door.balancer.register(an_instance_at("web-3", door.backends.address("web-3")))
    until(lambda: door.in_service() == {"web-1", "web-2", "web-3"})


def test_starting_again_is_enough_for_who_only_tends(door: Door) -> None:
    door.register("web-0")
    door.kill()
    start(door.folder)
    until(lambda: door.in_service() == {"web-0"})


def test_an_unreachable_haproxy_is_blocked_and_forgets_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.register("web-0")
    monkeypatch.setattr(Socket, "patience", 0.3)
    before = (door.place.fleets / "ovenbird-dev-web.cfg").read_text()
    door.kill()
    asked: list[Callable[[], object]] = [
        door.balancer.entries,
        lambda: door.balancer.register(an_instance_at("web-1", "127.0.0.1:9")),
        lambda: door.balancer.deregister("web-0"),
    ]
    for verb in asked:
        with pytest.raises(BalancerUnreachable) as caught:
            verb()
        assert caught.value.exit_code == 3
    assert (door.place.fleets / "ovenbird-dev-web.cfg").read_text() == before


def test_a_restart_shorter_than_our_patience_is_only_a_pause(door: Door) -> None:
    door.register("web-0")
    door.kill()
    argv = ["haproxy", "-W", "-D", "-p", str(door.place.pid), "-f", str(door.place.main)]
    with subprocess.Popen(["sh", "-c", 'sleep 1; exec "$@"', "-", *argv, "-f", door.place.fleets]):
        assert [entry.token for entry in door.balancer.entries()] == ["web-0"]


def test_what_was_written_and_not_yet_added_is_finished_by_the_same_call(door: Door) -> None:
    """As if the driver had died between the file and the runtime, and the other way round."""
    door.register("web-0", "web-1")
    ask = Socket(door.place.socket).ask
    for command in ("set server %s state maint", "del server %s"):
        ask(command % "ovenbird-dev-web/web-0")
    unseen = {e.token: e.state for e in door.balancer.entries()}
    assert unseen["web-0"] is EntryState.UNCHECKED
    door.register("web-0")
    ask("set server ovenbird-dev-web/web-1 state maint")
    ask("del server ovenbird-dev-web/web-1")
    door.balancer.deregister("web-1")
    assert {e.token for e in door.balancer.entries()} == {"web-0"}


def test_an_ill_server_is_down_and_gets_nothing(door: Door) -> None:
    door.register("web-0", "web-1")
    door.backends.running["web-0"].healthz = 500
    until(lambda: door.in_service() == {"web-1"})
    entry = next(e for e in door.balancer.entries() if e.token == "web-0")
    assert entry.state is EntryState.DOWN


def test_an_instance_that_moved_to_another_address_is_followed(door: Door) -> None:
    door.register("web-0")
    door.backends.stop("web-0")
    door.register("web-0")
    assert [e.address for e in door.balancer.entries()] == [door.backends.address("web-0")]


def test_a_file_of_another_site_is_refused_and_kept(door: Door) -> None:
    stranger = door.of("web", a_free_port(), site="elsewhere")
    before = (door.place.fleets / "ovenbird-dev-web.cfg").read_text()
    for verb in (stranger.open, stranger.close, stranger.entries):
        with pytest.raises(Blocked, match="another site"):
            verb()
    assert (door.place.fleets / "ovenbird-dev-web.cfg").read_text() == before


def test_a_taken_address_is_blocked_and_says_who_has_it(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Blocked, match=rf"127.0.0.1:{port} is taken by .*{os.getpid()}"):
            door.of("shop", port).open()
    assert not (door.place.fleets / "ovenbird-dev-shop.cfg").exists()
    with pytest.raises(Blocked, match="is taken by haproxy"):
        door.of("shop", door.port).open()


def test_a_changed_address_moves_the_entrance_and_keeps_the_servers(door: Door) -> None:
    door.register("web-0")
    moved = door.of("web", a_free_port())
    moved.open()
    until(lambda: door.in_service() == {"web-0"})
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", door.port)).close()


def test_a_haproxy_that_refuses_the_list_is_left_as_it_is(door: Door) -> None:
    door.register("web-0")
    (door.place.fleets / "by-hand.cfg").write_text("backend broken\n    nonsense\n")
    with pytest.raises(Blocked, match="refuses") as caught:
        door.balancer.register(an_instance_at("web-1", "127.0.0.1:9"))
    assert "nonsense" in caught.value.evidence
    assert door.in_service() == {"web-0"}


def test_the_last_fleet_that_closes_ends_the_sites_own_haproxy(door: Door) -> None:
    other = door.of("shop", a_free_port())
    other.open()
    door.balancer.close()
    assert is_running(door.folder)
    other.close()
    assert not is_running(door.folder)


@pytest.fixture
def administrators(tmp_path: Path) -> Iterator[BalancerSpec]:
    """An HAProxy that somebody else started, as the packages' unit does."""
    spec = BalancerSpec(
        kind="haproxy",
        bind=f"127.0.0.1:{a_free_port()}",
        socket=str(tmp_path / "admin.sock"),
        folder=str(tmp_path / "fleets"),
        main=str(tmp_path / "haproxy.cfg"),
    )
    Path(spec.folder).mkdir()
    Path(spec.main).write_text(
        f"global\n    stats socket {spec.socket} level admin expose-fd listeners\n"
        "defaults\n    timeout connect 2s\n    timeout client 9s\n    timeout server 9s\n"
    )
    argv = ["haproxy", "-W", "-f", spec.main, "-f", spec.folder]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as theirs:
        until(Socket(Path(spec.socket)).answers)
        yield spec
        theirs.terminate()


def test_an_administrators_haproxy_is_used_and_its_main_file_never_written(
    administrators: BalancerSpec, tmp_path: Path
) -> None:
    before = Path(administrators.main).read_text()
    fleet = FleetKey(site="here", env="dev", name="web")
    balancer = HAProxyBalancer(fleet, administrators, tmp_path, QUICK)
    with Backends() as backends:
        balancer.open()
        balancer.register(an_instance_at("web-0", backends.address("web-0")))
        until(lambda: {e.state for e in balancer.entries()} == {EntryState.IN_SERVICE})
        assert balancer.drain("web-0", timeout=1) == 0
        balancer.deregister("web-0")
        balancer.close()
    assert Path(administrators.main).read_text() == before
    assert not is_running(tmp_path)
    assert not list(Path(administrators.folder).glob("*.cfg"))


def test_an_administrators_haproxy_without_our_folder_is_told_apart(
    administrators: BalancerSpec, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "unread"
    spec = BalancerSpec(
        kind="haproxy",
        bind=administrators.bind,
        socket=administrators.socket,
        folder=str(elsewhere),
        main=administrators.main,
    )
    balancer = HAProxyBalancer(FleetKey(site="here", env="dev", name="web"), spec, tmp_path, QUICK)
    with pytest.raises(Blocked, match="does not read") as caught:
        balancer.open()
    assert f"-f {elsewhere}" in caught.value.remedy
