"""What every descendant of base rests on."""

from __future__ import annotations

from typing import Any


def test_it_listens_on_nothing(survey: dict[str, Any]) -> None:
    assert survey["listening"] == []


def test_it_has_no_sshd(survey: dict[str, Any]) -> None:
    assert not survey["sshd"]


def test_services_can_wait_for_the_launch_data(host: Any) -> None:
    assert host.run("systemctl is-active ovenbird-launch.target").stdout.strip() == "active"


def test_its_journal_goes_to_the_console(host: Any) -> None:
    settings = host.run("cat /etc/systemd/journald.conf /etc/systemd/journald.conf.d/*.conf").stdout
    assert "ForwardToConsole=yes" in settings.splitlines()
