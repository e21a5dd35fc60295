from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ovenbird.provider import podman_store
from ovenbird.provider.podman_errors import translated
from ovenbird.provider.podman_seen import counted, parse, suspects
from ovenbird.values.errors import (
    Blocked,
    CommandFailed,
    EngineUnreachable,
    NoCapacity,
    OvenbirdError,
)
from ovenbird.values.fleet import FleetKey
from ovenbird.values.image import Artifact
from ovenbird.values.instance import EngineState

NEVER = -62135596800  # the year 1, as podman writes it
STARTED, ENDED = 1795381303, 1795381310
LABELS = {
    "ovenbird.site": "s1",
    "ovenbird.env": "dev",
    "ovenbird.fleet": "web",
    "ovenbird.version": "web/2",
    "ovenbird.launch": "abc",
    "ovenbird.token": "dev-web-k3",
    "ovenbird.slot": "1",
}


def a_listing(
    *,
    state: str = "running",
    started: int = STARTED,
    ended: int = NEVER,
    labels: dict[str, str] | None = None,
    name: str = "dev-web-k3",
    status: str = "Up 2 minutes ago",
    restarts: int | None = None,
) -> str:
    return json.dumps(
        [
            {
                "Id": "57329dd9",
                "Names": [name],
                "Labels": LABELS if labels is None else labels,
                "State": state,
                "Status": status,
                "Created": STARTED,
                "StartedAt": started,
                "ExitedAt": ended,
                "ExitCode": 7,
                "Ports": [{"host_ip": "127.0.0.1", "host_port": 34351, "protocol": "tcp"}],
                "Image": "ignored",
                **({} if restarts is None else {"Restarts": restarts}),
            }
        ]
    )


def an_artifact(location: Path) -> Artifact:
    return Artifact(
        provider="podman",
        id="sha256:b4223a60",
        template="",
        parent="",
        token="",
        location=str(location),
        size=0,
        baked_at=datetime(2026, 11, 22, tzinfo=UTC),
    )


def test_a_running_container_is_an_instance_with_an_address() -> None:
    (seen,) = parse(a_listing())

    assert seen.fleet == FleetKey(site="s1", env="dev", name="web")
    assert (seen.token, seen.version, seen.slot) == ("dev-web-k3", "web/2", 1)
    assert (seen.state, seen.address) == (EngineState.RUNNING, "127.0.0.1:34351")
    assert seen.since == datetime.fromtimestamp(STARTED, UTC)
    assert seen.exit_code is None


@pytest.mark.parametrize(
    ("state", "started", "ended", "means"),
    [
        ("created", NEVER, NEVER, EngineState.CREATED),
        ("initialized", NEVER, NEVER, EngineState.CREATED),
        ("paused", STARTED, NEVER, EngineState.RUNNING),
        ("stopping", STARTED, NEVER, EngineState.DYING),
        ("removing", STARTED, ENDED, EngineState.DYING),
        ("exited", STARTED, ENDED, EngineState.EXITED),
        ("exited", STARTED, STARTED, EngineState.EXITED),
        ("unknown", STARTED, NEVER, EngineState.LOST),
    ],
)
def test_every_word_of_podman_means_one_state(
    state: str, started: int, ended: int, means: EngineState
) -> None:
    (seen,) = parse(a_listing(state=state, started=started, ended=ended))

    assert seen.state is means


@pytest.mark.parametrize("state", ["created", "exited"])
def test_what_ran_before_a_reboot_is_lost_and_not_failed(state: str) -> None:
    (seen,) = parse(a_listing(state=state, started=STARTED, ended=NEVER))

    assert (seen.state, seen.exit_code) == (EngineState.LOST, None)


