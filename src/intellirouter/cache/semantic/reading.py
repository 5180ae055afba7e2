"""Reads a text as the sequence of tokens that decides what it means. Pure.

Removed are greetings, `please` and `thanks`; rewritten are contractions, spellings, number words and a few ways to begin
a question. What is left must be the same in two texts, in the same order. Only texts that are clearly English are
rewritten: others lose only greetings and thanks.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from intellirouter.cache.semantic import phrases
from intellirouter.cache.semantic.phrases import Phrase
from intellirouter.cache.semantic.tokens import SENTENCE_ENDS, Kind, Token, tokens_of

_MIN_ENGLISH_SHARE: Final = 0.15
_MAX_OPENINGS: Final = 4
_MAX_MOVED_TOKENS: Final = 4
_OPENING_ENDS: Final = frozenset(".?!:,\n-–—")
_BYTES_PER_TOKEN: Final = 320
"""Memory of a token with its strings, measured on CPython 3.11."""
_BYTES_PER_READING: Final = 400


@dataclass(frozen=True)
class Reading:
    """What a text means to the guard. Readings are compared with `guard.first_difference`."""

    tokens: tuple[Token, ...]
    is_english: bool
    """Whether the text is clearly English. Otherwise fewer differences are accepted."""
    is_lowercase: bool
    """Whether its author uses no capital letters except at the beginning of sentences."""

    @cached_property
    def size_bytes(self) -> int:
        """The memory that the reading occupies, estimated."""
        return _BYTES_PER_READING + _BYTES_PER_TOKEN * len(self.tokens) + 2 * sum(len(token.raw) for token in self.tokens)


def read_text(text: str) -> Reading:
    """Return the reading of a text."""
    tokens = _expanded(tokens_of(text))
    tokens = _without_closing(_without_openings(tokens))
    is_english = _is_english(tokens)
    if is_english:
        tokens = _with_opening_frame(_with_opening_moved(_rewritten(tokens)))
    return Reading(tuple(tokens), is_english, _is_lowercase(tokens))


def _starts_with(tokens: list[Token], phrase: Phrase, at: int = 0) -> bool:
    if len(tokens) - at < len(phrase):
        return False
    return all(tokens[at + i].kind is Kind.WORD and tokens[at + i].key == word for i, word in enumerate(phrase))


def _word(key: str, like: Token, after: str, *, is_initial: bool) -> Token:
    return Token(Kind.WORD, key, key, after, is_initial) if like.key != key else like._replace(after=after)


def _expanded(tokens: list[Token]) -> list[Token]:
    """Return the tokens with contractions replaced by their words."""
    if not any(token.key in phrases.CONTRACTIONS for token in tokens):
        return tokens
    found: list[Token] = []
    for token in tokens:
        words = phrases.CONTRACTIONS.get(token.key) if token.kind is Kind.WORD else None
        if words is None:
            found.append(token)
            continue
        for i, word in enumerate(words):
            is_last = i == len(words) - 1
            found.append(
                _word(word, token, token.after if is_last else "", is_initial=token.is_initial and i == 0)
            )
    return found


def _without_openings(tokens: list[Token]) -> list[Token]:
    """Return the tokens without greetings and polite words at the beginning."""
    for _ in range(_MAX_OPENINGS):
        length = _opening_length(tokens)
        if not length or len(tokens) - length < 2:
            break
        tokens = [tokens[length]._replace(is_initial=True), *tokens[length + 1 :]]
    return tokens


def _opening_length(tokens: list[Token]) -> int:
    for phrase in phrases.SENTENCE_OPENINGS:
        if _starts_with(tokens, phrase) and not _OPENING_ENDS.isdisjoint(tokens[len(phrase) - 1].after):
            return len(phrase)
    for phrase in phrases.QUESTION_OPENINGS:
        if _is_followed_by(tokens, phrase, phrases.QUESTION_WORDS):
            return len(phrase)
    for phrase in phrases.POLITE_OPENINGS:
        if _starts_with(tokens, phrase):
            return len(phrase)
    for phrase in phrases.REQUEST_OPENINGS:
        if _is_followed_by(tokens, phrase, phrases.IMPERATIVES):
            return len(phrase)
    for phrase in phrases.GREETINGS:
        if _starts_with(tokens, phrase) and _is_greeting(tokens, len(phrase)):
            return len(phrase)
    return 0


def _is_followed_by(tokens: list[Token], phrase: Phrase, words: frozenset[str]) -> bool:
    return _starts_with(tokens, phrase) and len(tokens) > len(phrase) and tokens[len(phrase)].key in words


def _is_greeting(tokens: list[Token], length: int) -> bool:
    if len(tokens) == length:
        return False
    following = tokens[length]
    if following.kind is not Kind.WORD or following.key in phrases.PROPER_GREETINGS:
        return False
    if tokens[length - 1].after.strip():
        return True
    return not following.raw[0].isupper() or following.key in phrases.QUESTION_WORDS | phrases.IMPERATIVES | {"i", "please"}


def _without_closing(tokens: list[Token]) -> list[Token]:
    """Return the tokens without thanks at the end, unless they may be what the request is about."""
    for phrase in phrases.CLOSINGS:
        start = len(tokens) - len(phrase)
        if start < 2 or not _starts_with(tokens, phrase, start):
            continue
        rest = tokens[:start]
        is_separate = bool(rest[-1].after) or tokens[start].raw[0].isupper() or phrase[0] in {"please", "pls", "plz"}
        if is_separate and not _is_about_words(rest):
            return _without_closing(rest)
    return tokens


def _is_about_words(tokens: list[Token]) -> bool:
    return any(
        token.key in phrases.CONTENT_TASKS or ":" in token.after or token.kind is Kind.LITERAL for token in tokens
    )


def _is_english(tokens: list[Token]) -> bool:
    words = [token.key for token in tokens if token.kind is Kind.WORD]
    if not words or not all(map(str.isascii, words)):
        return False
    known = [word for word in words if word in phrases.ENGLISH_MARKS]
    return len(known) >= _MIN_ENGLISH_SHARE * len(words) and any(word in phrases.DISTINCT_ENGLISH for word in known)


def _is_lowercase(tokens: list[Token]) -> bool:
    return not any(
        token.kind is Kind.WORD and token.raw != token.key and token.key != "i" and not token.is_initial for token in tokens
    )


def _rewritten(tokens: list[Token]) -> list[Token]:
    """Return the tokens with one spelling for words, numbers and percentages."""
    found: list[Token] = []
    for i, token in enumerate(tokens):
        if token.kind is not Kind.WORD:
            found.append(token)
        elif token.key in phrases.NUMBER_WORDS and _is_lone_number(tokens, i):
            found.append(token._replace(kind=Kind.NUMBER, key=phrases.NUMBER_WORDS[token.key]))
        elif token.key == "percent" and found and found[-1].kind is Kind.NUMBER:
            found.append(Token(Kind.SYMBOL, "%", "%", token.after, is_initial=False))
        elif token.key in phrases.SPELLINGS:
            *firsts, last = phrases.SPELLINGS[token.key].split("_")
            found += [_word(word, token, "", is_initial=token.is_initial) for word in firsts]
            found.append(token._replace(key=last))
        else:
            found.append(token)
    return found


def _is_lone_number(tokens: list[Token], at: int) -> bool:
    neighbors = tokens[max(at - 1, 0) : at] + tokens[at + 1 : at + 2]
    return not any(token.kind is Kind.NUMBER or token.key in phrases.NUMBER_PARTS for token in neighbors)


def _with_opening_moved(tokens: list[Token]) -> list[Token]:
    """Return `In Python, how …` as `how … in Python`, if the text is one sentence."""
    if not tokens or tokens[0].key not in phrases.MOVABLE_OPENINGS:
        return tokens
    if any(not SENTENCE_ENDS.isdisjoint(token.after) for token in tokens[:-1]):
        return tokens
    for i, token in enumerate(tokens[1 : _MAX_MOVED_TOKENS + 1], start=1):
        if "," in token.after and len(tokens) > i + 2:
            moved = [*tokens[:i], token._replace(after="")]
            return [tokens[i + 1]._replace(is_initial=True), *tokens[i + 2 :], *moved]
    return tokens


def _with_opening_frame(tokens: list[Token]) -> list[Token]:
    """Return the tokens with one of several ways to begin a request."""
    for frame, short in phrases.OPENING_FRAMES:
        if _starts_with(tokens, frame) and len(tokens) > len(frame):
            return [*(Token(Kind.WORD, word, word, "", is_initial=True) for word in short), *tokens[len(frame) :]]
    return tokens
