"""Multipart forms as bytes: finds, reads and replaces fields without changing other bytes.

Source: RFC 7578 and RFC 2046, section 5.1.
"""

import re
from collections import Counter
from typing import Final

from msgspec import Struct

from intellirouter.core import errors
from intellirouter.dialects.wire.duplicates import duplicate_parameter
from intellirouter.dialects.wire.json_edit import replace
from intellirouter.dialects.wire.search import find

_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))', re.IGNORECASE)
_NAME: Final = re.compile(rb';\s*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))', re.IGNORECASE)
_FILE_NAME: Final = re.compile(rb";\s*filename\*?=", re.IGNORECASE)
_FILE_NAME_TEXT: Final = re.compile(rb';\s*filename=(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))', re.IGNORECASE)
_FIELDS: Final = frozenset({"model", "stream", "response_format", "purpose"})
"""The fields on which the gateway decides."""
_MAX_PARTS: Final = 256
_MAX_HEAD_BYTES: Final = 8 * 1024
"""The header of one part."""


class FormPart(Struct, frozen=True):
    """One part: its name, and the position of its content in the body."""

    name: str
    start: int
    end: int
    is_file: bool
    file_name: str = ""
    """The client's name of the file; empty if there is none."""


class Form(Struct, frozen=True):
    """A form, with the positions of its parts."""

    body: bytes
    boundary: str
    parts: tuple[FormPart, ...]

    def file(self, name: str) -> FormPart | None:
        """Return the file with this name; the last one if there are several."""
        return next((part for part in reversed(self.parts) if part.name == name and part.is_file), None)

    def value(self, name: str) -> str | None:
        """Return the text of a field that is not a file; the last one if there are several."""
        for part in reversed(self.parts):
            if part.name == name and not part.is_file:
                return self.body[part.start : part.end].decode("utf-8", "replace")
        return None

    def with_value(self, name: str, value: str) -> bytes:
        """Return the body with this value of the field, which is added if it is missing."""
        body, text = self.body, value.encode()
        fields = [part for part in self.parts if part.name == name and not part.is_file]
        if not fields:
            head = f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            return head.encode() + text + b"\r\n" + body
        return replace(body, [(part.start, part.end) for part in fields], text)


def read_form(body: bytes, content_type: str) -> Form:
    """Find the parts of a form. Raises `InvalidRequest` if the body is not a valid form."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or found is None:
        raise errors.InvalidRequest(
            "The body must be a form with the content type `multipart/form-data` and a boundary.", code="invalid_form"
        )
    boundary = found[1] or found[2]
    mark = b"--" + boundary.encode("latin-1", "replace")
    start = 0 if body.startswith(mark) else find(body, b"\r\n" + mark, 0) + 2
    if not body.startswith(mark, start):
        raise _malformed("the boundary is missing")
    parts: list[FormPart] = []
    at = start + len(mark)
    while not body.startswith(b"--", at):
        end = find(body, b"\r\n" + mark, at)
        head_end = body.find(b"\r\n\r\n", at, at + _MAX_HEAD_BYTES)
        if end < 0 or not at <= head_end <= end:
            raise _malformed(f"a part is cut off, or its header is longer than {_MAX_HEAD_BYTES} bytes")
        parts.append(_part(body, at, head_end, end))
        if len(parts) > _MAX_PARTS:
            raise _malformed(f"it has more than {_MAX_PARTS} parts")
        at = end + 2 + len(mark)
    _check_unique(parts)
    return Form(body, boundary, tuple(parts))


def _check_unique(parts: list[FormPart]) -> None:
    """Raise `InvalidRequest` for a field that is given twice, because servers differ in which one they use.

    Lists have names that end in brackets. Only `image` is a list of files without them.
    """
    seen: dict[str, bool] = {}
    for part in parts:
        if part.name.endswith("[]"):
            continue
        was_file = seen.setdefault(part.name, part.is_file)
        if was_file is not part.is_file or (part.name in _FIELDS and part.is_file):
            raise errors.InvalidRequest(
                f"The field '{part.name[:100]}' must not be a file.", code="invalid_type", param=part.name[:100]
            )
    counts = Counter(part.name for part in parts if not part.name.endswith("[]"))
    for name, count in counts.items():
        if count > 1 and not (name == "image" and seen[name]):
            raise duplicate_parameter(name)


def _part(body: bytes, head_start: int, head_end: int, end: int) -> FormPart:
    lines = [line.partition(b":") for line in body[head_start:head_end].split(b"\r\n")]
    values = [value for field, _, value in lines if field.strip().lower() == b"content-disposition"]
    if len(values) > 1 or any(len(_NAME.findall(value)) > 1 for value in values):
        raise _malformed("a part has more than one name")
    for value in values:
        if (name := _NAME.search(value)) is not None:
            is_file = _FILE_NAME.search(value) is not None
            file_name = _text(_FILE_NAME_TEXT.search(value)) if is_file else ""
            return FormPart(_text(name), head_end + 4, max(end, head_end + 4), is_file, file_name)
    raise _malformed("the name of a part is missing")


def _text(found: re.Match[bytes] | None) -> str:
    return "" if found is None else (found[1] or found[2] or b"").replace(b'\\"', b'"').decode("utf-8", "replace")


def _malformed(problem: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"The form is malformed: {problem}.", code="invalid_form")
