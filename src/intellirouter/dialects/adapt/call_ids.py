"""Ids of tool calls for upstreams that restrict them. An id and its replacement are the same in every turn."""

import hashlib
import re
from typing import Final

_SHORT_CHARS: Final = 9
_is_short: Final = re.compile(f"[a-zA-Z0-9]{{{_SHORT_CHARS}}}").fullmatch


def shortened_id(call_id: str, max_chars: int) -> str:
    """Return the id, or a hash of it if it is too long. `max_chars` is at least 37."""
    return call_id if len(call_id) <= max_chars else f"call_{_hash_of(call_id)[:32]}"


def short_id(call_id: str) -> str:
    """Return the id as Mistral's models take it: nine letters or digits."""
    return call_id if _is_short(call_id) else _hash_of(call_id)[:_SHORT_CHARS]


def _hash_of(call_id: str) -> str:
    return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
