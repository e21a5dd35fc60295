"""The tasks of this project: `invoke --list` shows them."""

from ovenbird.tasks import namespace

__all__ = ["namespace"]
