"""A text is checked once: by the same Packer, under the same rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ovenbird.bake.accepted import MOST, Accepted
from ovenbird.bake.template import Rendered

PACKER = (1, 6, 6)
WEB = Rendered(
    text="build {}",
    template=Path("image.pkr.hcl.j2"),
    source=Path("source.podman.pkr.hcl.j2"),
    source_type="docker",
)


def test_a_text_is_known_once_it_was_accepted(tmp_path: Path) -> None:
    accepted = Accepted(tmp_path / "cache" / "accepted")
    before = accepted.knows(WEB, packer=PACKER)
    accepted.remember(WEB, packer=PACKER)

    assert (before, accepted.knows(WEB, packer=PACKER)) == (False, True)


def test_another_text_or_another_packer_is_checked_again(tmp_path: Path) -> None:
    accepted = Accepted(tmp_path / "accepted")
    accepted.remember(WEB, packer=PACKER)

    assert not accepted.knows(replace(WEB, text="build { }"), packer=PACKER)
    assert not accepted.knows(WEB, packer=(1, 11, 0))


def test_the_oldest_texts_are_forgotten_first(tmp_path: Path) -> None:
    accepted = Accepted(tmp_path / "accepted")
    texts = [replace(WEB, text=f"# {n}") for n in range(MOST + 1)]
    for text in texts:
        accepted.remember(text, packer=PACKER)

    assert not accepted.knows(texts[0], packer=PACKER)
    assert accepted.knows(texts[1], packer=PACKER)
