"""Finds out where a request goes from its head alone: endpoint, context, API key, media type.

A client repeats its headers with every request. So the server shares parsed heads, and the result is stored in the
head.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from intellirouter.core import errors
from intellirouter.dialects import Dialects, Endpoint
from intellirouter.gateway.http import Destination, RequestHead
from intellirouter.gateway.paths import context_of, is_canonical
from intellirouter.gateway.request_headers import header_refusal, ignored_headers
from intellirouter.governance import request_key
from intellirouter.pipeline import Generation

_CONTENT_TYPE_HINT: Final = "Send `Content-Type: application/json`."


def destination_of(head: RequestHead, generation: Generation) -> Destination | None:
    """Return where a POST request to one of the dialects' endpoints goes; None for all other requests."""
    known = head.destination
    if known is not None and known.generation == generation.number:
        return known
    found = _find(head, generation.dialects, generation.number) if head.method == "POST" else None
    head.destination = found
    return found


def _find(head: RequestHead, dialects: Dialects, generation: int) -> Destination | None:
    endpoint, model, is_stream = dialects.endpoints_by_path.get(head.path), "", False
    if endpoint is None:
        if (match := dialects.match(head.path)) is None or not is_canonical(head.path):
            return None
        endpoint, model, is_stream = match.endpoint, unquote(match.model), match.is_stream
    return Destination(
        generation=generation,
        endpoint=endpoint,
        context=context_of(endpoint, head, model, is_stream=is_stream),
        key=request_key(head.headers, head.query),
        is_accepted=refusal(endpoint, head.headers) is None,
        ignored=ignored_headers(head.headers),
    )


def refusal(endpoint: Endpoint, headers: Mapping[bytes, bytes]) -> errors.ClientError | None:
    """Return the error for a request with these headers, before its body is read; None if it is accepted."""
    return header_refusal(headers) or (media_type_refusal(headers) if endpoint.is_json else None)


def media_type_refusal(headers: Mapping[bytes, bytes]) -> errors.UnsupportedMediaType | None:
    """Return the error for a body that is not declared as JSON; None if it is.

    Browsers send JSON to another origin only after a preflight request. So this also keeps web pages of other origins
    from using a gateway that requires no key.
    """
    declared = headers.get(b"content-type")
    if declared is None:
        if b"origin" in headers:
            return errors.UnsupportedMediaType("The request has no content type.", hint=_CONTENT_TYPE_HINT)
        return None
    kind = declared.split(b";", 1)[0].strip().lower()
    if kind != b"application/json" and not kind.endswith(b"+json"):
        return errors.UnsupportedMediaType(
            f"The content type '{kind.decode('latin-1')[:100]}' is not supported.", hint=_CONTENT_TYPE_HINT
        )
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding != b"identity":
        return errors.UnsupportedMediaType(
            f"The content encoding '{encoding.decode('latin-1')[:50]}' is not supported.",
            hint="Send the body without compression.",
        )
    return None
