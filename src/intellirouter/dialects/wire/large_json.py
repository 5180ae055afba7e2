"""Decoding of large JSON documents in pieces.

Large answers are decoded in a thread, but one call of the decoder holds the interpreter lock until it returns. So a
document with very many values is cut between the elements of its arrays and objects, and each piece is decoded by a
call of its own. Documents that consist of a few long strings are decoded quickly as a whole.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec

from intellirouter.core import count_long_numbers, errors

T = TypeVar("T")

LARGE_BYTES: Final = 128 * 1024
_MAX_VECTOR_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 256 * 1024
_WINDOW_BYTES: Final = 64 * 1024
_COUNTED_BYTES: Final = 4 * 1024 * 1024
_QUICK_VALUES: Final = 150_000
"""How many values a document may have that is decoded as a whole."""
_QUICK_NUMBERS: Final = 20_000
_MAX_VALUES: Final = 3_000_000
_MAX_OBJECTS: Final = 1_000_000
_MAX_ESCAPES: Final = 8_000_000
_MAX_LONG_DIGITS: Final = 100_000
"""Digits of numbers with so many that each of them takes long to decode."""
_MAX_LARGE_LEVELS: Final = 16
"""How deep arrays and objects may be nested that are larger than a piece."""
_MAX_ROUNDS: Final = 64
"""How often pairs of brackets are removed before the remaining ones are read one by one."""
_OUTSIDE: Final = re.compile(rb'(?:[^"]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_STRING_PART: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]', re.DOTALL)
_MEMBER: Final = re.compile(rb'[ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\r\n]*+:', re.DOTALL)
_SPACE: Final = b" \t\r\n"
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_OPENING: Final = frozenset(b"[{")
_CLOSING: Final = {b"[": b"]", b"{": b"}"}


def decode_as(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Decode a document of any size. The type of the decoder must not contain `Raw`. Raises like `decode`."""
    return decoder.decode(body) if len(body) <= LARGE_BYTES else msgspec.convert(decode(body), decoder.type)


def decode(body: bytes) -> Any:
    """Decode a document of any size into built-in types.

    Raises what `msgspec.json.decode` raises, and `UpstreamAnswerTooLarge` for more values than can be handled.
    """
    if len(body) <= LARGE_BYTES:
        return msgspec.json.decode(body)
    check_size(body)
    if _most_values(body) <= _QUICK_VALUES:
        return msgspec.json.decode(body)
    return _value(body, _MAX_LARGE_LEVELS)


def decode_apart(decoder: "msgspec.json.Decoder[T]", vector: msgspec.Raw) -> T:
    """Decode one vector of a list of embeddings. All of them together may take too long for one call."""
    if len(vector) > _MAX_VECTOR_BYTES:
        raise errors.UpstreamAnswerTooLarge(
            f"The upstream returned an embedding of more than {_MAX_VECTOR_BYTES} bytes."
        )
    return decoder.decode(vector)


def encode_apart(vectors: list[list[float]]) -> list[Any]:
    """Return the vectors of a list of embeddings, as JSON if encoding all of them may take too long for one call."""
    if sum(map(len, vectors)) <= _QUICK_NUMBERS:
        return vectors
    return [msgspec.Raw(msgspec.json.encode(vector)) for vector in vectors]


def check_size(body: bytes, *, counts_values: bool = True) -> None:
    """Raise `UpstreamAnswerTooLarge` for a large document with more values, objects or escapes than can be handled."""
    if len(body) <= LARGE_BYTES:
        return
    if _count(body, b"\\") > 2 * _MAX_ESCAPES:
        raise _too_large(f"{_MAX_ESCAPES} escape sequences")
    if counts_values and sum(map(count_long_numbers, _outside_strings(body))) > _MAX_LONG_DIGITS:
        raise _too_large(f"{_MAX_LONG_DIGITS} digits of long numbers")
    objects = _count(body, b"[") + _count(body, b"{")
    values = objects + _count(body, b",") if counts_values else 0
    if objects <= _MAX_OBJECTS and values <= _MAX_VALUES:
        return
    # The numbers may include characters of strings.
    objects = values = 0
    for outside in _outside_strings(body):
        opened = outside.count(b"[") + outside.count(b"{")
        objects += opened
        values += opened + outside.count(b",")
        if objects > _MAX_OBJECTS:
            raise _too_large(f"{_MAX_OBJECTS} JSON objects and arrays")
        if counts_values and values > _MAX_VALUES:
            raise _too_large(f"{_MAX_VALUES} JSON values")


def _too_large(what: str) -> errors.UpstreamAnswerTooLarge:
    return errors.UpstreamAnswerTooLarge(f"The upstream's answer has more than {what}.")


def _most_values(body: bytes) -> int:
    return _count(body, b",") + _count(body, b"[") + _count(body, b"{")


def _count(body: bytes, what: bytes) -> int:
    return sum(body.count(what, at, at + _COUNTED_BYTES) for at in range(0, len(body), _COUNTED_BYTES))


