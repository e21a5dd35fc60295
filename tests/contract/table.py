"""Which engine keeps which promise of the contract: run on all that are here, and told as a table.

``python -m tests.contract.table`` prints the page; ``--write`` writes it. Takes some minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/reference/contract.md"
HERE = Path(__file__).parent
FILES = (
    *("test_providers", "test_memory_server", "test_lxd_contract", "test_lxd_members"),
    "test_qemu_contract",
)
ENGINES = {
    "TestMemoryInOneProcess": "memory",
    "TestMemoryInAServer": "memory, in a server",
    "TestPodman": "podman",
    "TestLxd": "LXD",
    "TestLxdMembers": "LXD, three members",
    "TestQemu": "QEMU",
}
HEAD = """\
# The contract of the engines

Every engine passes the same public suite: `ovenbird.provider.contract`, `contract_day_two` and
`contract_hosts`. Written by `python -m tests.contract.table --write` from a run of all of them on
one machine; how to have it for an engine of your own is told in
[write a provider](../how-to/write-a-provider.md).

- ✓ kept
- · means nothing there: the engine has no daemon that could restart, or one host only
- (✓) asked of one LXD alone: members have no part in it

"""


class Told:
    """What became of each test, by its name and its class."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, *classes, test = report.nodeid.split("::")
        if not classes:  # an engine's own tests
            return
        class_, name = classes[0], test.partition("[")[0]
        of_test = self.found.setdefault(name, {})
        if report.failed:
            of_test[class_] = "✗"
        elif report.skipped:
            of_test.setdefault(class_, "·")
        elif report.when == "call":
            of_test.setdefault(class_, "✓")


def main() -> int:
    told = Told()
    files = [str(HERE / f"{name}.py") for name in FILES]
    code = int(pytest.main(["-q", "-p", "no:cacheprovider", *files], plugins=[told]))
    text = HEAD + "\n".join(_rows(told.found)) + "\n"
    if "--write" in sys.argv and code == 0:
        PAGE.write_text(text)
    else:
        print(text)
    return code


def _rows(found: dict[str, dict[str, str]]) -> Iterator[str]:
    yield f"| promise | {' | '.join(ENGINES.values())} |"
    yield f"|---|{'---|' * len(ENGINES)}"
    for name, of_test in found.items():
        if "TestPodman" not in of_test:  # an engine's own tests
            continue
        alone = {"TestLxdMembers": "(✓)"} if of_test.get("TestLxd") == "✓" else {}
        marks = [of_test.get(each, alone.get(each, "")) for each in ENGINES]
        yield f"| {name.removeprefix('test_').replace('_', ' ')} | {' | '.join(marks)} |"


if __name__ == "__main__":
    sys.exit(main())
