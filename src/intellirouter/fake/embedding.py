"""Deterministic embeddings: a hashed bag of words, so that texts that share words are close to each other."""

import hashlib
import math
from collections import Counter
from typing import Final

DIMENSIONS_PER_WORD: Final = 16


def embed(words: list[str], dimensions: int) -> list[float]:
    """Return a vector of length 1. Each word adds ±1 at a few positions that its hash selects."""
    vector = [0.0] * dimensions
    for word, count in Counter(words).items():
        digest = hashlib.blake2b(word.encode(), digest_size=3 * DIMENSIONS_PER_WORD).digest()
        for at in range(0, len(digest), 3):
            position = int.from_bytes(digest[at : at + 2], "big") % dimensions
            vector[position] += count if digest[at + 2] & 1 else -count
    length = math.sqrt(sum(value * value for value in vector))
    if length == 0:
        vector[0] = length = 1.0
    # Nine significant digits identify a 32-bit float exactly, so both encodings carry the same numbers.
    return [float(f"{value / length:.9g}") for value in vector]


def embed_text(text: str, dimensions: int) -> list[float]:
    return embed(text.lower().split() or [text], dimensions)
