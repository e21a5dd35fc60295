"""An image that LXD holds is read again as LXD answers it: in one file, or in two."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import an_artifact

from ovenbird.provider.lxd_api import Lxd
from ovenbird.provider.lxd_contents import verify
from ovenbird.values.errors import Blocked, Tampered
from ovenbird.values.image import Artifact

MARK = b"--9c5f6e0a7b"


class Answering:
    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer

    def read(self, *path: str, doing: str) -> bytes | None:
        assert path[0] == "images"
        assert path[2] == "export"
        return self.answer


def multipart(*files: bytes) -> bytes:
    head = b"Content-Disposition: form-data; name=rootfs\r\nContent-Type: application/octet-stream"
    parts = [MARK + b"\r\n" + head + b"\r\n\r\n" + file + b"\r\n" for file in files]
    return b"".join([*parts, MARK, b"--\r\n"])


def named(*files: bytes) -> Artifact:
    """An artifact as LXD names it: by the hash of its files, one after the other."""
    return an_artifact(hashlib.sha256(b"".join(files)).hexdigest(), provider="lxd")


def check(answer: bytes | None, artifact: Artifact) -> None:
    verify(cast(Lxd, Answering(answer)), artifact)


@given(st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=3))
def test_what_is_as_it_was_passes_in_one_file_and_in_several(files: list[bytes]) -> None:
    check(multipart(*files), named(*files))
    check(b"\xfd7zXZ" + files[0], named(b"\xfd7zXZ" + files[0]))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("place", [0, 250, 499])
def test_one_bit_of_the_metadata_or_of_the_tree_is_found(which: int, place: int) -> None:
    files = [os.urandom(500), b"\r\n\r\n" + os.urandom(496)]
    artifact = named(*files)
    changed = bytearray(files[which])
    changed[place] ^= 1

    with pytest.raises(Tampered, match="is not what was baked"):
        check(
            multipart(*(bytes(changed) if n == which else f for n, f in enumerate(files))), artifact
        )


def test_an_answer_with_a_file_more_or_one_that_was_cut_short_is_another_image() -> None:
    files = (os.urandom(500), os.urandom(500))
    whole = multipart(*files)

    for answer in (multipart(*files, b"more"), whole[:700], whole[:100], b""):
        with pytest.raises(Tampered):
            check(answer, named(*files))


def test_an_image_that_is_gone_is_no_tampering() -> None:
    with pytest.raises(Blocked, match="does not hold the image"):
        check(None, replace(named(b"x"), location="lxd"))
