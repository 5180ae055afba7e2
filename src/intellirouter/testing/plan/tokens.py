"""A toy tokeniser: pieces of at most eight characters with the blank before them. They join back to the text."""

import re
from itertools import cycle, islice
from typing import Final

_TOKEN: Final = re.compile(r"\s?\S{1,8}|\s")
_WORDS: Final = re.findall(
    r"\w{1,8}",  # so that each is one token
    "lorem ipsum dolor sit amet elit sed do eiusmod tempor ut labore et dolore magna aliqua enim ad minim veniam "
    "quis nostrud ullamco laboris nisi aliquip ex ea commodo duis aute irure in velit esse cillum fugiat nulla "
    "pariatur sint occaecat non proident sunt culpa qui officia deserunt mollit anim id est laborum",
)


def split_tokens(text: str) -> list[str]:
    """Cut `text` into tokens; `"".join` of them is `text`."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    return sum(1 for _ in _TOKEN.finditer(text))


def lorem(tokens: int) -> str:
    """Return a text of exactly `tokens` tokens, the same each time."""
    return " ".join(islice(cycle(_WORDS), tokens))
