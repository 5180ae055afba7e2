"""The guard of the semantic cache: finds what could change the answer. Pure.

It does not look for known kinds of differences. It accepts known harmless ones (see `reading`), and everything else is
a difference. The name of a difference is for the record only.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from intellirouter.cache.semantic import phrases, typos
from intellirouter.cache.semantic.reading import Reading
from intellirouter.cache.semantic.tokens import Kind, Token

_MAX_SHOWN: Final = 3
_MAX_SHOWN_LENGTH: Final = 40
_MAX_UNIT_LENGTH: Final = 3
_SENTENCE_END: Final = 2
_MIN_WORDS_FOR_ARTICLES: Final = 7
_MAX_WORDS_WITH_COMMAS: Final = 8
"""Up to so many words, a comma can change the meaning: `Let us eat, Grandma.`"""
_KINDS: Final = (
    ("negation", phrases.NEGATIONS),
    ("quantifier", phrases.QUANTIFIERS),
    ("comparison", phrases.COMPARATORS),
    ("question word", phrases.QUESTIONS),
    ("date", phrases.DATES),
    ("language", phrases.LANGUAGES),
    ("unit", phrases.UNITS),
)


@dataclass(frozen=True)
class Difference:
    """A difference that could change the answer."""

    kind: str
    """`number`, `negation`, `name`, `word`, `word order`, …"""
    words: tuple[str, ...] = ()
    """Some of the words that only one of the texts contains. They are part of a prompt: do not log them."""


def first_difference(one: Reading, other: Reading) -> Difference | None:
    """Return a difference between two texts that could change the answer, or None if they ask for the same."""
    if not one.tokens or not other.tokens:
        return Difference("no words")
    if one.is_about_words or other.is_about_words:
        return _literal_difference(one.tokens, other.tokens)
    return _Comparison(one, other).run()


def _literal_difference(left: tuple[Token, ...], right: tuple[Token, ...]) -> Difference | None:
    """Compare texts that must be the same, except for the case of the first word, white space and a last full stop."""
    if len(left) != len(right):
        return _difference(left, right, max(left, right, key=len)[-1])
    for i, (mine, others) in enumerate(zip(left, right, strict=True)):
        is_last = i == len(left) - 1
        is_same = mine.raw == others.raw or (not i and mine.key == others.key)
        if (
            mine.kind is not others.kind
            or not is_same
            or _marks(mine, is_last=is_last) != _marks(others, is_last=is_last)
        ):
            return _difference(left, right, mine, others)
    return None


def _marks(token: Token, *, is_last: bool) -> str:
    """Return the punctuation after a token."""
    marks = "".join(token.after.split())
    return "" if is_last and marks == "." else marks


class _Comparison:
    """Compares two readings, token by token."""

    def __init__(self, one: Reading, other: Reading) -> None:
        self._left = one.tokens
        self._right = other.tokens
        self._is_english = one.is_english and other.is_english
        self._is_casual = one.is_lowercase or other.is_lowercase
        self._length = min(len(one.tokens), len(other.tokens))
        self._typos = typos.typos_allowed(self._length) if self._is_english else 0

    def run(self) -> Difference | None:
        left, right = self._left, self._right
        i = j = 0
        while i < len(left) and j < len(right):
            mine, others = left[i], right[j]
            if self._is_same(mine, others) or self._is_accepted_typo(mine, others):
                found = self._difference_around(i, j)
                if found is not None:
                    return found
                i, j = i + 1, j + 1
                if ":" in mine.after or ":" in others.after:  # What follows may be a text to work on.
                    return _literal_difference(left[i:], right[j:])
            elif self._is_optional(left, i) and not _is_article(others):
                i += 1
            elif self._is_optional(right, j) and not _is_article(mine):
                j += 1
            else:
                return _difference(left, right, mine, others)
        if i < len(left) or j < len(right):
            return _difference(left, right, (*left[i:], *right[j:])[0])
        return None

    def _is_same(self, one: Token, other: Token) -> bool:
        if one.kind is not other.kind:
            return False
        if one.kind is Kind.LITERAL:
            is_name = self._is_casual and one.raw.isalnum()
            return one.raw == other.raw or (is_name and one.raw.casefold() == other.raw.casefold())
        return one.key == other.key and (
            one.raw == other.raw or one.kind is not Kind.WORD or self._is_same_case(one, other)
        )

    def _is_same_case(self, one: Token, other: Token) -> bool:
        """Return whether two forms of a word that differ in their case, or were rewritten, are the same word."""
        is_lower = one.raw in {one.key, one.raw.lower()} or other.raw in {other.key, other.raw.lower()}
        if one.raw.casefold() != other.raw.casefold():
            return is_lower or (one.raw.istitle() and other.raw.istitle())
        if not is_lower:
            return False
        if one.is_initial or other.is_initial:
            return True
        if one.key in phrases.CASE_MATTERS or (len(one.key) == 1 and one.key != "i"):
            return False
        if _is_article(one):  # a part of a name: The Times
            return self._is_casual
        return self._is_english or self._is_casual

    def _is_accepted_typo(self, one: Token, other: Token) -> bool:
        if not self._typos or one.kind is not Kind.WORD or other.kind is not Kind.WORD:
            return False
        is_name = one.raw[0].isupper() and other.raw[0].isupper() and not (one.is_initial and other.is_initial)
        is_typo = typos.is_typo(one.key, other.key, is_name=is_name)
        self._typos -= is_typo
        return is_typo

    def _is_optional(self, tokens: tuple[Token, ...], at: int) -> bool:
        """Return whether the token is an article that does not change the meaning, and no part of a name."""
        token = tokens[at]
        if not self._is_english or self._length < _MIN_WORDS_FOR_ARTICLES or not _is_article(token):
            return False
        if token.raw != token.key or not at or at + 1 == len(tokens) or tokens[at + 1].kind is not Kind.WORD:
            return False
        before = phrases.BEFORE_THE if token.key == "the" else phrases.BEFORE_A
        return tokens[at - 1].key in before and tokens[at + 1].key not in phrases.NOT_AFTER_ARTICLES

    def _difference_around(self, i: int, j: int) -> Difference | None:
        """Return a difference between two tokens that are the same: MB and Mb after a number, or a pause after them."""
        left, right = self._left, self._right
        mine, others = left[i], right[j]
        if mine.raw != others.raw and _is_unit(left, i):
            return Difference("unit", (mine.raw, others.raw))
        if i + 1 < len(left) and j + 1 < len(right):
            pauses = {_pause_after(mine), _pause_after(others)}
            if len(pauses) > 1 and (self._length <= _MAX_WORDS_WITH_COMMAS or _SENTENCE_END in pauses):
                return Difference("punctuation", (mine.raw[:_MAX_SHOWN_LENGTH],))
        return None


def _is_article(token: Token) -> bool:
    return token.kind is Kind.WORD and token.key in phrases.ARTICLES


def _is_unit(tokens: tuple[Token, ...], at: int) -> bool:
    """Return whether the case of a word matters because it can be a unit."""
    return at > 0 and tokens[at - 1].kind is Kind.NUMBER and len(tokens[at].raw) <= _MAX_UNIT_LENGTH


def _pause_after(token: Token) -> int:
    """Return which pause follows a token: none, one inside of a sentence, or the end of the sentence."""
    if not token.after.strip():
        return 0
    return _SENTENCE_END if any(char in ".?!。？！" for char in token.after) else 1


def _difference(left: tuple[Token, ...], right: tuple[Token, ...], *at: Token) -> Difference:
    """Return the difference with its name. `at`: the first tokens that differ."""
    mine = Counter((token.kind, token.key) for token in left)
    others = Counter((token.kind, token.key) for token in right)
    pairs = (mine - others) + (others - mine)
    shown = tuple(key[:_MAX_SHOWN_LENGTH] for _, key in list(pairs)[:_MAX_SHOWN])
    if not pairs:
        kind = "form" if all(token.key == at[0].key for token in at) else "word order"
        return Difference(kind, tuple(token.raw[:_MAX_SHOWN_LENGTH] for token in at))
    kinds = {kind for kind, _ in pairs}
    if Kind.NUMBER in kinds:
        return Difference("number", shown)
    words = {key for kind, key in pairs if kind is Kind.WORD}
    for name, known in _KINDS:
        if words & known:
            return Difference(name, shown)
    if Kind.LITERAL in kinds:
        return Difference("literal", shown)
    if Kind.SYMBOL in kinds:
        return Difference("symbol", shown)
    raws = {token.raw for token in (*left, *right) if token.key in words and not token.is_initial}
    return Difference("name" if any(raw[0].isupper() for raw in raws) else "word", shown)
