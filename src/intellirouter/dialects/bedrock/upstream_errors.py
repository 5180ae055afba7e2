"""Bedrock's errors into ours: by the exception's name in a header, in the body, or in a stream's message.

Source: AWS, Bedrock Runtime API reference, "Errors"; AWS JSON protocols (`x-amzn-errortype`, `__type`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from intellirouter.core import Clock, errors
from intellirouter.dialects.openai.errors import retry_after_s

_MAX_MESSAGE_CHARS: Final = 2000
_BY_STATUS: Final = {
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
_AUTH: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "ExpiredToken",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorizedException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_THROTTLED: Final = frozenset({"ThrottlingException", "TooManyRequestsException", "Throttling"})
_MISSING: Final = ("model identifier is invalid", "on-demand throughput", "end of its life", "inference profile")
"""Of a validation error: it is the deployment's model that is wrong, not the request."""
_TOO_LONG: Final = ("too long", "context window", "context length", "maximum context", "input length")
_LACKS: Final = ("doesn't support", "does not support", "not supported", "isn't supported", "unsupported")


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Turn an error answer into ours."""
    kind, message = _read(body)
    for name, value in headers:
        if name.lower() == "x-amzn-errortype":
            kind = _bare(value)
    kind = kind or _BY_STATUS.get(status, "")
    error = _error(status, kind, message, deployment)
    error.retry_after_s = retry_after_s(headers, clock)
    if isinstance(error, errors.UpstreamRejected):
        error.vendor_body = body
    return error


def error_in_stream(headers: Mapping[str, Any], payload: bytes) -> errors.UpstreamError:
    """Turn the exception that a stream brings into ours."""
    kind, message = _read(payload)
    kind = _bare(str(headers.get(":exception-type") or headers.get(":error-code") or "")) or kind
    message = message or str(headers.get(":error-message") or "")
    kind = kind[:1].upper() + kind[1:]
    return _error(0, kind, message[:_MAX_MESSAGE_CHARS], "The upstream")


def _read(body: bytes) -> tuple[str, str]:
    """Return the exception's name and its message, from whatever came. The message is bounded."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:300].decode("utf-8", "replace").strip()
        return "", "" if text.startswith("<") else text
    if not isinstance(document, dict):
        return "", str(document)[:_MAX_MESSAGE_CHARS]
    kind = document.get("__type") or document.get("code") or ""
    message = document.get("message") or document.get("Message") or document.get("originalMessage") or ""
    return _bare(kind) if isinstance(kind, str) else "", str(message)[:_MAX_MESSAGE_CHARS]


def _bare(kind: str) -> str:
    """Return the name in `com.amazon.coral.service#Name:http://…`."""
    return kind.partition(":")[0].rpartition("#")[2].strip()


def _error(status: int, kind: str, message: str, where: str) -> errors.UpstreamError:
    said = f": {message}" if message else "."
    if kind in _AUTH or status == 401:  # whatever its name: a client's own key is never meant
        return errors.UpstreamAuthFailed(f"{where} refused our credential{said}")
    if kind in _THROTTLED:
        return errors.UpstreamRateLimited(f"{where} is rate limited{said}")
    if kind in _BUILDERS:
        return _BUILDERS[kind](where, said, message)
    if kind == "ValidationException" or 400 <= status < 500:
        return _rejected(status or 400, message or kind or f"HTTP {status}", where)
    if 300 <= status < 400:
        return errors.UpstreamMalformed(f"{where} answered with a redirect (HTTP {status}); check its base_url.")
    name = kind or f"HTTP {status}"
    return errors.UpstreamUnavailable(f"{where} failed ({name}){said}")


def _rejected(status: int, message: str, where: str) -> errors.UpstreamError:
    lower = message.lower()
    if any(words in lower for words in _MISSING):
        return errors.UpstreamModelMissing(f"{where}: {message}")
    if any(words in lower for words in _TOO_LONG):
        return errors.UpstreamRejected(message, code="context_length_exceeded", status=status)
    if any(words in lower for words in _LACKS):
        return errors.UnsupportedFeature(f"{where}: {message}")
    return errors.UpstreamRejected(message, status=status)


def _unavailable(where: str, said: str, message: str) -> errors.UpstreamError:  # noqa: ARG001 - one shape for all
    return errors.UpstreamUnavailable(f"{where} is not available{said}", status=503)


def _broken(where: str, said: str, message: str) -> errors.UpstreamError:  # noqa: ARG001
    return errors.UpstreamUnavailable(f"{where}: the model failed{said}")


_BUILDERS: Final[dict[str, Callable[[str, str, str], errors.UpstreamError]]] = {
    "ResourceNotFoundException": lambda where, said, message: errors.UpstreamModelMissing(
        message or f"{where} does not know this model or path{said}"
    ),
    "ModelTimeoutException": lambda where, said, _: errors.UpstreamTimeout(f"{where} timed out{said}"),
    "ServiceQuotaExceededException": lambda where, said, _: errors.UpstreamQuotaExhausted(
        f"{where}'s account has run out of quota{said}"
    ),
    "ModelNotReadyException": _unavailable,
    "ServiceUnavailableException": _unavailable,
    "InternalServerException": _broken,
    "ModelErrorException": _broken,
    "ModelStreamErrorException": _broken,
}
