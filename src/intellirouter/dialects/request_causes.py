"""Errors whose HTTP status blames the credential, the account or the deployment, although the request is at fault.

If they counted against the credential or the deployment, one client's requests would make both unavailable to others.
`error_of_request` is shared by the error decoders of all dialects, which call it for these statuses.
"""

import re
from typing import Any, Final

from intellirouter.core import errors

REQUEST_TOO_LARGE: Final = "request_too_large"
"""A single request is larger than what the vendor's rate limit allows in a minute, so waiting does not help."""

_STATUSES: Final = frozenset({402, 403, 404, 413, 429})
_DENIED_MODEL_CODES: Final = frozenset(
    {
        "model_not_found",  # OpenAI, also with 403
        "model_not_allowed",
        "model_permission_blocked_org",  # Groq
        "model_permission_blocked_project",
        "model_terms_required",
    }
)
_DENIED_MODEL: Final = re.compile(
    r"(?:access|permission)(?:(?!\bkey\b)[^.;]){0,60}? models?\b"
    r"|\bmodel\b[^.]{0,100}? is (?:blocked|disabled|not (?:available|enabled|allowed|accessible))"
    r"|not allowed to (?:sample|generate) from (?:this|the) model"
)
_MISSING_CONTENT_CODES: Final = frozenset(
    {"previous_response_not_found", "response_not_found", "item_not_found", "file_not_found", "container_not_found"}
)
_CONTENT: Final = (
    r"(?:files?|cached ?content|responses?|items?|containers?(?:_id)?|vector stores?|conversations?|prompts?|skills?"
    r"|uploads?)"
)
_MISSING_CONTENT: Final = re.compile(
    rf"(?<![\w/]){_CONTENT}\b[^.]{{0,160}}?(?:not found|not exist|no longer (?:exists|available)|(?:has|have) expired)"
    rf"|\bno such {_CONTENT}\b|\bno {_CONTENT} (?:was |were )?(?:found|exists?|with)\b"
)
_NAMES_OTHER: Final = re.compile(
    r"\b(?:models?|deployment|engine|endpoint|route|path|url"
    r"|accounts?|subscription|billing|credits?|quota|plan|(?:api|this|your) key)\b"
)
"""Something of the deployment or the account."""
_MEDIA: Final = r"\b(?:image|video|audio|document|pdf|file|media|attachment)s?\b"
_NOT_FETCHED: Final = (
    r"(?:could not|cannot|can't|failed to|unable to|error while) (?:be )?(?:download|fetch|load|retriev|access|open)\w*"
)
_UNREACHABLE_MEDIA: Final = re.compile(rf"{_NOT_FETCHED}[^.]{{0,80}}?{_MEDIA}|{_MEDIA}[^.]{{0,80}}?{_NOT_FETCHED}")
_NAMES_KEY: Final = re.compile(r"\b(?:(?:api|this|your|the) key|tokens?|credentials?)\b")
_LACKS_FEATURE: Final = re.compile(r"no endpoints found that (?:support|can handle)")  # OpenRouter
_OTHER_ENDPOINT: Final = re.compile(  # OpenAI: an embedding model in a chat, a model that has the Responses API only
    r"\bnot supported in the v\d/|\bonly supported in v\d/|\bnot a (?:chat|completions?|embeddings?) model\b"
)
_DENIED_FEATURE: Final = re.compile(
    r"(?:access|permission)[^.;]{0,60}? (?:features?|betas?|tools?|capabilit(?:y|ies))\b"
)
_TOO_LARGE: Final = re.compile(r"request too large for (?:model\b|[^\s.]+ (?:in|on)\b)")
_LIMITS_TOKENS: Final = re.compile(r"\b(?:tokens?|tp[mhd])\b")
_LIMITS_REQUESTS: Final = re.compile(r"\brequests? ?(?:per|/)|\brp[smhd]\b")
_LIMIT_AND_SIZE: Final = re.compile(r"\blimit:? ?([\d,]+)[^\d].{0,80}?\brequested:? ?([\d,]+)")
_AFFORDABLE: Final = re.compile(r"fewer max_tokens\b.{0,120}?can only afford ([\d,]+)", re.DOTALL)  # OpenRouter
_MIN_AFFORDABLE_TOKENS: Final = 1000
"""If the account can pay for fewer tokens, it is as good as empty."""
_MAX_SCANNED_CHARS: Final = 2000


def error_of_request(status: int, message: str, code: Any, source: str, body: bytes) -> errors.UpstreamError | None:
    """Return the error that a response really reports; None if its status says what it is.

    `source` is the subject of messages about the deployment.
    """
    if status not in _STATUSES:
        return None
    words = message[:_MAX_SCANNED_CHARS].lower()
    if _is_too_large(status, words):
        return _rejected(message, REQUEST_TOO_LARGE, 413, body)
    if status in {403, 404} and _is_content_missing(words, code):
        return _rejected(message, code if code in _MISSING_CONTENT_CODES else None, 404, body)
    if status == 404 and _UNREACHABLE_MEDIA.search(words):
        return _rejected(message, None, 400, body)
    if status == 404 and (misuse := _OTHER_ENDPOINT.search(words) or _LACKS_FEATURE.search(words)):
        hint = "Use a model that has this endpoint." if misuse.re is _OTHER_ENDPOINT else None
        return errors.UnsupportedFeature(errors.as_sentence(f"{source}: {message}"), hint=hint)
    if status == 403 and (code in _DENIED_MODEL_CODES or _DENIED_MODEL.search(words)):
        return errors.UpstreamModelMissing(errors.as_sentence(f"{source} does not allow this model: {message}"))
    if status == 403 and _DENIED_FEATURE.search(words) and _NAMES_KEY.search(words) is None:
        return errors.UnsupportedFeature(errors.as_sentence(f"{source}: {message}"))
    return None


def _is_too_large(status: int, words: str) -> bool:
    if status == 402:
        affordable = _AFFORDABLE.search(words)
        return affordable is not None and _number(affordable[1]) >= _MIN_AFFORDABLE_TOKENS
    if status not in {413, 429}:
        return False
    found = _LIMIT_AND_SIZE.search(words)
    if found is None:
        return _TOO_LARGE.search(words) is not None
    if _LIMITS_TOKENS.search(words) is None or _LIMITS_REQUESTS.search(words) is not None:
        return False
    limit = _number(found[1])
    return 0 < limit < _number(found[2])  # a limit of 0 means that the account may not use the model


def _is_content_missing(words: str, code: Any) -> bool:
    if code in _MISSING_CONTENT_CODES:
        return True
    return _MISSING_CONTENT.search(words) is not None and _NAMES_OTHER.search(words) is None


def _number(digits: str) -> int:
    return int(digits.replace(",", "") or 0)


def _rejected(message: str, code: str | None, status: int, body: bytes) -> errors.UpstreamError:
    error = errors.UpstreamRejected(message, code=code, status=status)
    error.vendor_body = body
    return error
