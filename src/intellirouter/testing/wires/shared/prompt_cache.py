"""A prompt cache: a prefix that ends at a cache mark is written once, and read by later requests."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

MAX_PREFIXES: Final = 10_000


class Piece(Struct, frozen=True):
    """A piece of a prompt."""

    content: bytes
    tokens: int
    mark: Literal["5m", "1h"] | None = None
    """The prefix that ends here is cached for this time."""


class CacheUse(Struct, frozen=True):
    """Tokens of one prompt that were read from the cache or written to it."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        return self.written_5m + self.written_1h


class PromptCache:
    """Stores prefixes. Unlike real caches, it has no expiry and no minimum length."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def clear(self) -> None:
        self._seen.clear()

    def use(self, model: str, prompt: Iterable[Piece]) -> CacheUse:
        """Look up the prompt, given as its pieces in order, and store its marked prefixes."""
        digest = hashlib.blake2b(model.encode(errors="replace"))
        tokens = read = at_mark = 0
        is_long = False
        marked: list[bytes] = []
        for piece in prompt:
            digest.update(piece.content)
            tokens += piece.tokens
            if piece.mark is not None:
                key = digest.digest()
                at_mark, is_long = tokens, piece.mark == "1h"
                if key in self._seen:
                    read = tokens
                marked.append(key)
        for key in marked:
            self._seen[key] = None
            if len(self._seen) > MAX_PREFIXES:
                self._seen.popitem(last=False)
        written = at_mark - read
        return CacheUse(read, 0 if is_long else written, written if is_long else 0)
