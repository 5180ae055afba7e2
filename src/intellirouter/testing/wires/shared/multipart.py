"""A parser of `multipart/form-data`."""

import re
from typing import Final

from msgspec import Struct

_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_NAME: Final = re.compile(r'\bname="([^"]*)"')
_FILENAME: Final = re.compile(r'\bfilename="([^"]*)"')
_TYPE: Final = re.compile(r"^content-type:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


class FormPart(Struct, frozen=True, kw_only=True):
    """A field or a file of a form."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str | None = None

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")


def form_parts(content_type: str, body: bytes) -> list[FormPart] | None:
    """Return the parts in order, or None if the body is not a valid form."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or found is None:
        return None
    pieces = (b"\r\n" + body).split(b"\r\n--" + found[1].encode())
    parts: list[FormPart] = []
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            return parts
        head, separator, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = head.decode(errors="replace").replace("\r\n", "\n")
        name = _NAME.search(headers)
        if not separator or name is None:
            return None
        filename, kind = _FILENAME.search(headers), _TYPE.search(headers)
        parts.append(
            FormPart(
                name=name[1],
                content=content,
                filename=filename[1] if filename else None,
                content_type=kind[1] if kind else None,
            )
        )
    return None
