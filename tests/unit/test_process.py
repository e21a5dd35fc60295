"""The one door to other programs, with programs that are played."""

from __future__ import annotations

import subprocess

import pytest
from pytest_subprocess import FakeProcess

from ovenbird import process
from ovenbird.values.errors import CommandFailed, ConfigurationError, EngineUnreachable


def test_what_a_program_wrote_is_handed_back(fp: FakeProcess) -> None:
    fp.register(["podman", "ps"], stdout="one\n", stderr="a warning\n")

    done = process.run(["podman", "ps"], doing="Listing instances")

    assert done == process.Finished(code=0, stdout="one\n", stderr="a warning\n")


def test_bytes_that_are_no_text_are_no_failure(fp: FakeProcess) -> None:
    fp.register(["podman", "logs"], stdout=b"caf\xe9")

    assert process.run(["podman", "logs"], doing="Reading").stdout == "caf\ufffd"


def test_a_failure_tells_what_was_done_and_can_be_pasted_and_run_again(fp: FakeProcess) -> None:
    fp.register(["podman", "rm", "a b"], returncode=125, stderr="no such container")

    with pytest.raises(CommandFailed) as failed:
        process.run(
            ["podman", "rm", "a b"], doing="Removing it", env={"CONTAINERS_CONF": "/s/c.conf"}
        )

    assert failed.value.problem == "Removing it failed with exit code 125."
    assert "CONTAINERS_CONF=/s/c.conf podman rm 'a b'" in failed.value.remedy
    assert failed.value.evidence == "no such container"


def test_a_program_may_say_no_where_that_is_an_answer(fp: FakeProcess) -> None:
    fp.register(["podman", "image", "exists", "x"], returncode=1)

    done = process.run(["podman", "image", "exists", "x"], doing="Looking", check=False)

    assert done.code == 1


def test_a_program_that_is_not_installed_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "Popen", missing)

    with pytest.raises(ConfigurationError, match="needs packer, which is not installed") as refused:
        process.run(["packer", "version"], doing="Baking")

    assert "invoke doctor" in refused.value.remedy


class Hanging:
    """A program that never answers, and remembers that it was killed."""

    killed = False

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> Hanging:
        return self

    def __exit__(self, *_: object) -> None: ...

    def communicate(self, _: bytes | None = None, *, timeout: float) -> tuple[bytes, bytes]:
        raise subprocess.TimeoutExpired("podman", timeout)

    def kill(self) -> None:
        Hanging.killed = True


def test_a_program_that_hangs_is_an_engine_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subprocess, "Popen", Hanging)

    with pytest.raises(EngineUnreachable, match=r"podman has not answered for 0\.01 s") as slow:
        process.run(["podman", "ps"], doing="Listing instances", timeout=0.01)

    assert Hanging.killed
    assert slow.value.exit_code == 3
    assert "podman ps" in slow.value.remedy


def test_a_secret_is_scrubbed_from_all_that_is_told(fp: FakeProcess) -> None:
    fp.register(["podman", "login", "hunter2"], returncode=1, stderr="hunter2 is wrong")

    with pytest.raises(CommandFailed) as failed:
        process.run(
            ["podman", "login", "hunter2"],
            doing="Logging in",
            env={"TOKEN": "hunter2"},
            scrub=["hunter2", ""],
        )

    told = f"{failed.value} {failed.value.remedy} {failed.value.evidence} {failed.value.output}"
    assert "hunter2" not in told
    assert "•••" in told


def test_the_folders_of_daemons_are_on_the_path(
    fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    asked = fp.register(["haproxy", "-v"])
    process.run(["haproxy", "-v"], doing="Asking", env={"LC_ALL": "C"})

    environment = (asked.calls[0].kwargs or {})["env"]
    assert environment["PATH"] == "/usr/bin:/usr/local/sbin:/usr/sbin:/sbin"
    assert environment["LC_ALL"] == "C"
