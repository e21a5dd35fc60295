"""Two instances of one image are two machines: they share no name and no key."""

from __future__ import annotations

import re
from typing import Any


def test_each_has_a_machine_id_of_its_own(first: dict[str, Any], second: dict[str, Any]) -> None:
    for seen in (first, second):
        assert re.fullmatch(r"[0-9a-f]{32}", seen["machine_id"])
        assert seen["dbus_machine_id"] in ("", seen["machine_id"])
    assert first["machine_id"] != second["machine_id"]


def test_each_has_a_hostname_of_its_own(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first["hostname"] != second["hostname"]


def test_no_random_seed_is_shared(first: dict[str, Any], second: dict[str, Any]) -> None:
    # A container takes its randomness from the host and has none of these files.
    for name in ("random_seed", "credential_secret"):
        assert first[name] is None or first[name] != second[name]


def test_each_with_an_sshd_made_host_keys_of_its_own(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    for seen in (first, second):
        assert bool(seen["host_keys"]) == seen["sshd"]
    assert not set(first["host_keys"].values()) & set(second["host_keys"].values())


def test_no_private_key_is_equal_in_both(first: dict[str, Any], second: dict[str, Any]) -> None:
    shared = set(first["private_keys"].values()) & set(second["private_keys"].values())
    assert not [path for path, held in first["private_keys"].items() if held in shared]


def test_the_launch_data_is_there_and_only_root_reads_its_secrets(survey: dict[str, Any]) -> None:
    assert "/run/ovenbird/config.json" in survey["launch"]
    assert isinstance(survey["config"], dict)
    secrets = {p: seen for p, seen in survey["launch"].items() if "/secrets/" in p}
    assert {path: seen[:2] for path, seen in secrets.items()} == {p: ["0400", 0] for p in secrets}


def test_the_launch_data_names_this_instance(first: dict[str, Any], second: dict[str, Any]) -> None:
    ours = [seen["config"]["ovenbird"] for seen in (first, second)]
    assert all(set(block) >= {"version", "fleet", "instance"} for block in ours)
    assert ours[0]["instance"] != ours[1]["instance"]
