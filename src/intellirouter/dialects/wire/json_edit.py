"""Edits of JSON bytes that leave all other bytes unchanged.

A passthrough only changes `model` and the usage opt-in, so it does not decode and encode the request. Instead, it finds
and replaces the values of top-level members.
"""

import re
from functools import lru_cache, partial
from typing import Final

import msgspec

from intellirouter.dialects.wire.search import SLICE_BYTES, contains, find

TOKEN: Final = re.compile(rb'["\[\]{},:]')
_STRING_PIECE: Final = re.compile(rb'(?:[^"\\]{1,4096}+|\\.){0,256}+', re.DOTALL)
"""Bounded, because a search holds the interpreter lock. Possessive, because backtracking positions take memory."""
_MODEL_KEY: Final = b'"model"'
_ESCAPED_LETTER: Final = rb"\u006"
"""The beginning of the escape sequences of all letters in `model`."""
_ESCAPED_ASCII: Final = rb"\u00"
_ESCAPED_LETTERS: Final = (rb"\u006", rb"\u007", rb"\u005", rb"\u004")
"""The beginnings of the escape sequences of letters and of the underscore."""
ESCAPED_LOWERCASE: Final = _ESCAPED_LETTERS[:2]
"""The beginnings of the escape sequences of lowercase letters."""
_ESCAPED_LETTER_PATTERN: Final = re.compile(rb"\\u00[4-7]")
_SMALL_BYTES: Final = 4096
_SPACE: Final = b" \t\r\n"
_BACKSLASH: Final = 0x5C
"""An integer, because `in` takes several times as long for `bytes`."""

Span = tuple[int, int]


def top_level_spans(body: bytes, name: str) -> list[Span]:
    """Return the spans of the values of all top-level members called `name`. `body` must be a valid JSON object."""
    spans: list[Span] = []
    depth = 0
    is_key, is_match = True, False
    value_start = 0
    at = 0
    while (token := TOKEN.search(body, at)) is not None:
        first, at = body[token.start()], token.end()
        if first == 0x22:  # "
            at = end_of_string(body, at)
            if depth == 1 and is_key:
                is_key = False
                is_match = is_name(body[token.start() : at], name)
        elif first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
            if depth == 0 and is_match:
                spans.append(_trim(body, value_start, token.start()))
        elif depth != 1:
            continue
        elif first == 0x2C:  # ,
            if is_match:
                spans.append(_trim(body, value_start, token.start()))
            is_key, is_match = True, False
        elif first == 0x3A:  # :
            value_start = token.end()
    return spans


def end_of_string(body: bytes, at: int) -> int:
    """Return the position after a string whose content begins at this position."""
    while (end := _STRING_PIECE.match(body, at).end()) > at:  # type: ignore[union-attr]  # it also matches nothing
        at = end
    return at + 1


def may_escape_names(body: bytes, letters: tuple[bytes, ...] = _ESCAPED_LETTERS) -> bool:
    """Return whether letters, also those in the names of members, may be written with escape sequences.

    `letters` are the beginnings of the escape sequences to search for in a large body.
    """
    if _BACKSLASH not in body:
        return False
    if len(body) <= _SMALL_BYTES:
        return _ESCAPED_LETTER_PATTERN.search(body) is not None
    return contains(body, _ESCAPED_ASCII) and any(contains(body, each) for each in letters)


def end_of_value(body: bytes, at: int) -> int:
    """Return the end of the value at this position, or of what can be one in text that is not valid JSON."""
    start, depth = at, 0
    while (token := TOKEN.search(body, at)) is not None:
        first, at = body[token.start()], token.end()
        if first == 0x22:  # "
            at = end_of_string(body, at)
            if depth == 0:
                return at
        elif first in b"{[":
            depth += 1
        elif depth == 0:
            return _trim(body, start, token.start())[1] if token.start() > start else start
        elif first in b"}]":
            depth -= 1
            if depth == 0:
                return at
    return len(body)


def is_name(key: bytes, name: str) -> bool:
    """Return whether the key, which may contain escapes, is `name`. A key that is not valid UTF-8 is not."""
    try:
        return bool(msgspec.json.decode(key) == name)
    except UnicodeDecodeError:
        return False


def _trim(body: bytes, start: int, end: int) -> Span:
    while body[start] in _SPACE:
        start += 1
    while body[end - 1] in _SPACE:
        end -= 1
    return start, end


def model_spans(body: bytes, model: str, *, is_unique: bool = False) -> list[Span]:
    """Return the spans of the values of the top-level member `model`.

    `is_unique`: it is known that there is only one. If then the text before or after the value shows that it is at the
    top level, this takes only one search.
    """
    search = body.find if len(body) <= SLICE_BYTES else partial(find, body)
    key = search(_MODEL_KEY, 0)
    value = json_string(model)
    start = search(value, key + len(_MODEL_KEY))
    if is_unique:  # the quotation mark may belong to an escape sequence in a longer name
        is_only_one = key > 0 and body[key - 1] != 0x5C
    else:
        has_escapes = b"\\" in body and contains(body, _ESCAPED_LETTER)
        is_only_one = not contains(body, _MODEL_KEY, key + 1) and not has_escapes
    if key >= 0 and start >= 0 and is_only_one:
        end = start + len(value)
        between = body[key + len(_MODEL_KEY) : start]
        if between.strip(_SPACE) == b":" and (_opens_document(body[:key]) or _closes_document(body[end:])):
            return [(start, end)]
    return top_level_spans(body, "model")


@lru_cache(maxsize=4096)
def json_string(text: str) -> bytes:
    """Return `text` as JSON."""
    return msgspec.json.encode(text)


def _opens_document(prefix: bytes) -> bool:
    return b"[" not in prefix and prefix.count(b"{") == 1 and b"}" not in prefix


def _closes_document(suffix: bytes) -> bool:
    return b"]" not in suffix and b"[" not in suffix and b"{" not in suffix and suffix.count(b"}") == 1


def replace(body: bytes, spans: list[Span], value: bytes) -> bytes:
    """Return the body with `value` in place of each span. The spans are in order."""
    view = memoryview(body)  # slices of it are no copies
    pieces: list[bytes | memoryview] = []
    done = 0
    for start, end in spans:
        pieces += (view[done:start], value)
        done = end
    pieces.append(view[done:])
    return b"".join(pieces)


def append_member(body: bytes, member: bytes) -> bytes:
    """Return the body, which must be a non-empty JSON object, with `member` (`"name":value`) at the end."""
    end = body.rindex(b"}")
    return body[:end].rstrip(_SPACE) + b"," + member + body[end:]
