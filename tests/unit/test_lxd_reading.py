from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.builders import an_order

from ovenbird.provider.lxd_changes import differences
from ovenbird.provider.lxd_errors import Refused, translated
from ovenbird.provider.lxd_known import Known
from ovenbird.provider.lxd_members import generation, least_crowded
from ovenbird.provider.lxd_seen import ENDING_LABEL, asked_for, labels_of, parse, rows, wanted
from ovenbird.provider.lxd_sftp import Entry
from ovenbird.values.errors import Blocked, EngineUnreachable, NoCapacity, OvenbirdError
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Contract
from ovenbird.values.instance import ChangeKind, EngineState, Seen

MADE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
FILE, FOLDER = 0o100644, 0o040755


def _order(token: str = "web-001", *, slot: int = 1) -> Order:
    key = FleetKey(site="here", env="dev", name="web")
    return replace(an_order(token, slot=slot), fleet=key, contract=Contract(port=80))


def _row(**said: Any) -> dict[str, Any]:
    config = {**labels_of(_order(), site="here"), **said.pop("config", {})}
    addresses = [
        {"address": "fe80::1", "family": "inet6", "scope": "link"},
        {"address": "10.0.0.7", "family": "inet", "scope": "global"},
    ]
    return {
        "name": "web-001",
        "status": "Running",
        "config": config,
        "created_at": MADE.isoformat(),
        "last_used_at": (MADE + timedelta(seconds=1)).isoformat(),
        "location": "n1",
        "expanded_devices": {"eth0": {"type": "nic", "name": "eth0"}, "root": {"type": "disk"}},
        "state": {"network": {"lo": {"addresses": []}, "eth0": {"addresses": addresses}}},
        **said,
    }


def _seen(**said: Any) -> Seen:
    (found,) = parse(rows([_row(**said)]))
    return found


def test_an_instance_is_read_as_it_was_ordered_with_the_address_of_its_card() -> None:
    seen = _seen()

    assert (seen.token, seen.fleet, seen.slot) == ("web-001", _order().fleet, 1)
    assert (seen.state, seen.address) == (EngineState.RUNNING, "10.0.0.7:80")
    assert (seen.launched_at, seen.since) == (MADE, MADE + timedelta(seconds=1))


def test_an_instance_without_an_address_yet_has_none() -> None:
    assert _seen(state={"network": {"eth0": {"addresses": []}}}).address is None
    assert _seen(state=None).address is None


def test_a_job_has_no_address() -> None:
    assert "user.ovenbird.port" not in labels_of(replace(_order(), job="once"), site="here")


NEVER = {"last_used_at": "1970-01-01T00:00:00Z"}
POWER = "volatile.last_state.power"


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"status": "Frozen"}, EngineState.RUNNING),
        ({"status": "Stopped", **NEVER}, EngineState.CREATED),
        ({"status": "Stopped", "config": {POWER: "STOPPED"}}, EngineState.EXITED),
        ({"status": "Stopped", "config": {POWER: "RUNNING"}}, EngineState.LOST),
        ({"status": "Error"}, EngineState.LOST),
        ({"status": "Stopping"}, EngineState.DYING),
        ({"config": {ENDING_LABEL: MADE.isoformat()}}, EngineState.DYING),
        ({"status": "Stopped", "config": {ENDING_LABEL: MADE.isoformat()}}, EngineState.DYING),
    ],
)
def test_lxd_s_words_are_translated(said: dict[str, Any], state: EngineState) -> None:
    assert _seen(**said).state is state


def test_one_that_is_being_ended_says_since_when() -> None:
    assert _seen(config={ENDING_LABEL: MADE.isoformat()}).since == MADE


def test_copies_and_instances_of_others_are_left_out() -> None:
    assert parse(rows([_row(name="a-copy"), {**_row(), "config": {"user.x": "1"}}])) == []


def test_the_filter_names_labels_and_also_those_that_have_none_since_they_are_lost() -> None:
    said = {"env": "dev", "fleet": "web"}

    assert wanted(said) == "config.user.ovenbird.env eq dev and config.user.ovenbird.fleet eq web"
    assert wanted(said, lost=True).endswith(" eq web or status eq Error")


