"""What is planted is found, each thing by its kind and path; a clean image raises no alarm.

The list is `tests/planted_list.py`.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import planted
from tests.planted import AWS, CLEAN, GITHUB, HASH, PEM, Image, letters
from tests.planted_list import PLANTED, TOKENS

from ovenbird.hygiene.archive import CONFIGURATION, of_image, of_tree
from ovenbird.hygiene.scan import scan
from ovenbird.values.secret import Finding, SecretKind

K = SecretKind


def found(image: Image, folder: Path) -> list[Finding]:
    return list(scan(of_image(image.saved(folder))).findings)


def kinds(findings: list[Finding], path: str) -> set[SecretKind]:
    return {finding.kind for finding in findings if finding.path == path}


def test_the_list_holds_thirty_things_of_fifteen_kinds() -> None:
    assert len(PLANTED) >= 30
    assert len({kind for kind, _, _ in PLANTED.values()}) >= 15
    assert {kind for kind, _, _ in PLANTED.values()} == set(SecretKind) - {K.TOKEN}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str, tmp_path: Path) -> None:
    kind, path, data = PLANTED[name]

    findings = found(Image(layers=[CLEAN, {path: data}]), tmp_path)

    assert kind in kinds(findings, path)
    assert {finding.path for finding in findings} == {path}


def test_all_that_is_planted_is_found_at_once(tmp_path: Path) -> None:
    files = {path: data for _, path, data in PLANTED.values()}
    files["/etc/shadow"] = b"guest::20781:0:::::\n" + f"root:{HASH}:1:0:9:7:::\n".encode()

    findings = found(Image(layers=[CLEAN, files]), tmp_path)

    assert {(kind, path) for kind, path, _ in PLANTED.values()} <= {
        (finding.kind, finding.path) for finding in findings
    }


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_is_found_wherever_it_stands(name: str, tmp_path: Path) -> None:
    data = f"first\nvalue {TOKENS[name]}\nlast\n".encode()

    findings = found(Image(layers=[CLEAN, {"/usr/local/bin/deploy": data}]), tmp_path)

    assert [(f.kind, f.path, f.line) for f in findings] == [(K.TOKEN, "/usr/local/bin/deploy", 2)]


@pytest.mark.parametrize("packing", planted.PACKED)
@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        (K.TOKEN, f"token {GITHUB}\n".encode()),
        (K.PRIVATE_KEY, PEM),
        (K.PASSWORD_HASH, HASH.encode()),
    ],
    ids=["token", "key", "hash"],
)
def test_a_secret_is_found_in_a_wrapping(
    packing: str, kind: SecretKind, secret: bytes, tmp_path: Path
) -> None:
    data = planted.PACKED[packing](b"something before it\n" + secret)

    findings = found(Image(layers=[CLEAN, {"/srv/blob": data}]), tmp_path)

    assert kinds(findings, "/srv/blob") == {kind}


def test_a_wrapped_secret_is_told_with_the_line_where_its_wrapping_begins(tmp_path: Path) -> None:
    data = b"one: 1\ntwo: 2\nkey: " + base64.b64encode(gzip.compress(PEM)) + b"\n"

    (finding,) = found(Image(layers=[CLEAN, {"/srv/values.txt": data}]), tmp_path)

    assert (finding.line, finding.kind) == (3, K.PRIVATE_KEY)
    assert "gzip in base64" in finding.hint


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image(layers=[CLEAN], env=["PATH=/bin", "DB_PASSWORD=corr3ct-horse"]), K.PASSWORD),
        (Image(layers=[CLEAN], env=[f"GH={GITHUB}"]), K.TOKEN),
        (
            Image(layers=[CLEAN], labels={"by": f"https://ci:{letters(12)}@git.corp/x"}),
            K.URL_PASSWORD,
        ),
        (Image(layers=[CLEAN], history=["/bin/sh -c true", f"curl -H {GITHUB}"]), K.TOKEN),
        (
            Image(layers=[CLEAN], labels={"kubeconfig": base64.b64encode(PEM).decode()}),
            K.PRIVATE_KEY,
        ),
    ],
    ids=["environment", "token in the environment", "label", "history", "base64 in a label"],
)
def test_what_an_image_says_of_itself_is_looked_at(
    image: Image, kind: SecretKind, tmp_path: Path
) -> None:
    (finding,) = found(image, tmp_path)

    assert (finding.kind, finding.path) == (kind, CONFIGURATION)
    assert finding.where == "the image's configuration"


@pytest.mark.parametrize("mark", ["/srv/.wh.id", "/.wh.srv", "/srv/.wh..wh..opq"])
def test_what_an_upper_layer_deleted_is_found_below_it(mark: str, tmp_path: Path) -> None:
    (finding,) = found(Image(layers=[CLEAN, {"/srv/id": PEM}, {mark: b""}]), tmp_path)

    assert (finding.path, finding.where) == ("/srv/id", "layer 2 of 3")
    assert "a later layer only hides it" in finding.hint


def test_what_an_upper_layer_wrote_over_is_found_below_it(tmp_path: Path) -> None:
    layers = [CLEAN, {"/root/.netrc": b"machine a password b\n"}, {"/root/.netrc": b""}]

    (finding,) = found(Image(layers=layers), tmp_path)

    assert (finding.kind, finding.where) == (K.NETRC, "layer 2 of 3")


def test_an_identity_that_the_seal_took_away_harms_nobody(tmp_path: Path) -> None:
    below = {"/etc/machine-id": b"0" * 32, "/var/lib/systemd/random-seed": b"x" * 32}
    sealed = {"/etc/machine-id": b"", "/var/lib/systemd/.wh.random-seed": b""}

    assert found(Image(layers=[{**CLEAN, **below}, sealed]), tmp_path) == []


def test_a_clean_image_raises_no_alarm(tmp_path: Path) -> None:
    clean = Image(
        layers=[CLEAN, {"/srv/index.html": b"<h1>hello</h1>\n"}],
        env=["PATH=/usr/bin:/bin", "PASSWORD_FILE=/run/ovenbird/secrets/db", "container=oci"],
        labels={"ovenbird.bake": "bake-web-0123456789"},
        history=["/bin/sh -c apt-get install -y nginx"],
    )

    assert found(clean, tmp_path) == []


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3.11/test/keycert.pem",
        "/opt/app/lib/python3.11/site-packages/pkg/test.py",
        "/opt/app/lib/python3.11/site-packages/pkg/other.py",
        "/opt/app/lib/python3.11/site-packages/pkg/__pycache__/other.cpython-311.pyc",
    ],
)
def test_a_packages_file_that_somebody_changed_or_added_is_looked_at(
    path: str, tmp_path: Path
) -> None:
    (finding,) = found(Image(layers=[CLEAN, {path: PEM + b"\n"}]), tmp_path)

    assert (finding.kind, finding.path) == (K.PRIVATE_KEY, path)


def test_no_finding_repeats_more_than_four_characters_of_a_secret(tmp_path: Path) -> None:
    secrets = {"/etc/app.conf": f"a {GITHUB}\nb {AWS}\npassword=corr3ct-horse\n{HASH}\n".encode()}

    told = "\n".join(str(finding) for finding in found(Image(layers=[secrets]), tmp_path))

    assert "ghp_…" in told
    assert not [s for s in (GITHUB, AWS, HASH, "corr3ct-horse") if s[:5] in told or s[4:9] in told]


def test_a_tree_in_parts_is_read_as_one(tmp_path: Path) -> None:
    whole = gzip.compress(planted.tree({"/rootfs/srv/id": PEM, "/metadata.yaml": b"a: 1\n"}))
    parts = [tmp_path / name for name in ("a", "b", "c")]
    for number, part in enumerate(parts):
        part.write_bytes(whole[number * 150 : (number + 1) * 150 if number < 2 else None])

    findings = scan(of_tree(*parts, below="rootfs")).findings

    assert [(f.path, f.where) for f in findings] == [("/srv/id", "the root file system")]


BROKEN: dict[str, Callable[[], bytes]] = {
    **{
        f"{name}, cut off": lambda pack=pack: pack(PEM)[:-9]  # type: ignore[misc]
        for name, pack in planted.PACKED.items()
        if "UTF" not in name
    },
    "gzip of nothing": lambda: b"\x1f\x8b\x08" + bytes(range(256)),
    "bzip2 of nothing": lambda: b"BZh9" + bytes(range(256)),
    "xz of nothing": lambda: b"\xfd7zXZ\0" + bytes(range(256)),
    "zip of nothing": lambda: b"PK\x03\x04" + bytes(400),
    "half a letter of UTF-16": lambda: b"\xff\xfe\x00",
    "DER of nothing": lambda: b"0\x82\x01\x02\x02\x01\x00" + bytes(40),
}
"""By name, and made by the test itself: what is packed holds the time, and the two workers of a
run must find the same tests."""


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_or_cut_off_breaks_no_scan(name: str, tmp_path: Path) -> None:
    data = BROKEN[name]()
    findings = found(Image(layers=[CLEAN, {"/srv/broken": data}]), tmp_path)

    assert {finding.path for finding in findings} <= {"/srv/broken"}
