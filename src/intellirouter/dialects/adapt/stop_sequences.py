"""Stop sequences for an upstream: those that it takes, in order. The others are left out and reported.

They are left out, rather than the request refused, because the answer only ends later than it could.
"""

from collections.abc import Sequence
from typing import Any, Final

from intellirouter.core import LossReport

CHAT_STOPS: Final = 4
"""How many sequences OpenAI's API takes."""
GEMINI_STOPS: Final = 5
_UNLIMITED: Final = frozenset({"ollama", "vllm", "llamacpp", "lmstudio", "host", "fake"})
"""Servers with OpenAI's dialect that take any number."""


def max_chat_stops(vendor: str) -> int | None:
    """Return how many sequences an upstream of OpenAI's dialect takes, for translated and relayed requests alike."""
    return None if vendor in _UNLIMITED else CHAT_STOPS


def has_more_stops(stop: Any, limit: int | None) -> bool:
    """Return whether a client's member has more sequences than the upstream takes."""
    return stop.__class__ is list and limit is not None and len(stop) > limit


def usable_stops(
    stop: Sequence[str], losses: LossReport, *, max_count: int | None = None, takes_blank: bool = True
) -> list[str]:
    """Return the first `max_count` sequences (None: unlimited) that are not empty or, without `takes_blank`, blank."""
    usable = [text for text in stop if text and (takes_blank or text.strip())]
    if max_count is not None and len(usable) > max_count:
        losses.add("stop", "clamped", f"the first {max_count}")
        return usable[:max_count]
    if len(usable) < len(stop):
        losses.add("stop", "dropped", "empty" if takes_blank else "white space only")
    return usable
