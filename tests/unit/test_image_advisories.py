"""What ``invoke image.advisories`` prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from invoke import Exit, MockContext
from tests.builders import a_version

from ovenbird.assembly import advising
from ovenbird.assembly.advising import Advised, Report
from ovenbird.state import site as sites
from ovenbird.tasks.image_advisories import advisories
from ovenbird.values.advisory import Advisory, Affected, Severity
from ovenbird.values.package import Package

HIT = Affected(
    advisory=Advisory(
        id="CVE-2026-0001",
        package="openssl",
        ecosystem="bookworm",
        severity=Severity.HIGH,
        fixed_in="3.0.15-1",
    ),
    package=Package(
        name="libssl3",
        version="3.0.11-1",
        architecture="amd64",
        source="openssl",
        source_version="3.0.11-1",
    ),
    binaries=("libssl3",),
)
CLEAN = Advised(version=a_version(1), where=("@stable",))
BAD = Advised(version=a_version(2), where=("dev/web",), affected=(HIT,), stopped=(HIT,))
DARK = Advised(version=a_version(3), where=(), problem="It is not known.", remedy="Look.")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Advised]:
    """What the look will find; the site and the project are not asked."""
    images: list[Advised] = []
    (tmp_path / "packer").mkdir()
    (tmp_path / "packer" / "images.yml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sites, "open_site", lambda: None)
    report = lambda *_, **__: Report(images=tuple(images), digest="d", notes=("offline",))  # noqa: E731
    monkeypatch.setattr(advising, "look", report)
    return images


def test_it_shows_each_image_and_ends_well(
    told: list[Advised], capsys: pytest.CaptureFixture[str]
) -> None:
    told += [CLEAN, BAD]

    advisories(MockContext())

    out, err = capsys.readouterr()
    assert "web/1 (@stable): none of its packages has a known advisory" in out
    assert "✗ web/2 (dev/web): 1 known, 1 with a fix, 1 stopped" in out
    assert "CVE-2026-0001" in out
    assert "offline" in err


@pytest.mark.parametrize(
    ("images", "check", "code"),
    [
        ([CLEAN], True, None),
        ([BAD], False, None),
        ([CLEAN, BAD], True, 6),
        ([DARK], False, 4),
        ([BAD, DARK], True, 4),
    ],
)
def test_its_exit_code_says_what_was_found(
    images: list[Advised], check: bool, code: int | None, told: list[Advised]
) -> None:
    told += images
    if code is None:
        advisories(MockContext(), check=check)
        return
    with pytest.raises(Exit) as ended:
        advisories(MockContext(), check=check)

    assert ended.value.code == code


def test_its_document_holds_all_of_it(
    told: list[Advised], capsys: pytest.CaptureFixture[str]
) -> None:
    told += [BAD]

    advisories(MockContext(), json=True)

    document = json.loads(capsys.readouterr().out)
    assert document["data"]["unchanged_since"] is None
    (image,) = document["images"]
    assert image["advisories"] == [
        {
            "id": "CVE-2026-0001",
            "aliases": [],
            "severity": "high",
            "source": "openssl",
            "version": "3.0.11-1",
            "packages": ["libssl3"],
            "fixed_in": "3.0.15-1",
            "stopped": True,
            "summary": "",
        }
    ]
