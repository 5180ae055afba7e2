"""Decides whether two different words are one word with a typing error. Pure.

Only errors that rarely make another word are accepted: two neighboring letters in the wrong order, and a consonant that
is doubled or not. `cat` and `car`, `sulfate` and `sulfite`, `insulin` and `inulin` differ in other ways.
"""

from itertools import groupby
from typing import Final

from intellirouter.cache.semantic.confusable_words import SWAPPED_WORDS

_MIN_SWAPPED: Final = 5
"""Minimum length of words in which two letters may be swapped."""
_MIN_SWAPPED_IN_NAME: Final = 6
_MIN_DOUBLED: Final = 9
"""Minimum length of the longer word if a letter is doubled."""
_NEVER_DOUBLED: Final = frozenset("aeious")
"""`employes` and `employees`, `deadlines` and `deadliness` are different words."""
_DOUBLED_WORDS: Final = frozenset(
    frozenset(pair.split("/"))
    for pair in (
        "scrapers/scrappers scraping/scrapping striping/stripping stripers/strippers refiling/refilling"
        " resiting/resitting tininess/tinniness bareness/barrenness corespondent/correspondent"
        " corespondents/correspondents paterson/patterson monterey/monterrey refilling/refiling"
    ).split()
)
_WORDS_PER_TYPO: Final = 12
_MAX_TYPOS: Final = 3


def is_typo(one: str, other: str, *, is_name: bool = False) -> bool:
    """Return whether two words in lower case are the same word with one typing error."""
    if one == other or one[0] != other[0] or not (one.isascii() and other.isascii()):
        return False
    if not (one.isalpha() and other.isalpha()):
        return False
    if len(one) == len(other):
        min_length = _MIN_SWAPPED_IN_NAME if is_name else _MIN_SWAPPED
        return len(one) >= min_length and _is_one_swap(one, other) and frozenset((one, other)) not in SWAPPED_WORDS
    if is_name:
        return False
    shorter, longer = sorted((one, other), key=len)
    return len(longer) >= _MIN_DOUBLED and len(longer) == len(shorter) + 1 and _has_one_more_consonant(longer, shorter)


def typos_allowed(words: int) -> int:
    """Return how many typing errors a text with so many words may have."""
    return min(_MAX_TYPOS, 1 + words // _WORDS_PER_TYPO)


def _is_one_swap(one: str, other: str) -> bool:
    different = [at for at in range(len(one)) if one[at] != other[at]]
    if len(different) != 2 or different[1] != different[0] + 1:
        return False
    first, second = different
    return one[first] == other[second] and one[second] == other[first]


def _has_one_more_consonant(longer: str, shorter: str) -> bool:
    """Return whether the words are the same except for one consonant that is doubled."""
    if frozenset((longer, shorter)) in _DOUBLED_WORDS:
        return False
    long_runs = [(letter, len(list(run))) for letter, run in groupby(longer)]
    short_runs = [(letter, len(list(run))) for letter, run in groupby(shorter)]
    if [letter for letter, _ in long_runs] != [letter for letter, _ in short_runs]:
        return False
    return all(
        many == few or letter not in _NEVER_DOUBLED
        for (letter, many), (_, few) in zip(long_runs, short_runs, strict=True)
    )
