"""Signed images on real engines: a changed byte is found, and others accept what we sign."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from tests.builders import NOW, a_package, a_version, an_artifact, an_inventory
from tests.engine import PrivateEngine

from ovenbird.catalog import claims
from ovenbird.packages.sbom import sbom
from ovenbird.provider import qemu_store
from ovenbird.provider.podman import PodmanProvider
from ovenbird.seals.keys import generate, keyring
from ovenbird.values.errors import OvenbirdError, Tampered
from ovenbird.values.image import Artifact
from ovenbird.values.recipe import Recipe
from ovenbird.values.seal import Sealed


def flip(path: Path, at: int) -> None:
    """Change one bit of a file, and let nobody see it by its time."""
    path.chmod(0o644)
    before, data = path.stat(), bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def golden(tmp_path: Path) -> tuple[Path, Artifact]:
    """A disk with a kernel and an initrd, kept as a bake keeps them."""
    made = tmp_path / "made"
    made.mkdir()
    for name in ("disk.qcow2", "vmlinuz", "initrd.img"):
        (made / name).write_bytes(os.urandom(300_000))
    boot = qemu_store.Boot(kernel="vmlinuz", initrd="initrd.img", append="root=/dev/vda quiet")
    id_ = qemu_store.keep(tmp_path, made, boot=boot)
    return tmp_path, an_artifact(id_, provider="qemu")


@pytest.mark.parametrize("name", ["disk.qcow2", "vmlinuz", "initrd.img", "boot.json"])
def test_one_bit_of_a_disk_a_kernel_or_a_command_line_is_found(
    golden: tuple[Path, Artifact], name: str
) -> None:
    folder, artifact = golden
    qemu_store.verify(folder, artifact)
    file = qemu_store.images(folder) / qemu_store.hex_id(artifact) / name

    flip(file, file.read_bytes().index(b"quiet") if name == "boot.json" else 200_000)

    with pytest.raises(Tampered, match="are not what was baked"):
        qemu_store.verify(folder, artifact)


def test_the_parts_of_an_image_are_what_sha256sum_says_of_its_files(
    golden: tuple[Path, Artifact],
) -> None:
    folder, artifact = golden
    kept = qemu_store.images(folder) / qemu_store.hex_id(artifact)

    parts = qemu_store.parts(folder, artifact.id)

    names = [name for name, _ in parts]
    assert names == ["boot.json", "disk.qcow2", "vmlinuz", "initrd.img"]
    said = subprocess.run(
        ["sha256sum", *names], cwd=kept, capture_output=True, text=True, check=True
    ).stdout
    assert said == "".join(f"{digest}  {name}\n" for name, digest in parts)


@pytest.mark.parametrize("name", ["boot.json", "vmlinuz", "disk.qcow2"])
def test_a_file_that_is_gone_or_cannot_be_read_is_no_image_either(
    golden: tuple[Path, Artifact], name: str
) -> None:
    folder, artifact = golden
    file = qemu_store.images(folder) / qemu_store.hex_id(artifact) / name

    file.chmod(0o644)
    file.write_text("no JSON, no kernel, no disk")
    with pytest.raises(Tampered, match="are not what was baked"):
        qemu_store.verify(folder, artifact)
    file.unlink()
    with pytest.raises(OvenbirdError, match=r"are not what was baked|not hold the image"):
        qemu_store.verify(folder, artifact)


def test_one_bit_of_a_layer_in_podmans_store_is_found(tmp_path: Path) -> None:
    engine = PrivateEngine(tmp_path / "e")
    with engine.used():
        for number in (1, 2):
            file = tmp_path / f"file-{number}"
            file.write_bytes(os.urandom(50_000))
            with tarfile.open(tmp_path / f"{number}.tar", "w") as tar:
                tar.add(file, arcname=f"etc/file-{number}")
        engine.podman("import", "--quiet", str(tmp_path / "1.tar"), "localhost/lower")
        container = engine.podman("create", "localhost/lower", "true").strip()
        engine.podman("cp", str(tmp_path / "file-2"), f"{container}:/etc/file-2")
        image = engine.podman("commit", "--quiet", container, "localhost/upper").strip()
        engine.podman("rm", container)
        artifact = an_artifact(f"sha256:{image}", provider="podman")
        provider = PodmanProvider(folder=tmp_path, site="seals")
        provider.verify(artifact)
        for number in (1, 2):
            (stored,) = [
                path
                for path in (engine.folder / "root").rglob(f"diff/etc/file-{number}")
                if path.stat().st_size == 50_000
            ]
            flip(stored, 40_000)
            with pytest.raises(Tampered, match="is not what was baked"):
                provider.verify(artifact)
            flip(stored, 40_000)
        provider.verify(artifact)
        assert not list((tmp_path / "cache").iterdir()), "nothing is left of what was read"
        with pytest.raises(Tampered, match="is not what was baked"):
            provider.verify(swapped(engine, artifact))


def swapped(engine: PrivateEngine, artifact: Artifact) -> Artifact:
    """Put another description under an image's id, as the store keeps it."""
    kept = engine.folder / "root/overlay-images" / artifact.id.removeprefix("sha256:")
    changed = 0
    for file in kept.glob("=*"):
        before = file.read_text()
        file.write_text(before.replace('"linux"', '"linus"'))
        changed += file.read_text() != before
    assert changed, "the description is kept in another way than we believe"
    return artifact


def test_a_statement_is_accepted_by_in_totos_library_and_its_signature_by_openssl(
    tmp_path: Path,
) -> None:
    generate(tmp_path, name="site")
    keys = keyring(tmp_path, {})
    assert keys is not None
    version = a_version(2)
    recipe = Recipe.of("web", {"roles/web/tasks/main.yml": b"tasks"})
    artifact = an_artifact("sha256:" + "a" * 64, provider="podman")
    said = claims.statement(version, recipe, artifact, site="s1")

    envelope = json.loads(keys.close(said, Sealed.STATEMENT))

    payload = base64.b64decode(envelope["payload"])
    found = json_format.Parse(payload, statement_pb2.Statement())
    Statement.copy_from_pb(found).validate()
    predicate = json_format.MessageToJson(found.predicate)
    slsa = json_format.Parse(predicate, provenance_pb2.Provenance())
    assert slsa.build_definition.resolved_dependencies[0].name == "roles/web/tasks/main.yml"
    assert found.subject[0].digest["sha256"] == "a" * 64

    kind = envelope["payloadType"].encode()
    (tmp_path / "pae").write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    assert openssl(tmp_path) == 0
    (tmp_path / "pae").write_bytes((tmp_path / "pae").read_bytes().replace(b"web/2", b"web/3"))
    assert openssl(tmp_path) != 0


def openssl(folder: Path) -> int:
    argv = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin"]
    argv += ["-inkey", str(folder / "keys/trusted/site.pub")]
    argv += ["-in", str(folder / "pae"), "-sigfile", str(folder / "sig")]
    return subprocess.run(argv, check=False, capture_output=True).returncode


def test_a_bill_of_materials_is_valid_against_its_schema_and_the_same_each_time() -> None:
    packages = [a_package("bread", "1:1.0+dfsg~rc1"), a_package("libc6", origin="")]
    version, inventory = a_version(2, provider="podman"), an_inventory(*packages, provider="podman")

    text = sbom(version, inventory, distribution="debian", at=NOW)

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text == sbom(version, inventory, distribution="debian", at=NOW)
    assert "pkg:deb/debian/bread@1:1.0%2Bdfsg~rc1?arch=amd64" in text
