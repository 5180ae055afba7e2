"""A simple tokenizer: a token has at most eight characters and includes the space before it."""

import re
from itertools import cycle, islice
from typing import Final

_TOKEN: Final = re.compile(r"\s?\S{1,8}|\s")
_WORDS: Final = re.findall(
    r"\w{1,8}",  # each word is one token
    "lorem ipsum dolor sit amet elit sed do eiusmod tempor ut labore et dolore magna aliqua enim ad minim veniam "
    "quis nostrud ullamco laboris nisi aliquip ex ea commodo duis aute irure in velit esse cillum fugiat nulla "
    "pariatur sint occaecat non proident sunt culpa qui officia deserunt mollit anim id est laborum",
)


def split_tokens(text: str) -> list[str]:
    """Split `text` into tokens; joining them restores `text`."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    return sum(1 for _ in _TOKEN.finditer(text))


def lorem(tokens: int) -> str:
    """Return filler text of exactly `tokens` tokens; it is always the same.

    Each round of words begins with its number, because text that only repeats itself is a fault of a model.
    """
    words = list(islice(cycle(_WORDS), tokens))
    for number, start in enumerate(range(len(_WORDS), tokens, len(_WORDS)), 2):
        words[start] = str(number)
    return " ".join(words)
