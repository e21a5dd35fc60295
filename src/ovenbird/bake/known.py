"""Is this recipe baked already? Answered without starting a process."""

from __future__ import annotations

from datetime import timedelta

from ovenbird.bake.bakery import Bakery, Result
from ovenbird.bake.ingredients import recipe_of
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.family import Family
from ovenbird.values.image import Version
from ovenbird.values.recipe import Recipe, explain


def known_version(recipe: Recipe, bakery: Bakery) -> Version | None:
    """Find a version of this recipe whose artifact is still there, without starting a process."""
    for version in bakery.catalog.known(recipe):
        artifact = version.artifact(bakery.oven.name)
        if artifact and bakery.oven.present(artifact):
            return version
    return None


def already(version: Version, bakery: Bakery) -> Result:
    age = bakery.clock.now() - version.packages_at
    return Result(
        version=version,
        fresh=False,
        because=f"nothing that goes into it has changed ({version.fingerprint[:8]}…); "
        f"its packages are {in_words(age)} old",
    )


def in_words(age: timedelta) -> str:
    """Tell an age in the largest unit that fits: "3 days", "5 hours", "2 minutes"."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if (count := int(age.total_seconds()) // size) or size == 1:
            return f"{count} {unit}{'s' * (count != 1)}"
    raise AssertionError(age)


def parent_of(name: str, bakery: Bakery) -> Version | None:
    """Return the version that the next image of a family would be baked on."""
    family = family_named(name, bakery)
    return bakery.catalog.newest(family.parent) if family.parent else None


def explained(name: str, bakery: Bakery) -> str:
    """Tell which inputs differ from the newest image of a family."""
    family = family_named(name, bakery)
    parent = parent_of(name, bakery)
    if family.parent and parent is None:
        return f"{name} needs an image of {family.parent}, and there is none yet."
    now = recipe_of(family, project=bakery.project, variables=bakery.variables, parent=parent)
    if same := bakery.catalog.known(now):
        return f"Nothing has changed since {same[0]}: a bake would answer {same[0]}."
    newest = bakery.catalog.newest(name)
    if newest is None:
        return f"No image of {name} has been baked yet; a bake is due."
    changes = explain(bakery.catalog.recipe(newest), now)
    return "\n".join(
        [f"Since {newest} ({newest.fingerprint[:8]}…), so a bake is due:"]
        + [f"  {change.what:8} {change.name}" for change in changes]
    )


def family_named(name: str, bakery: Bakery) -> Family:
    """Return a family, or say which there are."""
    if name not in bakery.families:
        raise ConfigurationError.of(
            f"There is no family {name!r}; there are {', '.join(sorted(bakery.families))}.",
            remedy="Name one of those, or add it to packer/images.yml.",
        )
    return bakery.families[name]
