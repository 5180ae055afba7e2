"""Remembers where sessions were served last. Bounded, in the memory of the process; time is passed in."""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

_MAX_PLACEMENTS: Final = 32_768
"""They take about 10 MB."""


class Placement(Struct, frozen=True):
    """Where a session was served last."""

    deployment: str
    at_s: float
    credential: str = ""
    """The fingerprint of the credential, if the deployment has several."""
    cached_tokens: int = 0
    """How many input tokens of the next request the provider probably reads from its cache."""


class Placements:
    """The placements by key: the one that was used the longest time ago is the first to be forgotten.

    One per process, so that they survive reloads of the configuration.
    """

    def __init__(self, max_placements: int = _MAX_PLACEMENTS) -> None:
        self._max = max_placements
        self._by_key: OrderedDict[bytes, Placement] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    def find(self, key: bytes, now_s: float, ttl_s: float) -> Placement | None:
        """Return the placement of a key, unless it is older than `ttl_s`."""
        found = self._by_key.get(key)
        return found if found is not None and now_s - found.at_s <= ttl_s else None

    def note(self, key: bytes, placement: Placement) -> None:
        """Remember that a deployment has just served the key."""
        self._by_key[key] = placement
        self._by_key.move_to_end(key)
        if len(self._by_key) > self._max:
            self._by_key.popitem(last=False)
