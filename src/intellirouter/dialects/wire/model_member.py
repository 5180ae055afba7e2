"""The member of an answer that names the model: where it is, and how it is replaced without changing other bytes."""

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

from intellirouter.dialects.wire.json_edit import (
    Span,
    end_of_string,
    end_of_value,
    is_name,
    json_string,
    may_escape_names,
    replace,
)
from intellirouter.dialects.wire.search import contains, find
from intellirouter.dialects.wire.sse import event_data, split_events

_MARK: Final = re.compile(rb'["{}]')
_COLON: Final = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_OBJECT: Final = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+(?=\{)")
_SCALAR: Final = rb'(?:"[^"\\\n]*+"|[-+.0-9eE]++|true|false|null)'
_SSE: Final = re.compile(rb"[\r\n]*+(?:data|event|id|retry|:)")


class ModelMember(Struct, frozen=True):
    """Where the answers of a dialect name the model: the path of the member, with at most one object around it."""

    whole: tuple[str, ...] = ("model",)
    """In complete answers."""
    event: tuple[str, ...] = ("model",)
    """In the events of a stream. Events without the member are not changed."""


def replace_in_document(body: bytes, path: tuple[str, ...], value: bytes) -> bytes:
    """Return a complete JSON object with another value of this member, or the same object if it has no such member.

    The value may be of any type. If the member occurs more than once, each of them is replaced.
    """
    key = json_string(path[-1])
    has_escapes = may_escape_names(body)
    if not has_escapes:
        if (at := find(body, key, 0)) < 0:
            return body
        is_single = len(path) == 1 and not contains(body, key, at + 1)
        if is_single and (match := _first_member(key).match(body)) is not None:
            return replace(body, [match.span(2)], value)
    else:
        is_single = False
    spans = member_spans(body, path, is_single=is_single)
    return replace(body, spans, value) if spans else body


def replace_in_stream(block: bytes, path: tuple[str, ...], value: bytes) -> bytes:
    """Return a block of complete events with another value of this member in each of them.

    The events are those of SSE, lines of JSON, or elements of an array.
    """
    key = json_string(path[-1])
    if not may_escape_names(block):
        if not contains(block, key):
            return block
        if len(path) == 1:
            edited, count = _first_member(key).subn(lambda match: match[1] + value, block)
            if count == block.count(key):
                return edited
    if _SSE.match(block):
        return b"".join([_edited_event(event, path, value) for event in split_events(block)])
    return replace(block, member_spans(block, path), value)


def member_spans(text: bytes, path: tuple[str, ...], *, is_single: bool = False) -> list[Span]:
    """Return the spans of the values of this member in each JSON object of a text.

    The objects may be separated by anything outside of strings that contains no braces. `is_single` stops at the first.
    """
    spans: list[Span] = []
    depth = reached = at = 0
    while (mark := _MARK.search(text, at)) is not None:
        start, at = mark.start(), mark.end()
        if text[start] == 0x7B:  # {
            depth += 1
        elif text[start] == 0x7D:  # }
            depth -= 1
            reached = min(reached, max(depth - 1, 0))
        else:
            at = end_of_string(text, at)
            if depth != reached + 1 or not _is_key(text, start, at, path[reached]):
                continue
            if depth < len(path):
                reached += _OBJECT.match(text, at) is not None
            elif (colon := _COLON.match(text, at)) is not None:
                at = end_of_value(text, colon.end())
                spans.append((colon.end(), at))
                if is_single:
                    break
    return spans


def _is_key(text: bytes, start: int, end: int, name: str) -> bool:
    """Return whether the string at this position is this name."""
    key = json_string(name)
    if end - start == len(key):
        return text[start:end] == key
    return b"\\" in text[start:end] and is_name(text[start:end], name)


def _edited_event(event: bytes, path: tuple[str, ...], value: bytes) -> bytes:
    if (data := event_data(event)) is None or not (spans := member_spans(data, path)):
        return event
    edited = replace(data, spans, value)
    if data in event:
        return event.replace(data, edited, 1)
    others = [line for line in event.splitlines() if line and not line.startswith(b"data")]
    lines = [b"data: " + line for line in edited.split(b"\n")]
    return b"\n".join([*others, *lines]) + b"\n\n"


@lru_cache(maxsize=16)
def _first_member(key: bytes) -> "re.Pattern[bytes]":
    """Return the pattern of a line that begins with an object in which only scalar values precede the member.

    It does not match indented lines, which may be nested objects of a document that consists of several lines.
    """
    other = rb'[ ]*+(?!%s)"[^"\\\n]*+"[ ]*+:[ ]*+%s[ ]*+,' % (re.escape(key), _SCALAR)
    start = rb"^((?:data:[ ]*+)?+\{(?:%s)*+[ ]*+%s[ ]*+:[ ]*+)" % (other, re.escape(key))
    return re.compile(start + rb"(%s)" % _SCALAR, re.MULTILINE)
