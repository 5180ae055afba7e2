"""Tolerant reads of what vendors send in addition to the answer: a value of the wrong type counts as missing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def as_int(value: Any) -> int:
    """Return a count of a vendor's usage as a non-negative integer; 0 if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(0, int(value))


def text_in(source: Mapping[str, Any], name: str) -> str:
    """Return a string member; empty if it is missing or not a string."""
    value = source.get(name)
    return value if isinstance(value, str) else ""


def epoch_s(time: str | None) -> int:
    """Return an ISO 8601 time as seconds since the epoch; 0 if it is missing or invalid."""
    if not time:
        return 0
    try:
        return max(0, int(datetime.fromisoformat(time).timestamp()))
    except (ValueError, OverflowError):
        return 0
