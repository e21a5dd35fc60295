"""The cache of what is fetched: replaced in one step, whoever writes beside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ovenbird.packages.fetch import write


def test_bakes_side_by_side_in_one_process_write_one_file_without_harm(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "list.json"

    with ThreadPoolExecutor(8) as several:
        list(several.map(lambda n: write(path, f"{n:03}".encode() * 2000), range(400)))

    text = path.read_bytes()
    assert text == text[:3] * 2000
    assert [each.name for each in path.parent.iterdir()] == ["list.json"], "no draft is left"
