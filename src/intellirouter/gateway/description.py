"""The OpenAPI document at `/openapi.json`, and the page at `/api/docs` that shows it.

The files are part of the package and are read once. `scripts/gen_openapi.py` writes the document. They contain no
secrets and require no key. The page's content security policy forbids it to load anything from other hosts. All URLs in
them are relative, so they also work below a path prefix of a proxy.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from intellirouter.resources import JSON

_DATA: Final = Path(__file__).with_name("data")
_FILES: Final = {
    "/openapi.json": ("openapi.json", JSON),
    "/api/openapi.json": ("openapi.json", JSON),
    "/api/docs": ("docs.html", b"text/html; charset=utf-8"),
    "/api/docs/": ("docs.html", b"text/html; charset=utf-8"),
    "/api/docs/page.css": ("docs.css", b"text/css; charset=utf-8"),
    "/api/docs/page.js": ("docs.js", b"text/javascript; charset=utf-8"),
}
_RELATIVE: Final = {
    "/api/docs/": ((b'="docs/', b'="'), (b'="openapi.json"', b'="../openapi.json"')),
    "/api/openapi.json": ((b'"servers":[{"url":"."', b'"servers":[{"url":".."'),),
}
"""What differs in files that are served at a second path: their relative URLs."""
PATHS: Final = frozenset(_FILES)
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Sequence[tuple[bytes, bytes]]] = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)
"""Response headers of these pages."""


@cache
def page(path: str) -> tuple[int, bytes, bytes]:
    """Return the page at one of `PATHS`."""
    name, content_type = _FILES[path]
    body = (_DATA / name).read_bytes()
    for written, relative in _RELATIVE.get(path, ()):
        body = body.replace(written, relative)
    return 200, content_type, body
