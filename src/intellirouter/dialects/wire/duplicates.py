"""Finds members that a JSON object has more than once, if the gateway decides on them.

Parsers differ in which one they use. If the gateway checked one `model` and the upstream used the other, a key could
call models that it may not use.
"""

from typing import Final

import msgspec

from intellirouter.core import errors
from intellirouter.dialects.wire.json_edit import TOKEN, end_of_string, json_string
from intellirouter.dialects.wire.search import SLICE_BYTES, contains, find

_ESCAPED: Final = rb"\u00"
_ESCAPED_LETTERS: Final = (rb"\u006", rb"\u007", rb"\u005", rb"\u004")
"""The beginnings of the escape sequences of letters and of the underscore."""
_SPACE: Final = frozenset(b" \t\r\n")
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_unique(body: bytes, names: tuple[str, ...]) -> None:
    """Raise `InvalidRequest` if a top-level member with one of these names occurs more than once.

    `body` must be a valid JSON object. Usually this takes one search for each name.
    """
    if not _may_have_twice(body, names):
        return
    try:
        name = _duplicate(body, frozenset(names))
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = "The name of a member is not valid UTF-8."
        raise errors.InvalidRequest(message, code="invalid_json") from None
    if name is not None:
        raise duplicate_parameter(name)


def duplicate_parameter(name: str) -> errors.InvalidRequest:
    """Return the error for a member of an object, or a field of a form, that is given more than once."""
    return errors.InvalidRequest(
        f"The parameter '{name[:100]}' is given more than once.",
        code="duplicate_parameter",
        param=name[:100],
        hint="Send it once.",
    )


def _may_have_twice(body: bytes, names: tuple[str, ...]) -> bool:
    """Return whether one of the names occurs twice, at any level, or may be written with escape sequences."""
    if b"\\" in body and contains(body, _ESCAPED) and any(contains(body, each) for each in _ESCAPED_LETTERS):
        return True
    for name in names:
        key = json_string(name)
        if len(body) <= SLICE_BYTES:
            last = body.rfind(key)  # takes half the time of `find`, and usually there is only one, at the beginning
            if last >= 0 and body.find(key, 0, last) >= 0:
                return True
        elif (first := find(body, key, 0)) >= 0 and contains(body, key, first + 1):
            return True
    return False


def _duplicate(body: bytes, names: frozenset[str]) -> str | None:
    """Return the first of these names that occurs twice at the top level.

    A dictionary has the last value of each name. So the first of several occurrences usually has another value, and the
    length of the values with which it can be skipped is known for all others.
    """
    values = _members.decode(body)
    seen: set[str] = set()
    at = _skip_space(body, body.index(b"{") + 1)
    while body[at] != 0x7D:  # }
        end = end_of_string(body, at + 1)
        name: str = msgspec.json.decode(body[at:end])
        if name in seen and name in names:
            return name
        seen.add(name)
        at = _skip_space(body, _skip_space(body, end) + 1)
        value_end = _end_of_value(body, at, values[name])
        if value_end is None and name in names:  # another member with this name follows
            return name
        at = _skip_space(body, _end_of_any_value(body, at) if value_end is None else value_end)
        if body[at] == 0x2C:  # ,
            at = _skip_space(body, at + 1)
    return None


def _skip_space(body: bytes, at: int) -> int:
    while body[at] in _SPACE:
        at += 1
    return at


def _end_of_value(body: bytes, at: int, value: msgspec.Raw) -> int | None:
    """Return the end of the value at this position if it is `value`."""
    view = memoryview(value)
    end = at + len(view)
    is_equal = memoryview(body)[at:end] == view and body[_skip_space(body, end)] in b",}"
    return end if is_equal else None


def _end_of_any_value(body: bytes, at: int) -> int:
    """Return the position of the comma or the bracket after the value at this position."""
    depth = 0
    while (token := TOKEN.search(body, at)) is not None:
        first, at = body[token.start()], token.end()
        if first == 0x22:  # "
            at = end_of_string(body, at)
        elif first in b"{[":
            depth += 1
        elif depth == 0:
            return token.start()
        elif first in b"}]":
            depth -= 1
    return len(body) - 1
