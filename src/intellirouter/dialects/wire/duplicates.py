"""Finds members that a JSON object has more than once, if the gateway decides on them.

Parsers differ in which one they use. If the gateway checked one `model` and the upstream used the other, a key could
call models that it may not use. `check_unique` checks top-level members, `check_nested` those of messages. For the most
frequent requests, `unique_members` does what `check_unique` does.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import errors
from intellirouter.dialects.wire.json_edit import ESCAPED_LOWERCASE, TOKEN, end_of_string, json_string, may_escape_names
from intellirouter.dialects.wire.search import SLICE_BYTES, contains, find

_SEARCHED_BYTES: Final = 16 * 1024
"""The members of larger bodies are listed by the JSON decoder, which takes half the time of a search for two names."""
_LISTED_BYTES: Final = 1024 * 1024
"""Still larger bodies are searched, slice by slice, because the decoder would hold the interpreter lock for long."""
_EXACT_BYTES: Final = 4 * 1024
"""In larger bodies only the roles of messages are checked: 12 to 27 µs for 100 kB. All members would take 200 µs."""
_FEW_ROLES: Final = 64
_ROLE: Final = b'"role"'
_CONTENT: Final = b'"content"'
_NESTED: Final = frozenset(
    {
        "role",
        "content",
        "type",
        "text",
        "name",
        "id",
        "tool_call_id",
        "tool_calls",
        "function",
        "arguments",
        "tool_use_id",
        "input",
        "call_id",
        "output",
        "parts",
        "functionCall",
        "functionResponse",
        "function_call",
        "function_response",
        "args",
        "response",
        "image_url",
        "input_audio",
        "file",
        "file_id",
        "url",
        "source",
        "data",
        "media_type",
        "inlineData",
        "inline_data",
        "fileData",
        "file_data",
        "images",
        "thinking",
    }
)
"""The names of members that must not occur twice in an object within a request. Others, as in metadata, may."""
_SPACE: Final = frozenset(b" \t\r\n")
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_decode_any: Final = msgspec.json.Decoder(Any).decode
_encode_any: Final = msgspec.json.Encoder().encode


def check_unique(body: bytes, names: tuple[str, ...]) -> None:
    """Raise `InvalidRequest` if a top-level member with one of these names occurs more than once.

    `body` must be a valid JSON object. Usually this takes one search for each name, or one listing of the members.
    """
    is_listed = _SEARCHED_BYTES < len(body) <= _LISTED_BYTES
    if not is_listed and not _may_have_twice(body, names):
        return
    try:
        name = _duplicate(body, frozenset(names))
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = "The name of a member is not valid UTF-8."
        raise errors.InvalidRequest(message, code="invalid_json") from None
    if name is not None:
        raise duplicate_parameter(name)


def check_nested(body: bytes, roles: int, texts: int | None = None) -> None:
    """Raise `InvalidRequest` if an object within the request, such as a message, has a member twice.

    `roles` and `texts` say how many members `role` and `content` the decoder has found. `texts` is None if the request
    contains objects with other members. A small body is checked exactly, in a larger one only roles are.
    """
    if len(body) > _EXACT_BYTES:
        if not _has_more(body, _ROLE, roles) and not may_escape_names(body, ESCAPED_LOWERCASE):
            return
    elif texts is not None and _has_exactly(body, roles, texts):
        return
    try:
        if _encode_any(_decode_any(body)).count(b'"') == body.count(b'"'):
            return  # the decoder has dropped no member
        name = _nested_duplicate(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return  # whoever reads these members reports it
    if name is not None:
        raise duplicate_parameter(name)


def _has_exactly(body: bytes, roles: int, texts: int) -> bool:
    return body.count(_ROLE) == roles and body.count(_CONTENT) == texts and not may_escape_names(body)


def _has_more(body: bytes, key: bytes, count: int) -> bool:
    """Return whether a body contains a key more than `count` times."""
    if count > _FEW_ROLES or len(body) > SLICE_BYTES:
        overlap = len(key) - 1
        starts = range(0, len(body), SLICE_BYTES)
        return sum([body.count(key, start, start + SLICE_BYTES + overlap) for start in starts]) > count
    at, left = len(body), count + 1
    while left and at >= 0:  # takes half the time of `count`
        at, left = body.rfind(key, 0, at), left - 1
    return at >= 0


def _nested_duplicate(body: bytes) -> str | None:
    """Return the first of the names in `_NESTED` that an object has twice. The top level is not checked."""
    objects: list[set[str] | None] = []
    at = 0
    is_key = False
    while (token := TOKEN.search(body, at)) is not None:
        first, at = body[token.start()], token.end()
        if first == 0x22:  # "
            at = end_of_string(body, at)
            if is_key and (names := objects[-1]) is not None:
                name: str = msgspec.json.decode(body[token.start() : at])
                if name in names and name in _NESTED and len(objects) > 1:
                    return name
                names.add(name)
            is_key = False
        elif first in b"{[":
            is_key = first == 0x7B
            objects.append(set() if is_key else None)
        elif first in b"}]":
            objects.pop()
            is_key = False
        else:
            is_key = first == 0x2C and objects[-1] is not None  # ,
    return None


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
    if may_escape_names(body):
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
    end = at + len(memoryview(value))
    return end if body.startswith(value, at) and body[_skip_space(body, end)] in b",}" else None


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
