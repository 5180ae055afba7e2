"""Tolerant reads of what vendors send in addition to the answer: a value of the wrong type counts as missing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from intellirouter.core import NO_USAGE, Usage

MAX_TOKENS: Final = 10**12
"""No count of tokens is higher, and the cost of more would exceed the range of the ledger's integers."""
_MAX_COST: Final = 1_000_000
_NUMBERS: Final = (int, float)


def as_int(value: Any) -> int:
    """Return a count of a vendor's usage as a non-negative integer; 0 if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(0, int(value))


def has_impossible_count(*counts: Any) -> bool:
    """Return whether one of a vendor's counts cannot be true: it is negative or astronomical."""
    return any(isinstance(each, _NUMBERS) and not 0 <= each <= MAX_TOKENS for each in counts)


def reported(usage: Usage) -> Usage | None:
    """Return a usage; None if all of its counts are zero, because no answer is free of tokens: nothing was counted."""
    return None if usage == NO_USAGE else usage


def cost_microusd(amount: Any, *, per_usd: int = 1) -> int | None:
    """Return a cost that a vendor reports, in micro-USD; None if it is not a cost. `per_usd`: its unit."""
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= _MAX_COST * per_usd:
        return None
    return round(amount / per_usd * 1_000_000)


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
