"""Edits in JSON bytes that leave every other byte as it was.

The passthrough may change `model` and the usage opt-in and nothing else, so a request is not decoded and re-encoded:
the spans of top-level members are found and replaced.
"""

import re
from functools import lru_cache
from typing import Final

import msgspec

# Possessive: the body is valid JSON, and remembering where to go back to takes a hundred bytes an escape.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},:]', re.DOTALL)
_MODEL_KEY: Final = b'"model"'
_ESCAPED_LETTER: Final = rb"\u006"
"""Every letter of `model` is spelled so, if it is escaped at all."""
_SPACE: Final = b" \t\r\n"

Span = tuple[int, int]


def top_level_spans(body: bytes, name: str) -> list[Span]:
    """Return the value span of every top-level member called `name`. `body` must be a valid JSON object."""
    spans: list[Span] = []
    depth = 0
    is_key, is_wanted = True, False
    value_start = 0
    for token in _TOKEN.finditer(body):
        first = body[token.start()]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
            if depth == 0 and is_wanted:
                spans.append(_trim(body, value_start, token.start()))
        elif depth != 1:
            continue
        elif first == 0x2C:  # ,
            if is_wanted:
                spans.append(_trim(body, value_start, token.start()))
            is_key, is_wanted = True, False
        elif first == 0x3A:  # :
            value_start = token.end()
        elif is_key:
            is_key = False
            is_wanted = _is_name(token.group(), name)
    return spans


def _is_name(key: bytes, name: str) -> bool:
    """Compare a member's name, however it is spelled. One that is not UTF-8 passed as a value that nobody reads."""
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


def model_spans(body: bytes, model: str) -> list[Span]:
    """Return the spans of the top-level `model` value: two searches where its place proves its depth."""
    key = body.find(_MODEL_KEY)
    value = json_string(model)
    start = body.find(value, key + len(_MODEL_KEY))
    is_only_one = body.find(_MODEL_KEY, key + 1) < 0 and _ESCAPED_LETTER not in body
    if key >= 0 and start >= 0 and is_only_one:
        end = start + len(value)
        between = body[key + len(_MODEL_KEY) : start]
        if between.strip(_SPACE) == b":" and (_opens_document(body[:key]) or _closes_document(body[end:])):
            return [(start, end)]
    return top_level_spans(body, "model")


@lru_cache(maxsize=4096)
def json_string(text: str) -> bytes:
    """Return `text` as JSON, the usual way to write it."""
    return msgspec.json.encode(text)


def _opens_document(prefix: bytes) -> bool:
    return b"[" not in prefix and prefix.count(b"{") == 1 and b"}" not in prefix


def _closes_document(suffix: bytes) -> bool:
    return b"]" not in suffix and b"[" not in suffix and b"{" not in suffix and suffix.count(b"}") == 1


def replace(body: bytes, spans: list[Span], value: bytes) -> bytes:
    """Put `value` in the place of each span."""
    for start, end in reversed(spans):
        body = body[:start] + value + body[end:]
    return body


def append_member(body: bytes, member: bytes) -> bytes:
    """Add `member` (`"name":value`) as the last one of a non-empty JSON object."""
    end = body.rindex(b"}")
    return body[:end].rstrip(_SPACE) + b"," + member + body[end:]
