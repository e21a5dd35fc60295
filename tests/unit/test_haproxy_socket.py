"""What ``show stat`` means. The columns are those of HAProxy 2.6, cut to the ones that matter."""

from __future__ import annotations

import pytest

from ovenbird.balancer.haproxy_socket import Row, parsed
from ovenbird.values.instance import EntryState

STAT = """\
# pxname,svname,qcur,scur,status,type,check_status,addr,
ovenbird-dev-web,FRONTEND,,3,OPEN,0,,,
ovenbird-dev-web,settings-0123,,3,OPEN,3,,127.0.0.1:8080,
ovenbird-dev-web,web-a,0,2,UP,2,L7OK,10.0.0.1:80,
ovenbird-dev-web,web-b,1,1,DRAIN,2,* L7OK,10.0.0.2:80,
ovenbird-dev-web,BACKEND,0,3,UP,1,,,
other,web-a,0,9,UP,2,L7OK,10.0.0.9:80,
other,BACKEND,0,9,UP,1,,,
"""


def a_row(status: str, check: str) -> Row:
    return Row(name="web-a", address="10.0.0.1:80", status=status, check=check, sessions=0)


def test_only_the_fleets_own_servers_are_read() -> None:
    proxy = parsed(STAT, "ovenbird-dev-web")
    assert proxy is not None
    assert proxy.digest == "settings-0123"
    assert set(proxy.servers) == {"web-a", "web-b"}
    assert proxy.servers["web-a"].sessions == 2


def test_queued_requests_count_as_sessions_and_a_running_check_is_its_last_result() -> None:
    proxy = parsed(STAT, "ovenbird-dev-web")
    assert proxy is not None
    assert (proxy.servers["web-b"].sessions, proxy.servers["web-b"].check) == (2, "L7OK")


def test_a_backend_that_is_not_there_is_none() -> None:
    assert parsed(STAT, "ovenbird-dev-shop") is None


@pytest.mark.parametrize(
    ("status", "check", "state"),
    [
        ("UP", "L7OK", EntryState.IN_SERVICE),
        ("UP", "INI", EntryState.UNCHECKED),
        ("UP", "", EntryState.UNCHECKED),
        ("UP 1/2", "L7STS", EntryState.DOWN),
        ("UP", "L4OK", EntryState.DOWN),
        ("DOWN", "L4CON", EntryState.DOWN),
        ("DOWN 1/2", "L7OK", EntryState.DOWN),
        ("DRAIN", "L7OK", EntryState.DRAINING),
        ("MAINT", "L7OK", EntryState.DRAINING),
    ],
)
def test_in_service_is_up_and_the_last_check_passed(
    status: str, check: str, state: EntryState
) -> None:
    assert a_row(status, check).state(check="http") is state


def test_for_tcp_an_accepted_connection_is_a_passed_check() -> None:
    assert a_row("UP", "L4OK").state(check="tcp") is EntryState.IN_SERVICE