def test_of_an_offline_member_s_instances_is_known_what_was_listed_or_launched(
    tmp_path: Path,
) -> None:
    nothing_told = {"status": "Error", "config": None, "created_at": "0001-01-01T00:00:00Z"}
    lost = rows([{**_row(), **nothing_told}, {**_row(name="stranger"), **nothing_told}])
    Known(tmp_path).listed("dev.web", rows([_row()]))

    (seen,) = parse(Known(tmp_path).recalled(lost))

    assert (seen.token, seen.state, seen.launched_at) == ("web-001", EngineState.LOST, MADE)


def test_what_is_listed_no_more_is_forgotten_but_for_what_was_just_launched(
    tmp_path: Path,
) -> None:
    known, young = Known(tmp_path), asked_for(_order("web-002"), site="here")
    known.listed("dev.web", rows([_row()]))
    known.launched("dev.web", young)
    known.listed("dev.web", [])

    nothing_told = {"status": "Error", "config": {}, "created_at": "0001-01-01T00:00:00Z"}
    lost = rows([{**_row(name=name), **nothing_told} for name in ("web-001", "web-002")])
    assert [seen.token for seen in parse(known.recalled(lost))] == ["web-002"]


def test_a_wave_never_stands_on_one_member_and_a_fleet_is_spread_evenly() -> None:
    there: dict[str, tuple[str, str]] = {}
    for n in range(7):
        order = _order(f"web-{n:03}", slot=n)
        member = least_crowded(("n1", "n2", "n3"), order, there=there)
        there[order.token] = (member, generation(order.version, order.launch.hash))
        placed = [where for where, _ in there.values()]
        crowds = [placed.count(m) for m in ("n1", "n2", "n3")]
        assert max(crowds) - min(crowds) <= 1


def test_a_new_version_is_spread_by_itself_whatever_the_old_one_left() -> None:
    old = {f"old-{n}": ("n1", generation("web/0", "none")) for n in range(2)}
    first = least_crowded(("n1", "n2"), _order(), there=old)
    there = {**old, "new": (first, generation(_order().version, _order().launch.hash))}

    assert first == "n2"
    assert least_crowded(("n1", "n2"), _order("web-002"), there=there) == "n1"


@pytest.mark.parametrize(
    ("said", "code", "kind", "exit_code"),
    [
        ("Unable to unpack image, run out of disk space", 400, NoCapacity, 3),
        ("write /x: no space left on device", 500, NoCapacity, 3),
        ("Reached maximum number of instances of type", 400, NoCapacity, 3),
        ("Missing event connection with target cluster member", 500, EngineUnreachable, 3),
        ("not authorized", 403, EngineUnreachable, 3),
        ('Instance "web-001" already exists', 409, Blocked, 3),
        ("Image not found", 404, OvenbirdError, 1),
        ("something new", 500, Refused, 1),
    ],
)
def test_a_refusal_has_a_kind_an_exit_code_and_a_remedy(
    said: str, code: int, kind: type[OvenbirdError], exit_code: int
) -> None:
    refused = Refused(doing="Making web-001", said=said, code=code)

    told = translated(refused, what="web/2")

    assert type(told) is kind
    assert told.exit_code == exit_code
    assert told.remedy
    assert said in f"{told.problem} {told.evidence}"


def _file(**said: int) -> Entry:
    facts = {"mode": FILE, "uid": 0, "gid": 0, "size": 3, "changed_at": int(MADE.timestamp())}
    return Entry(**{**facts, **said})


def test_two_walks_are_compared_by_kind_mode_owner_size_and_time() -> None:
    before = {"/a": _file(), "/b": _file(), "/c": _file(), "/d": _file(mode=FOLDER)}
    now = {
        "/a": _file(size=4, changed_at=int(MADE.timestamp()) + 5),
        "/b": _file(mode=0o100600),
        "/d": _file(mode=FOLDER, size=9, changed_at=1),
        "/e": _file(changed_at=1),
    }

    found = list(differences(before, now, since=MADE))

    assert [(c.path, c.kind, c.at) for c in found] == [
        ("/a", ChangeKind.CHANGED, MADE + timedelta(seconds=5)),
        ("/b", ChangeKind.CHANGED, None),
        ("/c", ChangeKind.DELETED, None),
        ("/e", ChangeKind.ADDED, None),
    ]
