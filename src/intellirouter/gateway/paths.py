"""What a path and its headers say about a request in addition to its body, and which paths the control plane serves.

Paths are matched exactly: a path has one spelling, for both planes, so that another one cannot bypass the rules of a
proxy in front of the gateway. Nothing is redirected.
"""

import re
from typing import Final

from intellirouter.core import EMPTY_CONTEXT, RequestContext, session_of
from intellirouter.dialects import Dialects, Endpoint, ErrorStyle
from intellirouter.gateway.http import RequestHead
from intellirouter.gateway.request_headers import control_of


def context_of(endpoint: Endpoint, head: RequestHead, model: str = "", *, is_stream: bool = False) -> RequestContext:
    """Return the parts of the request outside its body that belong to its dialect, and what it demands of attempts."""
    control, session = control_of(head.headers), session_of(head.headers)
    if not model and not endpoint.header_names and control is None and not session:
        return EMPTY_CONTEXT
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in head.fields
        if name in endpoint.header_names
    )
    query = "&".join(part for part in head.query.decode("latin-1").split("&") if part and not part.startswith("key="))
    return RequestContext(
        model=model, is_stream=is_stream, query=query, headers=headers, control=control, session=session
    )


def is_control(path: str, dialects: Dialects) -> bool:
    """Return whether the control plane serves the path: all of `/api/v1/`. Ollama's clients use the rest of `/api/`."""
    return path.startswith(_CONTROL_PREFIXES) and not dialects.has_path(path) and is_canonical(path)


def is_canonical(path: str) -> bool:
    """Return whether the path has no empty segment and no dot segment, and does not end with a slash."""
    return _UNUSUAL.search(path) is None


def canonical_path(path: str) -> str:
    """Return the path that the client probably means, for an error message."""
    segments: list[str] = []
    for segment in _SLASH.split(path):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in {"", "."}:
            segments.append(segment)
    return "/" + "/".join(segments)


def without_extra_base(path: str) -> str:
    """Return a canonical path without what a wrong base URL has put before it, such as the first `/v1` of `/v1/v1/x`.

    Clients add `/v1`, `/v1beta` or `/api` to their base URL, or expect it there. Returns the path itself if it has only
    one of them.
    """
    while (found := _EXTRA_BASE.match(path)) is not None:
        path = path[found.end() :]
    return path


def errors_for(head: RequestHead, dialects: Dialects) -> ErrorStyle:
    """Return the error format for a request to an unknown path, or one that is refused before its path matters."""
    path = without_extra_base(canonical_path(head.path))
    return dialects.default_errors if is_control(path, dialects) else dialects.errors_at(path, head.headers)


_CONTROL_PREFIXES: Final = ("/api/v1/", "/api/health")
_EXTRA_BASE: Final = re.compile(r"/(?:(?:v1|v1beta|v1alpha|openai)(?=/(?:v1|v1beta|v1alpha|api)/)|api(?=/api/))")
_UNUSUAL: Final = re.compile(r"//|/\.{1,2}(?:/|$)|./$")
_SLASH: Final = re.compile(r"/|%2[Ff]")
