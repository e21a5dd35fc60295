"""What only a real podman can show, beyond the contract that every provider keeps."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from tests.contract.conftest import podman_folder, small_artifact  # noqa: F401
from tests.project import until

from ovenbird import process
from ovenbird.provider import podman_engine
from ovenbird.provider.podman import PodmanProvider
from ovenbird.values.errors import Blocked, EngineUnreachable, OvenbirdError
from ovenbird.values.fleet import FleetKey, LaunchData, Order, Resources
from ovenbird.values.image import Artifact, Contract, StopPolicy
from ovenbird.values.instance import EngineState

SECRET = "hush-in-an-integration-test"


class Bench:
    """One site on the real engine, and podman itself to look behind it."""

    def __init__(self, folder: Path, artifact: Artifact) -> None:
        self.site, self.artifact = f"integration-{uuid4().hex[:8]}", artifact
        self.folder = folder
        self.provider = PodmanProvider(folder=folder, site=self.site)
        self.key = FleetKey(site=self.site, env="dev", name=f"web-{self.site[-6:]}")

    def order(self, *, secret: str = SECRET) -> Order:
        return Order(
            token=f"dev-web-{uuid4().hex[:8]}",
            fleet=self.key,
            version="web/2",
            artifact=self.artifact,
            contract=Contract(port=80, stop=StopPolicy(timeout=5)),
            launch=LaunchData(config="{}", secrets=(("token", secret.encode()),), hash="h"),
            slot=0,
        )

    def podman(self, *argv: str, check: bool = True) -> str:
        env = podman_engine.environment(self.folder)
        return process.run(("podman", *argv), doing="Looking", env=env, check=check).stdout

    def console(self, token: str, *, until: str) -> str:
        deadline = time.monotonic() + 10
        while until not in (text := self.provider.console(token, lines=50)):
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        return text

    def close(self) -> None:
        for seen in self.provider.instances(self.key):
            self.provider.terminate(seen.token, stop=StopPolicy(timeout=0))


@pytest.fixture
def bench(podman_folder: Path, small_artifact: Artifact) -> Iterator[Bench]:  # noqa: F811
    made = Bench(podman_folder, small_artifact)
    try:
        yield made
    finally:
        made.close()


def test_launch_data_is_there_when_init_starts_and_after_a_restart(bench: Bench) -> None:
    order = bench.order()
    bench.provider.launch(order)

    first = bench.console(order.token, until="ready")
    bench.podman("restart", "--time=5", order.token)
    again = bench.console(order.token, until="asked to stop")

    for line in ("444 /run/ovenbird/config.json", "400 /run/ovenbird/secrets/token"):
        assert line in first
    assert "systemd.journald.forward_to_console=1" in first
    assert f'"instance": "{order.token}"' in first
    assert bench.console(order.token, until="ready").count("400 /run") == 2, again


def test_podmans_own_store_keeps_no_launch_data(bench: Bench) -> None:
    order = bench.order()

    bench.provider.launch(order)

    assert order.token not in bench.podman("secret", "ls", "--format={{.Name}}")


def test_an_instance_is_asked_to_stop_with_its_images_signal(bench: Bench) -> None:
    order = bench.order()
    bench.provider.launch(order)
    bench.console(order.token, until="ready")

    end = threading.Thread(
        target=lambda: bench.provider.terminate(order.token, stop=StopPolicy(timeout=5))
    )
    end.start()
    seen, said = [], ""
    while end.is_alive():
        seen += [s.state for s in bench.provider.instances(bench.key)]
        said = bench.provider.console(order.token, lines=5) or said
    end.join()

    assert "asked to stop" in said
    assert EngineState.DYING in seen


def test_an_instance_that_ended_is_not_hidden_by_its_restart(bench: Bench) -> None:
    order = bench.order()
    bench.provider.launch(order)

    pid = bench.podman("inspect", "--format={{.State.Pid}}", order.token)
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: bench.podman("inspect", "--format={{.RestartCount}}", order.token) == "1\n")
    (seen,) = bench.provider.instances(bench.key)

    assert (seen.state, seen.restarts) == (EngineState.EXITED, 1)
    assert bench.provider.launch(order).id == seen.id
    bench.provider.terminate(order.token, stop=StopPolicy(timeout=1))
    assert bench.provider.instances(bench.key) == ()


def test_one_that_ends_again_and_again_is_ended_for_good(bench: Bench) -> None:
    order = bench.order()
    bench.provider.launch(order)
    for _ in range(3):
        pid = int(bench.podman("inspect", "--format={{.State.Pid}}", order.token))
        if pid:
            os.kill(pid, signal.SIGKILL)

    bench.provider.terminate(order.token, stop=StopPolicy(timeout=1))
    time.sleep(0.5)

    assert bench.provider.instances(bench.key) == ()


def test_somebodys_stop_and_start_is_no_end_of_its_own(bench: Bench) -> None:
    order = bench.order()
    bench.provider.launch(order)
    bench.console(order.token, until="ready")

    bench.podman("restart", "--time=5", order.token)
    (seen,) = bench.provider.instances(bench.key)

    assert (seen.state, seen.restarts) == (EngineState.RUNNING, 0)


def test_a_change_that_takes_too_long_is_left_to_end(bench: Bench) -> None:
    hasty = PodmanProvider(folder=bench.folder, site=bench.site, longest_call=0.01)
    order = bench.order()

    with pytest.raises(EngineUnreachable, match="was left running"):
        hasty.launch(order)

    until(lambda: order.token in bench.podman("secret", "ls", "--format={{.Name}}"))
    assert bench.provider.launch(order).state is EngineState.RUNNING
    assert order.token not in bench.podman("secret", "ls", "--format={{.Name}}")


def test_an_image_that_is_gone_leaves_no_container_and_says_what_to_do(bench: Bench) -> None:
    order = replace(bench.order(), artifact=replace(bench.artifact, id="sha256:" + "0" * 64))

    with pytest.raises(OvenbirdError, match="does not hold the image of web/2") as failed:
        bench.provider.launch(order)

    assert "invoke bake" in failed.value.remedy
    assert bench.provider.instances(bench.key) == ()
    assert order.token not in bench.podman("secret", "ls", "--format={{.Name}}")


def test_a_launch_that_the_engine_refuses_leaves_nothing(bench: Bench) -> None:
    order = bench.order()
    impossible = replace(order.launch, resources=Resources(memory="1k"))

    with pytest.raises(OvenbirdError):
        bench.provider.launch(replace(order, launch=impossible))

    assert order.token not in bench.podman("ps", "--all", "--format={{.Names}}")


def test_a_strangers_container_with_that_name_is_left_alone(bench: Bench) -> None:
    order = bench.order()
    bench.podman("create", "--name", order.token, bench.artifact.id, "/sbin/init")
    try:
        with pytest.raises(Blocked, match="has this name"):
            bench.provider.launch(order)
        bench.provider.terminate(order.token, stop=StopPolicy(timeout=0))

        assert order.token in bench.podman("ps", "--all", "--format={{.Names}}")
    finally:
        bench.podman("rm", "--force", order.token)


def test_a_container_that_was_made_and_not_started_is_started(bench: Bench) -> None:
    order = bench.order()
    labels = [
        f"--label=ovenbird.{key}={value}"
        for key, value in {
            "site": bench.site,
            "env": "dev",
            "fleet": bench.key.name,
            "version": "web/2",
            "launch": "h",
            "token": order.token,
            "slot": "0",
        }.items()
    ]
    bench.podman("create", *labels, "--name", order.token, bench.artifact.id, "/sbin/init")
    (made,) = bench.provider.instances(bench.key)

    launched = bench.provider.launch(order)

    assert made.state is EngineState.CREATED
    assert (launched.id, launched.state) == (made.id, EngineState.RUNNING)


def test_an_image_is_found_without_a_process_and_deleted_only_when_free(bench: Bench) -> None:
    name = f"localhost/ovenbird-{uuid4().hex[:8]}"
    order = bench.order()
    bench.provider.launch(order)
    bench.podman("commit", "--quiet", order.token, name)
    copy = bench.podman("image", "inspect", "--format={{.Id}}", name).strip()
    artifact = replace(bench.artifact, id=f"sha256:{copy}")
    user = bench.podman("create", copy, "/sbin/init").strip()

    assert bench.provider.present(artifact)
    assert bench.provider.in_use(artifact)
    with pytest.raises(Blocked):
        bench.provider.delete(artifact)

    bench.podman("rm", user)
    bench.provider.delete(artifact)
    bench.provider.delete(artifact)
    assert not bench.provider.present(artifact)
    assert bench.provider.present(bench.artifact)


def test_a_base_without_a_name_survives_the_deletion_of_its_child(bench: Bench) -> None:
    first = bench.podman("create", bench.artifact.id, "/sbin/init").strip()
    parent = bench.podman("commit", "--quiet", first).strip()
    second = bench.podman("create", parent, "/sbin/init").strip()
    child = bench.podman("commit", "--quiet", second).strip()
    bench.podman("rm", first, second)

    bench.provider.delete(replace(bench.artifact, id=child))

    assert bench.provider.present(replace(bench.artifact, id=parent))
    bench.provider.delete(replace(bench.artifact, id=parent))


def test_every_fact_of_this_machine_has_a_remedy_or_is_good() -> None:
    facts = podman_engine.facts()

    assert {f.name for f in facts} >= {"podman", "container runtime", "podman mode", "podman disk"}
    assert [f for f in facts if not f.ok and not f.remedy] == []
