"""What every descendant of base rests on."""

from __future__ import annotations

from typing import Any


def test_it_listens_on_nothing(survey: dict[str, Any]) -> None:
    assert survey["listening"] == []


def test_no_sshd_starts_by_itself(host: Any) -> None:
    # There may be one: without it nobody could bake or prove a virtual machine.
    assert "enabled" not in host.run("systemctl is-enabled ssh.service ssh.socket").stdout.split()


def test_services_can_wait_for_the_launch_data(host: Any) -> None:
    assert host.run("systemctl is-active ovenbird-launch.target").stdout.strip() == "active"


def test_its_journal_goes_to_the_console(host: Any) -> None:
    settings = host.run("cat /etc/systemd/journald.conf /etc/systemd/journald.conf.d/*.conf").stdout
    assert "ForwardToConsole=yes" in settings.splitlines()
