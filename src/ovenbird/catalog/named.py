"""What to say of a reference that names no image."""

from __future__ import annotations

from collections.abc import Sequence

from ovenbird.values.errors import ConfigurationError
from ovenbird.values.image import ImageRef, Version


def unnamed(ref: ImageRef, there: Sequence[Version]) -> ConfigurationError:
    """Say what there is instead, in ``there``, which are the versions of its family."""
    if not there:
        return ConfigurationError.of(
            f"{ref} names nothing: no image of {ref.family} has been baked here.",
            remedy=f"Bake one: invoke bake {ref.family}",
        )
    names = sorted({f"{ref.family}@{c}" for v in there for c in v.channels})
    newest = max(there, key=lambda v: v.number)
    good = max((v for v in there if v.launchable), key=lambda v: v.number, default=None)
    return ConfigurationError.of(
        f"{ref} names nothing; the versions end at {newest}, the channels are "
        f"{', '.join(names) or 'none yet'}.",
        remedy="Name one of those, or point the channel somewhere: "
        f"invoke image.promote {good} {ref.channel or 'stable'}"
        if good
        else f"None of them may launch. Bake another: invoke bake {ref.family}",
    )
