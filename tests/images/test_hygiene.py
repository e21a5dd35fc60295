"""What a sealed image must not carry into the world, whatever its family.

The counterpart of ``roles/seal/files/seal.sh``: what is removed there is looked for here, in
instances that have booted, so that what a boot brings back is seen too.
"""

from __future__ import annotations

from typing import Any

MOUNTED_BY_A_BAKE = "/run/ovenbird-bake"
APT_TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")


def test_nothing_is_left_of_machines_people_and_bakes(survey: dict[str, Any]) -> None:
    assert survey["left_over"] == []


def test_no_private_key_is_in_it_but_the_host_keys_that_it_made_itself(
    survey: dict[str, Any],
) -> None:
    assert sorted(set(survey["private_keys"]) - set(survey["host_keys"])) == []


def test_no_account_has_a_password(survey: dict[str, Any]) -> None:
    assert survey["passwords"] == {}


def test_no_core_dump_is_in_it(survey: dict[str, Any]) -> None:
    assert survey["dumps"] == []


def test_its_logs_are_small(survey: dict[str, Any]) -> None:
    assert survey["log_bytes"] < 20_000_000


def test_apts_timers_are_masked(survey: dict[str, Any]) -> None:
    assert set(APT_TIMERS) <= set(survey["masked"])
    assert not [line for line in survey["timers"] if "apt" in line]


def test_no_sshd_listens_unless_that_is_what_the_family_is_for(
    survey: dict[str, Any], port: int | None
) -> None:
    assert 22 not in survey["listening"] or port == 22


def test_nothing_of_the_bake_is_mounted(survey: dict[str, Any]) -> None:
    assert not [path for path in survey["mounted"] if path.startswith(MOUNTED_BY_A_BAKE)]


def test_its_apt_sources_hold_no_credential(survey: dict[str, Any]) -> None:
    lines = [line for text in survey["apt_sources"].values() for line in text.splitlines()]
    assert not ["a line with user and password" for line in lines if "@" in line.partition("#")[0]]


def test_systemd_runs_and_no_unit_is_ill(survey: dict[str, Any]) -> None:
    assert survey["ill_units"] == []
    assert survey["state"] == "running"
