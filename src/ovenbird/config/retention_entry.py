"""How long images stay, as it is written: ``retention: {keep: 10, min_age: 30d}``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from ovenbird.config.schema import Entry, refuse
from ovenbird.config.wording import kind_of
from ovenbird.values.retention import Retention

_HOURS = {"h": 1, "d": 24, "w": 7 * 24}
_MOST = 3650 * 24


def _hours(value: object) -> object:
    """``"30d"`` is 720, ``"12h"`` is 12; a bare number says no unit and is refused."""
    read = re.fullmatch(r"([1-9][0-9]{0,5})([hdw])", value) if isinstance(value, str) else None
    hours = int(read[1]) * _HOURS[read[2]] if read else 0
    if 0 < hours <= _MOST:
        return hours
    shown = repr(value) if isinstance(value, (str, int, float)) else kind_of(value)
    return refuse(f"must be an age, not {shown}", "An age is 12h, 30d or 8w, up to ten years.")


class RetentionEntry(Entry):
    keep: int = Field(ge=1, le=1000, description="a number from 1 to 1000")
    min_age: Annotated[int, BeforeValidator(_hours)] = Field(
        default=30 * 24, description="an age, such as 30d"
    )

    def value(self) -> Retention:
        return Retention(keep=self.keep, min_age=timedelta(hours=self.min_age))
