"""Which packages have an update: from lists alone, by apt's rules."""

from __future__ import annotations

import pytest
from tests.builders import a_package, an_inventory

from ovenbird.packages.archive import Offer
from ovenbird.packages.compare import difference
from ovenbird.packages.inventory import QUESTION, inventory_of
from ovenbird.packages.stale import is_kernel, kernel_is_ours, updates_of, with_origins
from ovenbird.values.errors import ProofFailed
from ovenbird.values.package import Kind


def an_offer(
    name: str,
    version: str,
    suite: str = "stable",
    *,
    architecture: str = "amd64",
    reserved: bool = False,
) -> Offer:
    return Offer(
        name=name,
        version=version,
        architecture=architecture,
        source=name,
        source_version=version,
        suite=suite,
        security=suite.endswith("-security"),
        reserved=reserved,
    )


@pytest.mark.parametrize(
    ("have", "offered", "newer"),
    [
        ("1.0", "1.0", False),
        ("1.0", "1.1", True),
        ("1.10", "1.9", False),
        ("1.0", "1.0+deb12u1", True),
        ("1.0", "1.0~rc1", False),
        ("1:0.9", "2.0", False),
        ("2.0", "1:0.9", True),
    ],
)
def test_versions_are_ordered_as_debian_orders_them(have: str, offered: str, newer: bool) -> None:
    found = updates_of([a_package("bread", have)], [an_offer("bread", offered)])

    assert bool(found) is newer


def test_an_update_says_from_where_to_where_and_security_comes_first() -> None:
    packages = [a_package("bread"), a_package("salt"), a_package("water")]
    offers = [
        an_offer("bread", "1.1"),
        an_offer("salt", "1.2", "stable-security"),
        an_offer("salt", "1.3"),
        an_offer("water", "1.0"),
        an_offer("yeast", "9.9"),
    ]

    salt, bread = updates_of(packages, offers)

    assert (str(salt), salt.suite, salt.security) == ("salt 1.0 → 1.3", "stable", True)
    assert (str(bread), bread.security) == ("bread 1.0 → 1.1", False)


def test_backports_count_only_for_who_has_the_package_from_there() -> None:
    offers = [an_offer("bread", "2.0", "stable-backports", reserved=True)]

    assert not updates_of([a_package("bread")], offers)
    assert updates_of([a_package("bread", origin="stable-backports")], offers)


def test_another_architectures_package_is_no_update() -> None:
    assert not updates_of([a_package("bread")], [an_offer("bread", "2.0", architecture="arm64")])
    assert updates_of([a_package("bread")], [an_offer("bread", "2.0", architecture="all")])


def test_the_suite_of_a_package_is_that_which_has_this_very_version() -> None:
    offers = [
        an_offer("bread", "1.0"),
        an_offer("bread", "1.0", "stable-security"),
        an_offer("salt", "2.0"),
    ]

    bread, salt = with_origins(
        [a_package("bread", origin=""), a_package("salt", origin="")], offers
    )

    assert (bread.origin, salt.origin) == ("stable-security", "")


def test_a_container_has_no_kernel_of_its_own() -> None:
    assert not kernel_is_ours("podman")
    assert not kernel_is_ours("lxd")
    assert kernel_is_ours("qemu")
    assert is_kernel(a_package("linux-image-6.1.0-30-cloud-amd64"))
    assert not is_kernel(a_package("linux-base"))


ANSWER = """\
some noise of a shell
=== ovenbird packages
deb|installed|bread|1:1.0-2|amd64|bakery|1.0-2
deb|config-files|gone|1.0|amd64|gone|1.0
rpm|installed|salt|2:1.0-3.el9|x86_64|salt-src-1.0-3.el9.src.rpm|
rpm|installed|gpg-pubkey|1-1|(none)|(none)|
=== ovenbird files
{digest}  /etc/with a space
=== ovenbird end
"""


def test_the_answer_of_an_instance_is_read_for_both_package_managers() -> None:
    found = inventory_of(ANSWER.format(digest="a" * 64))

    bread, salt = found.packages
    assert (bread.version, bread.source, bread.source_version) == ("1:1.0-2", "bakery", "1.0-2")
    assert (salt.kind, salt.version, salt.source) == (Kind.RPM, "2:1.0-3.el9", "salt-src")
    assert found.files == (("/etc/with a space", "a" * 64),)
    assert QUESTION.exists()


@pytest.mark.parametrize(
    "cut", ["=== ovenbird end\n", "deb|installed|bread|1:1.0-2|amd64|bakery|1.0-2\n"]
)
def test_an_answer_that_is_cut_short_or_empty_proves_nothing(cut: str) -> None:
    text = ANSWER.format(digest="a" * 64).replace(cut, "")
    if cut.startswith("deb"):
        text = "\n".join(line for line in text.splitlines() if not line.startswith("rpm"))

    with pytest.raises(ProofFailed, match="does not tell which packages"):
        inventory_of(text)


def test_two_images_are_compared_by_package_and_by_file() -> None:
    before = an_inventory(
        a_package("bread"), a_package("gone"), files=(("/etc/a", "1"), ("/etc/machine-id", "1"))
    )
    after = an_inventory(
        a_package("bread", "1.1", origin="stable-security"),
        a_package("new"),
        files=(("/etc/a", "2"), ("/etc/b", "1"), ("/etc/machine-id", "2")),
    )

    found = difference(before, after, ignoring=["/etc/machine-id"])

    assert [(c.name, c.what) for c in found.packages] == [
        ("bread", "changed"),
        ("gone", "removed"),
        ("new", "added"),
    ]
    assert [(c.name, c.what) for c in found.files] == [("/etc/a", "changed"), ("/etc/b", "added")]
    assert str(found) == (
        "1 package changed (1 for security), 1 added, 1 removed; 1 file changed, 1 added"
    )
    assert str(difference(before, before)) == "no package and no file of its own differs"
