"""The guard of the semantic cache: finds what could change the answer. Pure.

It does not look for known kinds of differences. It accepts known harmless ones (see `reading`), and everything else is a
difference. The name of a difference is for the record only.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from intellirouter.cache.semantic import phrases, typos
from intellirouter.cache.semantic.reading import Reading
from intellirouter.cache.semantic.tokens import Kind, Token

_MAX_SHOWN: Final = 3
_MAX_SHOWN_LENGTH: Final = 40
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
    left, right = one.tokens, other.tokens
    if not left or not right:
        return Difference("no words")
    both_english = one.is_english and other.is_english
    typos_left = typos.typos_allowed(min(len(left), len(right))) if both_english else 0
    is_casual = one.is_lowercase or other.is_lowercase
    i = j = 0
    while i < len(left) and j < len(right):
        if _is_same(left[i], right[j], is_english=both_english, is_casual=is_casual):
            i, j = i + 1, j + 1
        elif both_english and _is_optional(left, i) and not _is_article(right[j]):
            i += 1
        elif both_english and _is_optional(right, j) and not _is_article(left[i]):
            j += 1
        elif typos_left and _is_typo(left[i], right[j]):
            typos_left, i, j = typos_left - 1, i + 1, j + 1
        else:
            return _difference(left, right, left[i], right[j])
    if i < len(left) or j < len(right):
        return _difference(left, right, *(*left[i:], *right[j:])[:1])
    return None


def _is_same(one: Token, other: Token, *, is_english: bool, is_casual: bool) -> bool:
    if one.kind is not other.kind:
        return False
    if one.raw == other.raw:
        return one.key == other.key
    if one.kind is Kind.LITERAL:
        return is_casual and one.raw.isalnum() and one.raw.casefold() == other.raw.casefold()
    if one.key != other.key:
        return False
    return one.kind is not Kind.WORD or _is_same_case(one, other, is_english=is_english, is_casual=is_casual)


def _is_same_case(one: Token, other: Token, *, is_english: bool, is_casual: bool) -> bool:
    """Return whether two spellings that differ in their case are the same word."""
    if _has_inner_capital(one.raw) and _has_inner_capital(other.raw):
        return one.key != one.raw.casefold() or one.raw.isupper() or other.raw.isupper()
    if one.is_initial or other.is_initial:
        return True
    if one.key in phrases.CASE_MATTERS:
        return False
    return is_english or is_casual


def _has_inner_capital(raw: str) -> bool:
    return raw[1:] != raw[1:].lower()


def _is_article(token: Token) -> bool:
    return token.kind is Kind.WORD and token.key in phrases.ARTICLES


def _is_optional(tokens: tuple[Token, ...], at: int) -> bool:
    """Return whether the token is an article that does not change the meaning, and no part of a name."""
    token = tokens[at]
    if not _is_article(token) or at + 1 >= len(tokens) or tokens[at + 1].key in phrases.NOT_AFTER_ARTICLES:
        return False
    if token.raw[0].isupper() and not token.is_initial:
        return False
    if token.key != "the" and (not at or tokens[at - 1].key not in phrases.BEFORE_ARTICLES):
        return False  # `vitamin A deficiency`, in lower case
    return tokens[at + 1].kind is Kind.WORD


def _is_typo(one: Token, other: Token) -> bool:
    if one.kind is not Kind.WORD or other.kind is not Kind.WORD:
        return False
    are_names = one.raw[0].isupper() and other.raw[0].isupper() and not (one.is_initial and other.is_initial)
    return not are_names and typos.is_typo(one.key, other.key)


def _difference(left: tuple[Token, ...], right: tuple[Token, ...], *at: Token) -> Difference:
    """Return the difference with its name. `at`: the first tokens that differ."""
    mine = Counter((token.kind, token.key) for token in left)
    others = Counter((token.kind, token.key) for token in right)
    pairs = (mine - others) + (others - mine)
    for article in phrases.ARTICLES:
        pairs.pop((Kind.WORD, article), None)
    shown = tuple(key[:_MAX_SHOWN_LENGTH] for _, key in list(pairs)[:_MAX_SHOWN])
    if not pairs:
        kind = "word order" if mine == others else "article"
        if all(token.key == at[0].key for token in at):
            kind = "capital letters"
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
