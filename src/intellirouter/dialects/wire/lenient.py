"""Reads what vendors say beside the answer itself: what is of an odd type is as good as absent."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def as_int(value: Any) -> int:
    """Read a count from a vendor's usage: whole numbers only, nothing negative, anything else is 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(0, int(value))


def text_in(source: Mapping[str, Any], name: str) -> str:
    """Return a text member, empty where there is none."""
    value = source.get(name)
    return value if isinstance(value, str) else ""


def epoch_s(time: str | None) -> int:
    """Read a time in ISO 8601, 0 when it is none."""
    if not time:
        return 0
    try:
        return max(0, int(datetime.fromisoformat(time).timestamp()))
    except (ValueError, OverflowError):
        return 0
