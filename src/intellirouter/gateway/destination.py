"""Finds out where a request goes from its head alone: endpoint, context, API key, media type.

A client repeats its headers with every request. So the server shares parsed heads, and the result is stored in the
head.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from intellirouter.core import encoding_refusal, errors
from intellirouter.dialects import Endpoint
from intellirouter.gateway.http import Destination, RequestHead
from intellirouter.gateway.paths import context_of, is_canonical
from intellirouter.gateway.request_headers import cache_directives, header_refusal, ignored_headers
from intellirouter.governance import request_key
from intellirouter.pipeline import Generation

_CONTENT_TYPE_HINT: Final = "Send `Content-Type: application/json`."
_JSON_TYPES: Final = frozenset({b"application/json", b"text/json"})
_BROWSER_HEADERS: Final = (b"origin", b"sec-fetch-site", b"sec-fetch-mode")


def destination_of(head: RequestHead, generation: Generation) -> Destination | None:
    """Return where a POST request to one of the dialects' endpoints goes; None for all other requests."""
    known = head.destination
    if known is not None and known.generation == generation.number:
        return known
    found = _find(head, generation) if head.method == "POST" else None
    head.destination = found
    return found


def _find(head: RequestHead, generation: Generation) -> Destination | None:
    dialects, has_cache = generation.dialects, generation.runtime.cache.is_used
    endpoint, model, is_stream = dialects.endpoints_by_path.get(head.path), "", False
    if endpoint is None:
        if (match := dialects.match(head.path)) is None or not is_canonical(head.path):
            return None
        endpoint, model, is_stream = match.endpoint, unquote(match.model), match.is_stream
    return Destination(
        generation=generation.number,
        endpoint=endpoint,
        context=context_of(endpoint, head, model, is_stream=is_stream),
        key=request_key(head.headers, head.query),
        is_accepted=refusal(endpoint, head.headers, has_cache=has_cache) is None,
        has_cache=has_cache,
        cache=cache_directives(head.headers),
        idempotency_key=head.headers.get(b"idempotency-key") if has_cache else None,
        ignored=ignored_headers(head.headers),
    )


def refusal(
    endpoint: Endpoint, headers: Mapping[bytes, bytes], *, has_cache: bool = False
) -> errors.ClientError | None:
    """Return the error for a request with these headers, before its body is read; None if it is accepted."""
    if (
        error := header_refusal(headers, has_cache=has_cache) or encoding_refusal(headers)
    ) is not None or not endpoint.is_json:
        return error
    if endpoint.allows_any_media_type and not _is_from_browser(headers):
        return None
    return media_type_refusal(headers)


def media_type_refusal(headers: Mapping[bytes, bytes]) -> errors.UnsupportedMediaType | None:
    """Return the error for a body that is not declared as JSON; None if it is, or if nothing is declared.

    Browsers send JSON to another origin only after a preflight request. So this also keeps web pages of other origins
    from using a gateway that requires no key.
    """
    kind = headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
    if not kind:
        if _is_from_browser(headers):
            return errors.UnsupportedMediaType("The request has no content type.", hint=_CONTENT_TYPE_HINT)
        return None
    if kind in _JSON_TYPES or kind.endswith(b"+json"):
        return None
    return errors.UnsupportedMediaType(
        f"The content type '{kind.decode('latin-1')[:100]}' is not supported.", hint=_CONTENT_TYPE_HINT
    )


def _is_from_browser(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a web page may have caused the request. A page cannot change what is checked.

    Old browsers send none of the headers with a form.
    """
    return any(name in headers for name in _BROWSER_HEADERS) or headers.get(b"user-agent", b"").startswith(b"Mozilla/")
