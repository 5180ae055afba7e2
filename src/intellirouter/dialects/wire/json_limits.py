"""The limits on the structure of large JSON bodies, checked before they are decoded.

The size of a body says little about the time that it takes to decode: 15 MB of empty arrays take twenty times as long
as one long string. The check builds no objects and works in slices, so it never holds the interpreter lock for long.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import msgspec

from intellirouter.core import RequestLimits, count_long_numbers, errors
from intellirouter.dialects.wire.json_depth import too_deep

_SLICE_BYTES: Final = 64 * 1024
_MAX_MEMBERS: Final = 10_000
"""Members of one object. Large hash tables take several times as long per member as small ones."""
_MAX_ESCAPES: Final = 2_000_000
_MAX_BYTES_OUTSIDE: Final = 16 * 1024 * 1024
"""Bytes outside of strings, most of which can only be white space."""
_MAX_LONG_DIGITS: Final = 100_000
"""Digits of numbers that do not fit into 64 bits, or have more digits than a double."""
_STRING: Final = re.compile(rb'"[^"]*+"')
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b"[]{},"))
_OPENING: Final = frozenset(b"[{")


def check_json(body: bytes, limits: RequestLimits) -> None:
    """Check the structure of a JSON body. Raises `InvalidRequest` if it exceeds a limit. Does not validate the JSON."""
    scan = _Scan(limits)
    for outside in _outside_strings(body, scan):
        scan.add(outside)
    if scan.values >= min(limits.messages, limits.content_parts, limits.tools, limits.inputs):
        _check_lists(body, limits)


class _Scan:
    """Counts values, objects and depth of a body whose strings have been removed."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self.values = 0
        """An upper bound, because empty objects and arrays count as values, too."""
        self._objects = 0
        self._digits = 0
        self._bytes = 0
        self._escapes = 0
        self._members = [0]
        """The number of commas in each open object or array."""

    def add_escapes(self, count: int) -> None:
        self._escapes += count
        if self._escapes > _MAX_ESCAPES:
            _refuse(f"The JSON body contains more than {_MAX_ESCAPES} escape sequences.", "Send text as plain UTF-8.")

    def add(self, outside: bytes) -> None:
        """Add the next bytes outside of strings."""
        self._bytes += len(outside)
        if self._bytes > _MAX_BYTES_OUTSIDE:
            _refuse(f"The JSON body has more than {_MAX_BYTES_OUTSIDE} bytes outside of strings.", "Send compact JSON.")
        self._digits += count_long_numbers(outside)
        if self._digits > _MAX_LONG_DIGITS:
            _refuse("The JSON body contains too many long numbers.", "Send numbers with fewer digits.")
        structure = outside.translate(None, _NOT_STRUCTURE)
        self._walk(structure)
        objects = structure.count(b"[") + structure.count(b"{")
        self._objects += objects
        self.values += objects + structure.count(b",")
        if self.values > self._limits.json_values:
            _exceeded("JSON values", self._limits.json_values, "max_json_values")
        if self._objects > self._limits.json_objects:
            _exceeded("JSON objects and arrays", self._limits.json_objects, "max_json_objects")

    def _walk(self, structure: bytes) -> None:
        members, max_depth = self._members, self._limits.json_depth
        for byte in structure:
            if byte == 0x2C:  # ,
                members[-1] += 1
            elif byte in _OPENING:
                members.append(0)
                if len(members) > max_depth + 1:
                    raise too_deep(max_depth)
            else:
                # Elements of arrays are only limited in total. A hash table is slow when it is large.
                if members.pop() >= _MAX_MEMBERS and byte == 0x7D:  # }
                    _refuse(f"An object in the JSON body has more than {_MAX_MEMBERS} members.", "Send fewer members.")
                if not members:  # malformed, which the decoder will report
                    members.append(0)


def _outside_strings(body: bytes, scan: _Scan) -> Iterator[bytes]:
    """Yield the bytes of the body without its strings, in pieces."""
    pending = b""
    """A quotation mark if the previous piece ends within a string."""
    start, size = 0, len(body)
    while start < size:
        piece = body[start : start + _SLICE_BYTES]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # keep a backslash together with what it escapes
            piece = body[start : start + _SLICE_BYTES + 1]
        start += len(piece)
        if b"\\" in piece:
            before = len(piece)
            piece = piece.replace(b"\\\\", b"")
            scan.add_escapes(piece.count(b"\\") + (before - len(piece)) // 2)
            piece = piece.replace(b'\\"', b"")
        outside = _STRING.sub(b"", (pending + piece).replace(b'""', b""))
        outside, pending, _ = outside.partition(b'"')
        yield outside


class _Lists(msgspec.Struct):
    """The lists of requests in all dialects."""

    messages: Any = None
    contents: Any = None
    input: Any = None
    requests: Any = None
    documents: Any = None
    prompt: Any = None
    tools: Any = None
    functions: Any = None


_decode_lists: Final = msgspec.json.Decoder(_Lists)


def _check_lists(body: bytes, limits: RequestLimits) -> None:
    """Check how many messages, parts, tools and inputs there are. Ignores malformed bodies; the codec reports them."""
    try:
        lists = _decode_lists.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return
    items = [each for name in ("messages", "contents", "input") for each in _list(getattr(lists, name))]
    messages = [each for each in items if isinstance(each, dict)]
    _check("messages", len(messages), limits.messages, "max_messages")
    _check("content parts", sum(map(_parts_in, messages)), limits.content_parts, "max_content_parts")
    texts = [
        each for name in ("input", "prompt") for each in _list(getattr(lists, name)) if isinstance(each, str | list)
    ]
    inputs = len(texts) + len(_list(lists.requests)) + len(_list(lists.documents))
    _check("inputs", inputs, limits.inputs, "max_inputs")
    tools = _list(lists.tools)
    count = len(tools) + len(_list(lists.functions)) + sum(_parts_in(each) for each in tools if isinstance(each, dict))
    _check("tools", count, limits.tools, "max_tools")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _parts_in(message: dict[str, Any]) -> int:
    """Return the number of elements in the lists of a message, and in the lists of these elements."""
    count = 0
    for value in message.values():
        if isinstance(value, list):
            count += len(value)
            for part in value:
                if isinstance(part, dict):
                    count += sum(len(each) for each in part.values() if isinstance(each, list))
    return count


def _check(what: str, count: int, limit: int, setting: str) -> None:
    if count > limit:
        _exceeded(what, limit, setting)


def _exceeded(what: str, limit: int, setting: str) -> NoReturn:
    _refuse(f"The request has more than {limit} {what}.", f"Split the request, or raise server.{setting}.")


def _refuse(message: str, hint: str) -> NoReturn:
    raise errors.InvalidRequest(message, code="limit_exceeded", hint=hint)
