"""inventories/engines.yml: where the engines are, and what is refused there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovenbird.config import load_engines
from ovenbird.values.engine import LxdSettings, QemuSettings
from ovenbird.values.errors import ConfigurationError

PIN = "AB:" * 31 + "cd"


def written(project: Path, text: str) -> Path:
    (project / "inventories").mkdir(exist_ok=True)
    (project / "inventories/engines.yml").write_text(text)
    return project


def test_without_the_file_every_engine_has_its_defaults(tmp_path: Path) -> None:
    assert load_engines(tmp_path) == {}
    assert load_engines(written(tmp_path, "# nothing yet\n")) == {}


def test_a_cluster_and_virtual_machines_are_read(tmp_path: Path) -> None:
    text = f"""engines:
  lxd:
    endpoints: [https://10.0.0.1:8443/, https://10.0.0.2:8443]
    pin: "{PIN}"
    client: {{certificate: keys/client.crt, key: /etc/keys/client.key}}
    pool: fast
  qemu: {{accelerator: tcg, memory: 1g}}
"""

    found = load_engines(written(tmp_path, text))

    assert found["lxd"] == LxdSettings(
        endpoints=("https://10.0.0.1:8443", "https://10.0.0.2:8443"),
        pin="ab" * 31 + "cd",
        certificate=str(tmp_path / "keys/client.crt"),
        key="/etc/keys/client.key",
        pool="fast",
    )
    assert found["qemu"] == QemuSettings(accelerator="tcg", memory="1g")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("engines:\n  lxd: {endpoints: [10.0.0.1]}\n", 2, "cannot be '10.0.0.1'"),
        ("engines:\n  lxd: {endpoints: []}\n", 2, "endpoints"),
        ("engines:\n  lxd:\n    pin: abc\n", 3, "no SHA-256"),
        ("engines:\n  lxd: {endpoints: ['https://h:8443']}\n", 2, "pin is missing"),
        ("engines:\n  qemu: {memory: lots}\n", 2, "memory"),
        ("engines:\n  qemu: {accelerator: warp}\n", 2, "accelerator"),
        ("engines:\n  podman: {}\n", 2, "nothing to say of an engine 'podman'"),
        ("motors: {}\n", 1, "There is no key motors here"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_engines(written(tmp_path, text))

    faults = refused.value.faults
    assert {(fault.file, fault.line) for fault in faults} == {("inventories/engines.yml", line)}
    assert said in " ".join(fault.problem for fault in faults)
    assert all(fault.remedy for fault in faults)
