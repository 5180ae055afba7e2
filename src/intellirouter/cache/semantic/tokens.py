"""Splits a text into tokens: words, numbers, literals and symbols. Pure.

Literals are compared exactly: quoted strings, code, URLs, paths, identifiers. Punctuation of prose is not a token; it
is the `after` of the token before it, because it separates sentences.
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
    (?P<word>[^\W\d_]+(?:'[^\W\d_]+)*(?=[\s,;!?)]|\.\s|\.?\Z))     # the most frequent case first
  | (?P<literal>
        `[^`\n]+`                                       # code
      | "[^"\n]{1,300}" | “[^”\n]{1,300}” | „[^“”\n]{1,300}[“”]
      | «[^»\n]{1,300}» | 「[^」\n]{1,300}」 | 『[^』\n]{1,300}』
      | (?<!\w)'[^'\n]{1,300}'(?!\w)
      | \w+://\S{0,500}[^\s.,;:!?)\]}'"]                # URL
      | (?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+        # mail address
      | (?<![\w./\\@~-])[\w.~-]*[/\\_@][\w./\\_@~-]*\w  # path, identifier
      | [^\W\d_]+(?:\.[^\W_]+)+                         # node.js, report.pdf
      | [^\W\d_]+\d[\w.-]*(?<![.-])                     # utf8, v1.2
    )
  | (?P<grouped>(?<![\w(\[{,.-])\d{1,3}(?:,\d{3})+(?![\w,)\]}]|\.\d))
  | (?P<number>(?:(?<![\w)\]])[-+\u2212])?\d(?:[\w.,:/\u2013\u2212-]*[\w])?)
  | (?P<letters>[^\W\d_]+(?:'[^\W\d_]+)*)
  | (?P<symbol>\S)
    """,
    re.VERBOSE,
)
_FENCES: Final = ("```", "~~~")
_CODE_LINE: Final = re.compile(
    r"^(?:\s{2,}|\t)\S|[{}=<>|]|;\s*$|\w\(.*\)|^\s*(?:def|class|import|from|return|#include|SELECT|\$|>>>)\b"
)


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a text.

    Unicode is composed (NFC), but not folded for compatibility: 10² is not 102.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_TRANSLATED)
    found: list[Token] = []
    for prose, code in _parts(text.strip()):
        _add_prose(found, prose)
        if code:
            _add(found, Kind.LITERAL, code, code, "\n")
    return found


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Yield prose, and the line of code after it. A text of one line is prose."""
    lines = text.split("\n")
    if len(lines) == 1 or not any(map(_is_code, lines)):
        yield text, ""
        return
    is_fenced = False
    prose: list[str] = []
    for line in lines:
        is_fence = line.lstrip().startswith(_FENCES)
        if is_fenced or _is_code(line):
            is_fenced = is_fenced != is_fence
            yield "\n".join(prose), line.rstrip()
            prose = []
        else:
            prose.append(line)
    yield "\n".join(prose), ""


def _is_code(line: str) -> bool:
    return line.lstrip().startswith(_FENCES) or _CODE_LINE.search(line) is not None


def _add(found: list[Token], kind: Kind, key: str, raw: str, after: str) -> None:
    is_initial = not found or not SENTENCE_ENDS.isdisjoint(found[-1].after)
    found.append(Token(kind, key, raw, after, is_initial))


def _add_prose(found: list[Token], text: str) -> None:
    """Append the tokens of prose, each with the soft punctuation after it."""
    kind, raw, after, end = Kind.WORD, "", "", 0
    for match in _TOKEN.finditer(text):
        start = match.start()
        group = match.lastgroup
        if start > end and "\n" in text[end:start]:
            after += "\n"
        end = match.end()
        if group == "symbol" and _is_soft(text, start):
            after += text[start]
            continue
        if raw:
            _add(found, kind, _key(kind, raw), raw, after)
        after = ""
        raw = match[0].replace(",", "") if group == "grouped" else match[0]
        kind = _KINDS[str(group)]
    if raw:
        _add(found, kind, _key(kind, raw), raw, after)


def _key(kind: Kind, raw: str) -> str:
    return raw.casefold() if kind is Kind.WORD else raw


_KINDS: Final = {
    "word": Kind.WORD,
    "letters": Kind.WORD,
    "literal": Kind.LITERAL,
    "grouped": Kind.NUMBER,
    "number": Kind.NUMBER,
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