def test_one_that_podman_restarted_after_it_had_ended_has_ended() -> None:
    listing = a_listing(started=ENDED, ended=ENDED)

    (counted_one,) = parse(listing, counted("57329dd9 2\n"))
    (told,) = parse(a_listing(started=ENDED, ended=ENDED, restarts=1))

    assert suspects(listing) == ["57329dd9"]
    assert (counted_one.state, counted_one.restarts) == (EngineState.EXITED, 2)
    assert (counted_one.exit_code, counted_one.since) == (None, datetime.fromtimestamp(ENDED, UTC))
    assert (told.state, told.restarts) == (EngineState.EXITED, 1)


def test_one_that_somebody_stopped_and_started_runs() -> None:
    (seen,) = parse(a_listing(started=ENDED, ended=STARTED), counted("57329dd9 0\n"))

    assert (seen.state, seen.restarts) == (EngineState.RUNNING, 0)


def test_podman_is_asked_to_count_only_for_what_has_ended_before_and_runs() -> None:
    told = a_listing(started=ENDED, ended=ENDED, restarts=0)

    assert suspects(a_listing()) == []
    assert suspects(a_listing(state="exited", ended=ENDED)) == []
    assert suspects(told) == []
    assert suspects("") == []
    assert counted("") == {}


def test_one_that_ended_tells_its_code_and_when() -> None:
    (seen,) = parse(a_listing(state="exited", ended=ENDED))

    assert (seen.exit_code, seen.since) == (7, datetime.fromtimestamp(ENDED, UTC))


def test_a_container_made_by_hand_from_an_image_of_ours_is_no_instance() -> None:
    assert parse(a_listing(name="somebodys-copy")) == []
    assert parse(a_listing(labels={"ovenbird.site": "s1"})) == []
    assert parse("") == []


@pytest.mark.parametrize(
    ("output", "kind", "problem"),
    [
        ("Error: b4223a60: image not known", OvenbirdError, "does not hold the image"),
        ("write /var/lib/x: no space left on device", NoCapacity, "the disk is full"),
        ("rootlessport listen tcp: bind: address already in use", NoCapacity, "a port is taken"),
        ("IPAM error: failed to find free IP in range: x", NoCapacity, "no address or lock left"),
        ("allocation failed; exceeded num_locks (2048)", NoCapacity, "no address or lock left"),
        ("fork/exec: resource temporarily unavailable", NoCapacity, "no memory or processes"),
        ('the container name "x" is already in use by 5732', Blocked, "has this name"),
        ("Failed to create inotify object: Too many open files", NoCapacity, "inotify"),
        ("something nobody has seen before", CommandFailed, "failed with exit code 125"),
    ],
)
def test_what_podman_says_becomes_an_error_with_a_way_out(
    output: str, kind: type[OvenbirdError], problem: str
) -> None:
    failure = CommandFailed(doing="Starting k3", command="podman run", code=125, output=output)

    error = translated(failure, what="web/2")

    assert type(error) is kind
    assert problem in error.problem
    assert error.remedy


def test_a_look_at_the_store_reads_its_index(tmp_path: Path) -> None:
    info = {"store": {"graphRoot": str(tmp_path), "graphDriverName": "overlay"}}
    folder = Path(podman_store.locate(json.dumps(info)))
    folder.mkdir()
    (folder / "images.json").write_text('[{"id": "b4223a60", "names": []}]')

    assert podman_store.holds(an_artifact(folder))
    assert not podman_store.holds(replace(an_artifact(folder), id="sha256:0000"))
    assert not podman_store.holds(an_artifact(tmp_path / "elsewhere"))


def test_an_index_that_cannot_be_understood_is_no_proof_of_absence(tmp_path: Path) -> None:
    (tmp_path / "images.json").write_text("[{")

    with pytest.raises(EngineUnreachable):
        podman_store.holds(an_artifact(tmp_path))


def test_the_word_of_a_containers_own_health_check_is_read() -> None:
    (checked,) = parse(a_listing(status="Up 2 minutes ago (unhealthy)"))
    (unchecked,) = parse(a_listing())

    assert (checked.check, unchecked.check) == ("unhealthy", "")
