"""What is written for HAProxy, and read back. HAProxy itself is asked in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovenbird.balancer.haproxy_file import FleetFile, Server, replace, word
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck

A = Server(token="web-a", address="10.0.0.1:80")
B = Server(token="web-b", address="10.0.0.2:80", leaving=True)


def a_file(
    folder: Path,
    *,
    site: str = "here",
    mode: str = "http",
    retries: int = 0,
    health: HealthCheck | None = None,
) -> FleetFile:
    spec = BalancerSpec(kind="haproxy", bind="127.0.0.1:8080", mode=mode, retries=retries)
    key = FleetKey(site=site, env="dev", name="web")
    return FleetFile(key=key, spec=spec, health=health or HealthCheck(), folder=folder)


def test_frontend_backend_and_file_have_the_name_of_environment_and_fleet(tmp_path: Path) -> None:
    text = a_file(tmp_path).text([A])
    assert a_file(tmp_path).path == tmp_path / "ovenbird-dev-web.cfg"
    assert "\nfrontend ovenbird-dev-web\n" in text
    assert "\nbackend ovenbird-dev-web\n" in text
    assert "# ovenbird site=here env=dev fleet=web" in text


def test_a_draining_server_is_written_disabled(tmp_path: Path) -> None:
    lines = a_file(tmp_path).text([A, B]).splitlines()[-2:]
    assert lines == [
        "    server web-a 10.0.0.1:80 check inter 500ms fall 2 rise 2",
        "    server web-b 10.0.0.2:80 check inter 500ms fall 2 rise 2 disabled",
    ]


def test_the_list_reads_back_as_it_was_written(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    assert file.servers() == {}
    replace(file.path, file.text([A, B]))
    assert file.servers() == {"web-a": A, "web-b": B}


def test_a_file_of_another_site_is_refused(tmp_path: Path) -> None:
    theirs = a_file(tmp_path, site="elsewhere")
    replace(theirs.path, theirs.text([A]))
    with pytest.raises(Blocked, match="another site"):
        a_file(tmp_path).servers()


def test_the_digest_tells_settings_apart_and_not_servers(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    slower = a_file(tmp_path, health=HealthCheck(path="/ready"))
    assert file.text([]).splitlines()[:4] == file.text([A, B]).splitlines()[:4]
    assert file.digest != slower.digest
    assert f"name settings-{file.digest}" in file.text([])


def test_nothing_is_retried_unless_the_fleet_says_so(tmp_path: Path) -> None:
    assert "    retries 0\n    no option redispatch\n" in a_file(tmp_path).text([])
    assert "    retries 2\n    option redispatch 1\n" in a_file(tmp_path, retries=2).text([])


def test_a_tcp_fleet_says_nothing_of_http(tmp_path: Path) -> None:
    file = a_file(tmp_path, mode="tcp", health=HealthCheck(kind="tcp"))
    assert "http" not in file.text([])
    assert file.check == "tcp"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/healthz", "/healthz"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("/a b", '"/a b"'),
        ('/"$HOME', '"/\\"\\$HOME"'),
        ("/x#y", '"/x#y"'),
    ],
)
def test_a_word_cannot_become_two(text: str, written: str) -> None:
    assert word(text) == written


def test_a_line_break_in_a_word_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        word("/a\nbackend evil")


def test_a_replaced_file_leaves_nothing_else_behind(tmp_path: Path) -> None:
    for text in ("old\n", "new\n"):
        replace(tmp_path / "x.cfg", text)
    assert [path.name for path in tmp_path.iterdir()] == ["x.cfg"]
    assert (tmp_path / "x.cfg").read_text() == "new\n"
