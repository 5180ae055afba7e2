"""Headers with which requests ask something of the gateway itself. What it does not do is refused or reported."""

from collections.abc import Mapping
from typing import Final

from intellirouter.cache import CacheDirectives, parse_directives
from intellirouter.core import HEADER_PREFIX, AttemptControl, Loss, attempt_control_of, errors

_IGNORED: Final = (b"idempotency-key", b"openai-organization", b"openai-project", b"x-goog-user-project")
"""Headers with a meaning for some vendors or clients, and none for the gateway: without a cache, it does not recognize
a repeated request, and the provider's credential decides whose account pays. The cache stage removes the first one.
"""


def header_refusal(headers: Mapping[bytes, bytes], *, has_cache: bool = False) -> errors.ClientError | None:
    """Return the error for a request that cannot be served as its headers demand; None if it can.

    If there is a cache, the pipeline finds out whether it has an answer.
    """
    try:
        attempt_control_of(headers)
    except errors.InvalidRequest as error:
        return error
    if not has_cache and (directives := cache_directives(headers)) is not None and directives.only_if_cached:
        return errors.NotCached(
            "The request demands a cached answer (`Cache-Control: only-if-cached`), and there is none.",
            hint="Remove the directive to get an answer from a model.",
        )
    return None


def control_header_refusal(headers: Mapping[bytes, bytes]) -> errors.InvalidRequest | None:
    """Return the error for a request that calls no model, if it demands something of the attempts; None otherwise."""
    for name in headers:
        if name.startswith(HEADER_PREFIX):
            return errors.InvalidRequest(
                f"The request header '{name.decode('latin-1')[:100]}' has no effect on this path.",
                code="unknown_header",
                hint="Remove it. It is for requests that call a model. The lines of a batch cannot have headers.",
            )
    return None


def control_of(headers: Mapping[bytes, bytes]) -> AttemptControl | None:
    """Return what the client demands of the attempts; None if it demands nothing, or if the demand is refused."""
    try:
        return attempt_control_of(headers)
    except errors.InvalidRequest:
        return None


def ignored_headers(headers: Mapping[bytes, bytes]) -> tuple[Loss, ...]:
    """Return the headers that have no effect although the client may rely on them."""
    return tuple(Loss(name.decode()) for name in _IGNORED if name in headers)


def cache_directives(headers: Mapping[bytes, bytes]) -> CacheDirectives | None:
    """Return what the client demands of the cache; None if it demands nothing."""
    value = headers.get(b"cache-control")
    return None if value is None else parse_directives(value)
