"""Rendezvous hashing: distributes keys over names, without any shared state.

All processes that know the key and the names put the names into the same order. If a name disappears, only its own keys
move; if one appears, only those move that it gets.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Final

_DRAW_BYTES: Final = 8
_DRAWS: Final = float(1 << 8 * _DRAW_BYTES)


def rendezvous_order(key: bytes, names: Iterable[str]) -> list[str]:
    """Return the names in the order of this key. Each name is first for an equal share of the keys."""
    return sorted(names, key=lambda name: (-_draw(key, name), name))


def weighted_rendezvous_order(key: bytes, weights: Mapping[str, float]) -> list[str]:
    """Return the names in the order of this key. Weight 2 is first for twice as many keys as weight 1."""
    return sorted(weights, key=lambda name: (_weighted_draw(key, name, weights[name]), name))


def _weighted_draw(key: bytes, name: str, weight: float) -> float:
    """Return a draw from an exponential distribution with this rate; the smallest one of all is first."""
    return -math.log(_draw(key, name)) / weight if weight > 0 else math.inf


def _draw(key: bytes, name: str) -> float:
    """Return a number between 0 and 1, both excluded, that depends on key and name only."""
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), key=key[:64], digest_size=_DRAW_BYTES).digest()
    return (int.from_bytes(digest) + 0.5) / _DRAWS
