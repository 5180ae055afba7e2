"""Decodes Bedrock's errors by the name of the exception in a header, in the body, or in a message of a stream.

Source: AWS, Bedrock Runtime API reference, "Errors"; AWS JSON protocols (`x-amzn-errortype`, `__type`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from intellirouter.core import Clock, errors
from intellirouter.dialects.account_causes import account_error
from intellirouter.dialects.error_causes import CONTENT_POLICY, CONTEXT_LENGTH, rejection_cause
from intellirouter.dialects.openai.upstream_errors import retry_after_s
from intellirouter.dialects.request_causes import error_of_request

_MAX_MESSAGE_CHARS: Final = 2000
_NO_QUOTA: Final = "ServiceQuotaExceededException"
_EXCEPTION_BY_STATUS: Final = {
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
_AUTH_EXCEPTIONS: Final = frozenset(
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
_RATE_LIMIT_EXCEPTIONS: Final = frozenset({"ThrottlingException", "TooManyRequestsException", "Throttling"})
_MODEL_EXCEPTIONS: Final = frozenset({"ModelErrorException", "ModelStreamErrorException", "InternalServerException"})
_MODEL_MISSING_MESSAGES: Final = (
    "model identifier is invalid",
    "on-demand throughput",
    "end of its life",
    "inference profile",
)
"""Messages of validation errors that are caused by the deployment's model, not by the request."""
_UNSUPPORTED_MESSAGES: Final = (
    "doesn't support",
    "does not support",
    "not supported",
    "isn't supported",
    "unsupported",
)


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Decode an error response."""
    kind, message = _read_error(body)
    for name, value in headers:
        if name.lower() == "x-amzn-errortype":
            kind = _short_name(value)
    if status == 402:  # the account, whatever the exception is called
        kind = _NO_QUOTA
    kind = kind or _EXCEPTION_BY_STATUS.get(status, "")
    error = _build_error(status, kind, message, deployment)
    error.retry_after_s = retry_after_s(headers, clock)
    if isinstance(error, errors.UpstreamRejected):
        error.vendor_body = body
    return error


def decode_stream_error(headers: Mapping[str, Any], payload: bytes) -> errors.UpstreamError:
    """Decode an exception or error in a stream."""
    kind, message = _read_error(payload)
    kind = _short_name(str(headers.get(":exception-type") or headers.get(":error-code") or "")) or kind
    message = message or str(headers.get(":error-message") or "")
    kind = kind[:1].upper() + kind[1:]
    return _build_error(0, kind, message[:_MAX_MESSAGE_CHARS], "The upstream")


def _read_error(body: bytes) -> tuple[str, str]:
    """Return the exception name and the message of an error in any form. The length of the message is limited."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:300].decode("utf-8", "replace").strip()
        return "", "" if text.startswith("<") else text
    if not isinstance(document, dict):
        return "", str(document)[:_MAX_MESSAGE_CHARS]
    kind = document.get("__type") or document.get("code") or ""
    message = document.get("message") or document.get("Message") or document.get("originalMessage") or ""
    return _short_name(kind) if isinstance(kind, str) else "", str(message)[:_MAX_MESSAGE_CHARS]


def _short_name(kind: str) -> str:
    """Return the name in `com.amazon.coral.service#Name:http://…`."""
    return kind.partition(":")[0].rpartition("#")[2].strip()


def _sentence(problem: str, message: str) -> str:
    """Return a description of the error, followed by the vendor's message."""
    return errors.as_sentence(f"{problem}: {message}" if message else problem)


def _build_error(status: int, kind: str, message: str, source: str) -> errors.UpstreamError:
    known = account_error(status, message, (kind,), source) or _error_of_request(status, message, source)
    if known is not None:
        return known
    if kind in _AUTH_EXCEPTIONS or status == 401:  # the gateway's credential, whatever the exception is called
        error = errors.UpstreamAuthFailed(_sentence(f"{source} rejected the credential", message))
        error.is_explicit = kind in _AUTH_EXCEPTIONS and kind != "AccessDeniedException"  # also a denied model
        return error
    if kind in _RATE_LIMIT_EXCEPTIONS:
        return errors.UpstreamRateLimited(_sentence(f"{source} is rate limited", message))
    if kind in _MODEL_EXCEPTIONS and rejection_cause(message) == CONTEXT_LENGTH:
        return errors.UpstreamRejected(message, code=CONTEXT_LENGTH, status=400)
    if kind in _BUILDERS:
        return _BUILDERS[kind](source, message)
    if kind == "ValidationException" or 400 <= status < 500:
        return _rejected(status or 400, message, kind or f"HTTP {status}", source)
    if 300 <= status < 400:
        return errors.UpstreamMalformed(f"{source} returned a redirect (HTTP {status}). Check its base_url.")
    return errors.UpstreamUnavailable(_sentence(f"{source} failed ({kind or f'HTTP {status}'})", message))


def _error_of_request(status: int, message: str, source: str) -> errors.UpstreamError | None:
    """Return the error if the request is at fault, although the status blames something else."""
    if status != 403:  # with 403 Bedrock also refuses models, which the account has to request
        return error_of_request(status, message, None, source, b"")
    is_refused = rejection_cause(message) == CONTENT_POLICY
    return errors.UpstreamRejected(message, code=CONTENT_POLICY, status=400) if is_refused else None


def _rejected(status: int, message: str, name: str, source: str) -> errors.UpstreamError:
    message = message or f"{source} rejected the request ({name})."
    lower = message.lower()
    if any(phrase in lower for phrase in _MODEL_MISSING_MESSAGES):
        return errors.UpstreamModelMissing(_sentence(source, message))
    if (cause := rejection_cause(message)) is not None:
        return errors.UpstreamRejected(message, code=cause, status=400)
    if any(phrase in lower for phrase in _UNSUPPORTED_MESSAGES):
        return errors.UnsupportedFeature(_sentence(source, message))
    return errors.UpstreamRejected(message, status=status)


def _unavailable(source: str, message: str) -> errors.UpstreamError:
    return errors.UpstreamUnavailable(_sentence(f"{source} is not available", message), status=503)


def _model_failed(source: str, message: str) -> errors.UpstreamError:
    return errors.UpstreamUnavailable(_sentence(f"The model of {source} failed", message))


_BUILDERS: Final[dict[str, Callable[[str, str], errors.UpstreamError]]] = {
    "ResourceNotFoundException": lambda source, message: errors.UpstreamModelMissing(
        _sentence(f"{source} does not know this model or path (HTTP 404)", message)
    ),
    "ModelTimeoutException": lambda source, message: errors.UpstreamTimeout(_sentence(f"{source} timed out", message)),
    _NO_QUOTA: lambda source, message: errors.UpstreamQuotaExhausted(_sentence(f"{source} has no quota left", message)),
    "ModelNotReadyException": _unavailable,
    "ServiceUnavailableException": _unavailable,
    "InternalServerException": _model_failed,
    "ModelErrorException": _model_failed,
    "ModelStreamErrorException": _model_failed,
}
