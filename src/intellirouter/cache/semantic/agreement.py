"""Decides whether a stored answer and a real one say the same, for `PrecisionMonitor`. Pure.

A model words its answers differently each time, so this is an estimate. It errs on the side of disagreement for short
answers, where a single word counts, and looks at the meaning of long ones.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from intellirouter.cache.semantic import phrases
from intellirouter.cache.semantic.reading import read_text
from intellirouter.cache.semantic.tokens import Kind, Token

_SHORT_WORDS: Final = 12
"""Up to so many tokens, an answer is compared word by word."""
_MIN_COSINE: Final = 0.8
_MIN_SHARED_NUMBERS: Final = 0.5
_YES_NO: Final = re.compile(r"^\W*(yes|no|true|false|ja|nein|oui|non|sí|si|da|нет|да)\b", re.IGNORECASE)
_FUNCTION_WORDS: Final = phrases.ENGLISH_MARKS | {"a", "an", "it", "be", "was", "were", "as", "at", "on", "by"}

Cosine = Callable[[str, str], float]
"""Returns the similarity of two texts, from -1 to 1."""


def answers_agree(stored: str, real: str, cosine: Cosine) -> bool:
    """Return whether two answers to one request say the same."""
    if stored.strip() == real.strip():
        return True
    if _verdict(stored) != _verdict(real):
        return False
    ours, theirs = read_text(stored).tokens, read_text(real).tokens
    if min(len(ours), len(theirs)) <= _SHORT_WORDS:
        return _content(ours) == _content(theirs)
    return _shared_numbers(ours, theirs) >= _MIN_SHARED_NUMBERS and cosine(stored, real) >= _MIN_COSINE


def _verdict(text: str) -> str:
    """Return the yes or no with which an answer begins; empty if it begins with something else."""
    match = _YES_NO.match(text)
    return match[1].casefold() if match else ""


def _content(tokens: tuple[Token, ...]) -> Counter[str]:
    return Counter(token.key for token in tokens if token.key not in _FUNCTION_WORDS)


def _shared_numbers(ours: tuple[Token, ...], theirs: tuple[Token, ...]) -> float:
    """Return which share of the numbers in the two answers is in both; 1 without numbers."""
    mine, others = ({token.key for token in tokens if token.kind is Kind.NUMBER} for tokens in (ours, theirs))
    every = mine | others
    return len(mine & others) / len(every) if every else 1.0
