"""Splits a text into tokens: words, numbers, literals and symbols. Pure.

Literals are compared exactly: quoted strings, code, URLs, paths, identifiers. Punctuation of prose is not a token; it is
kept as `after` of the token before it, because it separates sentences.
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    WORD = "word"
    NUMBER = "number"
    LITERAL = "literal"
    SYMBOL = "symbol"


class Token(NamedTuple):
    """A piece of a text. Two tokens are the same if their keys and kinds are equal."""

    kind: Kind
    key: str
    """What is compared: a word without its case, a number without separators, otherwise the text itself."""
    raw: str
    after: str
    """The punctuation of prose that follows, such as `,` or `?`."""
    is_initial: bool
    """Whether it is at the beginning of a sentence, where a capital letter means nothing."""


SENTENCE_ENDS: Final = frozenset(".?!:\n。？！：")
_SOFT: Final = frozenset(".,;:!?…\n\t ¿¡。、，；：？！．'’‘\"")
"""Punctuation that separates words and sentences."""
_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_INVISIBLE: Final = dict.fromkeys((0x00AD, 0x200B, 0xFEFF))
_APOSTROPHES: Final = {0x2019: "'", 0x02BC: "'"}
_TRANSLATED: Final = {**_FULL_WIDTH, **_INVISIBLE, **_APOSTROPHES}

_TOKEN: Final = re.compile(
    r"""
    (?P<literal>
        ```.*?(?:```|\Z) | ~~~.*?(?:~~~|\Z)          # fenced code
      | `[^`\n]+`                                    # inline code
      | "[^"\n]+" | “[^”\n]+” | „[^“”\n]+[“”] | «[^»\n]+» | 「[^」\n]+」 | 『[^』\n]+』
      | (?<!\w)'[^'\n]+'(?!\w)
      | \w+://\S*[^\s.,;:!?)\]}'"]                   # URL
      | (?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+     # mail address
      | (?<![\w.~-])[\w.~-]*[/\\_@][\w./\\_@~-]*\w   # path, identifier
      | [^\W\d_]+(?:\.[^\W_]+)+                      # node.js, report.pdf
      | [^\W\d_]+\d[\w.-]*(?<![.-])                  # x86-64, utf8, v1.2
    )
  | (?P<grouped>(?<![\w(\[{,.-])\d{1,3}(?:,\d{3})+(?![\w,)\]}]|\.\d))
  | (?P<number>(?:(?<![\w)\]])[-+\u2212])?\d(?:[\w.,:/\u2013\u2212-]*[\w])?)
  | (?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)
  | (?P<symbol>\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_CODE_LINE: Final = re.compile(
    r"^(?:\s{2,}|\t)\S|[{}=<>|]|;\s*$|\w\(.*\)|^\s*(?:def|class|import|from|return|#include|SELECT|\$|>>>)\b"
)


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a text.

    Unicode is composed (NFC), but not folded for compatibility: 10² is not 102.
    """
    clean = unicodedata.normalize("NFC", text).translate(_TRANSLATED)
    found: list[Token] = []
    is_initial = True
    for kind, raw, after in _pieces(clean):
        found.append(Token(kind, _key(kind, raw), raw, after, is_initial))
        is_initial = not SENTENCE_ENDS.isdisjoint(after)
    return found


def _key(kind: Kind, raw: str) -> str:
    if kind is Kind.WORD:
        return raw.casefold()
    return raw


def _pieces(text: str) -> Iterator[tuple[Kind, str, str]]:
    """Yield kind, text and the punctuation after it. Lines of code are one literal each."""
    lines = text.strip().split("\n")
    if len(lines) == 1 or not any(map(_CODE_LINE.search, lines)):
        yield from _pieces_of_prose(text)
        return
    is_fenced = False
    prose: list[str] = []
    for line in lines:
        is_fence = line.lstrip().startswith(("```", "~~~"))
        if is_fenced or is_fence or _CODE_LINE.search(line):
            is_fenced = is_fenced != is_fence
            yield from _pieces_of_prose("\n".join(prose))
            prose = []
            if line.strip():
                yield Kind.LITERAL, line.rstrip(), "\n"
        else:
            prose.append(line)
    yield from _pieces_of_prose("\n".join(prose))


def _pieces_of_prose(text: str) -> Iterator[tuple[Kind, str, str]]:
    pending: tuple[Kind, str] | None = None
    after: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if "\n" in text[end : match.start()]:
            after.append("\n")
        end = match.end()
        group = str(match.lastgroup)
        raw = match[0]
        if group == "symbol" and _is_soft(text, match.start()):
            after.append(raw)
            continue
        if pending is not None:
            yield *pending, "".join(after)
        after = []
        pending = _KINDS[group], raw.replace(",", "") if group == "grouped" else raw
    if pending is not None:
        yield *pending, "".join(after)


_KINDS: Final = {
    "literal": Kind.LITERAL,
    "grouped": Kind.NUMBER,
    "number": Kind.NUMBER,
    "word": Kind.WORD,
    "symbol": Kind.SYMBOL,
}
_HYPHENS: Final = frozenset("-\u2010\u2011\u2013\u2014")


def _is_soft(text: str, at: int) -> bool:
    """Return whether the character is punctuation of prose. In `5!`, `A - B`, `f'(x)` and `.5` it is not."""
    char = text[at]
    before = text[at - 1] if at else " "
    following = text[at + 1] if at + 1 < len(text) else " "
    if char in _HYPHENS:
        return _joins_words(text, at, before, following)
    if char == "!":
        return not (before.isdigit() or following.isalnum() or following == "=" or _is_single_letter(text, at - 1))
    if char in "'\"‘":
        return (before.isalpha() and not following.isalnum() and following != "(") or (
            before.isspace() and following.isalpha()
        )
    if char in ".:?":
        return not following.isalnum() or (before.isalpha() and following.isupper())
    return char in _SOFT


def _joins_words(text: str, at: int, before: str, following: str) -> bool:
    """Return whether a hyphen or dash is between words, but not between numbers or single letters."""
    if before.isspace() and following.isspace():
        left, right = at - 2, at + 2
        return not (
            text[max(left, 0) : at - 1].isdigit()
            or text[right : right + 1].isdigit()
            or _is_single_letter(text, left)
            or _is_single_letter(text, right)
        )
    return before.isalpha() and following.isalpha() and not _is_single_letter(text, at - 1)


def _is_single_letter(text: str, at: int) -> bool:
    if at < 0 or at >= len(text) or not text[at].isalpha():
        return False
    return not (at and text[at - 1].isalnum()) and not (at + 1 < len(text) and text[at + 1].isalnum())
