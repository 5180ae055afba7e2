"""Reads a text as the sequence of tokens that decides what it means. Pure.

Removed are greetings, `please` and `thanks`; rewritten are contractions, spellings, number words and a few ways to
begin a question. What is left must be the same in two texts, in the same order. Only texts that are clearly English are
rewritten: others lose only greetings and thanks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from intellirouter.cache.semantic import phrases
from intellirouter.cache.semantic.phrases import Phrase
from intellirouter.cache.semantic.spellings import SPELLINGS
from intellirouter.cache.semantic.tokens import SENTENCE_ENDS, Kind, Token, tokens_of

_MIN_ENGLISH_SHARE: Final = 0.1
_MAX_OPENINGS: Final = 4
_MAX_MOVED_TOKENS: Final = 4
_MIN_SENTENCE: Final = 6
_MIN_QUESTION: Final = 3
_OPENING_ENDS: Final = frozenset(".?!:,\n-–—")
_BYTES_PER_TOKEN: Final = 185
"""Memory of a token with its strings, measured on CPython 3.11."""
_BYTES_PER_READING: Final = 200


@dataclass(frozen=True)
class Reading:
    """What a text means to the guard. Readings are compared with `guard.first_difference`."""

    tokens: tuple[Token, ...]
    is_english: bool
    """Whether the text is clearly English. Otherwise fewer differences are accepted."""
    is_lowercase: bool
    """Whether its author uses no capital letters, except for `I`."""
    is_about_words: bool
    """Whether it may be about its own words, as in `Translate: …`. Then it must be the same to the letter."""

    @property
    def canonical_text(self) -> str:
        """The text to embed: rewrites of one request have the same, except for typing errors and articles."""
        return " ".join(token.key for token in self.tokens)

    @cached_property
    def size_bytes(self) -> int:
        """The memory that the reading occupies, estimated."""
        return (
            _BYTES_PER_READING + _BYTES_PER_TOKEN * len(self.tokens) + 2 * sum(len(token.raw) for token in self.tokens)
        )


def read_text(text: str) -> Reading:
    """Return the reading of a text."""
    tokens = tokens_of(text)
    is_about_words = _is_about_words(tokens, text)
    tokens = _without_openings(tokens)
    if not is_about_words:
        tokens = _without_closing(tokens)
    is_english = _is_english(tokens)
    if is_english and not is_about_words:
        tokens = _with_opening_frame(_with_opening_moved(_rewritten(_expanded(tokens))))
    return Reading(tuple(tokens), is_english, _is_lowercase(tokens), is_about_words)


def _is_about_words(tokens: list[Token], text: str) -> bool:
    keys = [token.key for token in tokens]
    if not phrases.WORDS_ABOUT_WORDS.isdisjoint(keys) or any(key.startswith(phrases.TRANSLATION_STEMS) for key in keys):
        return True
    return not text.isascii() and any(characters in text for characters in phrases.TRANSLATION_CHARACTERS)


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
            found.append(_word(word, token, token.after if is_last else "", is_initial=token.is_initial and i == 0))
    return found


def _is_enough(tokens: list[Token]) -> bool:
    """Return whether tokens can be a request by themselves. Scripts without spaces have long words."""
    return len(tokens) > 1 or (len(tokens) == 1 and not tokens[0].raw.isascii() and len(tokens[0].raw) >= _MIN_SENTENCE)


def _without_openings(tokens: list[Token]) -> list[Token]:
    """Return the tokens without greetings and polite words at the beginning."""
    dropped: set[str] = set()
    for _ in range(_MAX_OPENINGS):
        length = _opening_length(tokens)
        if not length or tokens[0].key in dropped or not _is_enough(tokens[length:]):
            break
        dropped.add(tokens[0].key)
        tokens = [tokens[length]._replace(is_initial=True), *tokens[length + 1 :]]
    return tokens


def _opening_length(tokens: list[Token]) -> int:
    """Return how many tokens at the beginning are a polite opening; 0 if there is none."""
    for table, is_dropped in _OPENINGS:
        for phrase in table.get(tokens[0].key, ()) if tokens else ():
            if _starts_with(tokens, phrase) and len(tokens) > len(phrase) and is_dropped(tokens, len(phrase)):
                return len(phrase)
    return 0


def _is_sentence(tokens: list[Token], length: int) -> bool:
    return not _OPENING_ENDS.isdisjoint(tokens[length - 1].after)


def _introduces_question(tokens: list[Token], length: int) -> bool:
    return tokens[length].key in phrases.QUESTION_WORDS and len(tokens) >= length + _MIN_QUESTION


def _is_greeting(tokens: list[Token], length: int) -> bool:
    following = tokens[length]
    if following.kind is not Kind.WORD or following.key in phrases.PROPER_GREETINGS:
        return False
    if tokens[length - 1].after.strip() or following.key in phrases.AFTER_GREETINGS:
        return True
    return not following.raw[0].isupper() and not _is_english(tokens[length:])


_OPENINGS: Final[tuple[tuple[phrases.Phrases, Callable[[list[Token], int], bool]], ...]] = (
    (phrases.SENTENCE_OPENINGS, _is_sentence),
    (phrases.QUESTION_OPENINGS, _introduces_question),
    (phrases.POLITE_OPENINGS, lambda _tokens, _length: True),
    (phrases.REQUEST_OPENINGS, lambda tokens, length: tokens[length].key in phrases.TEXT_IMPERATIVES),
    (phrases.HELP_OPENINGS, lambda tokens, length: tokens[length].key in phrases.IMPERATIVES),
    (phrases.GREETINGS, _is_greeting),
)
"""Openings, and when they are dropped. The functions get the tokens and the length of the opening."""


def _without_closing(tokens: list[Token]) -> list[Token]:
    """Return the tokens without thanks at the end, unless they may be part of a text in the request."""
    for phrase in phrases.CLOSINGS.get(tokens[-1].key, ()) if tokens else ():
        start = len(tokens) - len(phrase)
        if start < 1 or not _starts_with(tokens, phrase, start) or not _is_enough(tokens[:start]):
            continue
        rest = tokens[:start]
        is_separate = bool(rest[-1].after) or tokens[start].raw[0].isupper() or phrase[0] in {"please", "pls", "plz"}
        is_in_a_text = rest[-1].kind is Kind.LITERAL or any(":" in token.after for token in rest)
        if is_separate and not is_in_a_text:
            return _without_closing(rest)
    return tokens


def _is_english(tokens: list[Token]) -> bool:
    words = [token.key for token in tokens if token.kind is Kind.WORD]
    if not words or not all(map(str.isascii, words)):
        return False
    distinct = sum(word in phrases.DISTINCT_ENGLISH for word in words)
    known = sum(word in phrases.ENGLISH_MARKS for word in words)
    foreign = sum(word in phrases.FOREIGN_MARKS for word in words)
    return distinct > foreign and known >= _MIN_ENGLISH_SHARE * len(words)


def _is_lowercase(tokens: list[Token]) -> bool:
    return all(token.kind is not Kind.WORD or token.key in {token.raw, "i"} for token in tokens)


def _rewritten(tokens: list[Token]) -> list[Token]:
    """Return the tokens with one spelling for words, numbers and percentages."""
    found: list[Token] = []
    for i, token in enumerate(tokens):
        if token.raw == "&" and 0 < i < len(tokens) - 1 and tokens[i - 1].kind is tokens[i + 1].kind is Kind.WORD:
            found.append(Token(Kind.WORD, "and", "and", "", is_initial=False))
        elif token.kind is not Kind.WORD:
            found.append(token)
        elif token.key in phrases.NUMBER_WORDS and _is_lone_number(tokens, i):
            found.append(token._replace(kind=Kind.NUMBER, key=phrases.NUMBER_WORDS[token.key]))
        elif token.key == "percent" and found and found[-1].kind is Kind.NUMBER:
            found.append(Token(Kind.SYMBOL, "%", "%", token.after, is_initial=False))
        elif token.key in SPELLINGS:
            *firsts, last = SPELLINGS[token.key].split("_")
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
        if "," in token.after and len(tokens) > i + 3:
            moved = [*tokens[:i], token._replace(after=tokens[-1].after)]
            return [tokens[i + 1]._replace(is_initial=True), *tokens[i + 2 : -1], tokens[-1]._replace(after=""), *moved]
    return tokens


def _with_opening_frame(tokens: list[Token]) -> list[Token]:
    """Return the tokens with one of several ways to begin a request."""
    if not tokens:
        return tokens
    for frame in phrases.FRAMES_BY_FIRST_WORD.get(tokens[0].key, ()):
        if _starts_with(tokens, frame) and len(tokens) > len(frame):
            short = phrases.FRAMES[frame]
            return [*(Token(Kind.WORD, word, word, "", is_initial=True) for word in short), *tokens[len(frame) :]]
    return tokens