def _outside_strings(body: bytes) -> Iterator[bytes]:
    """Yield the bytes of the document that are not in strings, in pieces."""
    at = 0
    while at < len(body):
        at, outside = _read(body, at, _PIECE_BYTES)
        yield outside


def _read(body: bytes, at: int, size: int) -> tuple[int, bytes]:
    """Read at least `size` bytes from `at`, up to a position that is not in a string. `at` must not be in one, either.

    Returns the position, and the bytes that are not in strings.
    """
    piece = body[at : at + size]
    if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # keep a backslash together with what it escapes
        piece = body[at : at + size + 1]
    end = at + len(piece)
    if b"\\" in piece:
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
    parts = piece.split(b'"')
    return end if len(parts) % 2 else _end_of_string(body, end), b"".join(parts[::2])


def _end_of_string(body: bytes, at: int) -> int:
    """Return the position after the string that `at` is in."""
    while at < len(body):
        match = _STRING_PART.match(body, at, at + _PIECE_BYTES)
        end = at if match is None else match.end()
        if end < len(body) and body[end] == 0x22:
            return end + 1
        at = end if end > at else at + 2  # an escape sequence at the end of the part
    return len(body)


def _value(raw: bytes, levels: int) -> Any:
    """Decode a value, in pieces if it is large."""
    raw = raw.strip(_SPACE)
    bracket = raw[:1]
    if len(raw) <= 2 * _PIECE_BYTES or bracket not in _CLOSING:
        return msgspec.json.decode(raw)
    if not raw.endswith(_CLOSING[bracket]):
        raise msgspec.DecodeError("JSON is malformed: a bracket is missing")
    if not levels:
        raise errors.UpstreamMalformed("The upstream's answer is nested too deep.")
    if bracket == b"[":
        elements: list[Any] = []
        for group in _groups(raw):
            if len(group) <= 2 * _PIECE_BYTES:
                elements += msgspec.json.decode(b"[" + group + b"]")
            else:
                elements.append(_value(group, levels - 1))
        return elements
    members: dict[str, Any] = {}
    for group in _groups(raw):
        if len(group) <= 2 * _PIECE_BYTES:
            members.update(msgspec.json.decode(b"{" + group + b"}"))
        else:
            match = _MEMBER.match(group)
            if match is None:
                raise msgspec.DecodeError("JSON is malformed: a name is missing")
            members[msgspec.json.decode(match[1])] = _value(group[match.end() :], levels - 1)
    return members


def _groups(raw: bytes) -> Iterator[bytes]:
    """Yield the text between the brackets of a container in groups of elements. A large group is a single element."""
    start, last = 1, len(raw) - 1
    while True:
        comma = _next_cut(raw, start)
        group = raw[start : last if comma < 0 else comma]
        if not group.strip(_SPACE):
            raise msgspec.DecodeError("JSON is malformed: an element is missing")
        if len(group) > 2 * _PIECE_BYTES and (split := _last_comma(group)) > 0:
            yield group[:split]
            group = group[split + 1 :]
        yield group
        if comma < 0:
            return
        start = comma + 1


def _next_cut(raw: bytes, start: int) -> int:
    """Return the position of the first comma between elements that is at least a piece after `start`; -1 if none is."""
    at, outside = _read(raw, start, _PIECE_BYTES)
    depth, _ = _depth_after(outside, 0)
    while at < len(raw):
        end, outside = _read(raw, at, _WINDOW_BYTES)
        depth_after, lowest = _depth_after(outside, depth)
        if lowest <= 0 and (comma := _first_comma(raw, at, end, depth)) >= 0:
            return comma
        at, depth = end, depth_after
    return -1


def _depth_after(outside: bytes, depth: int) -> tuple[int, int]:
    """Return the depth at the end of a part of the text, and the lowest depth within it."""
    brackets = outside.translate(None, _NOT_BRACKETS)
    for _ in range(_MAX_ROUNDS):
        shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    lowest = depth
    for byte in brackets:
        if byte in _OPENING:
            depth += 1
        else:
            depth -= 1
            lowest = min(lowest, depth)
    return depth, lowest


def _first_comma(raw: bytes, start: int, end: int, depth: int) -> int:
    for token in _TOKEN.finditer(raw, start, end):
        byte = raw[token.start()]
        if byte == 0x2C and depth == 0:
            return token.start()
        if byte in _OPENING:
            depth += 1
        elif byte in b"]}":
            depth -= 1
    return -1


def _last_comma(group: bytes) -> int:
    """Return the position of the comma before the element that makes a group large; -1 if it is the only one."""
    found, depth = -1, 0
    match = _OUTSIDE.match(group, 0, _PIECE_BYTES)
    for token in _TOKEN.finditer(group, 0, 0 if match is None else match.end()):
        byte = group[token.start()]
        if byte == 0x2C and depth == 0:
            found = token.start()
        elif byte in _OPENING:
            depth += 1
        elif byte in b"]}":
            depth -= 1
    return found
