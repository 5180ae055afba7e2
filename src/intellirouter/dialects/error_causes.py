"""What vendors' errors mean: the one table of codes and words that the error decoders of all dialects share.

Vendors report an error with an HTTP status, with a numeric code, with a name or in words only, and many of them report
it in a response with status 200. `rejection_cause` recognizes the two causes that clients and fallbacks act on.
`status_in_document` returns the HTTP status that an error document claims. `is_error_document` recognizes an error
that has no member `error`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from intellirouter.core import errors
from intellirouter.dialects.account_causes import is_about_account, plain_code

FAILED_FINISHES: Final = frozenset({"error", "insufficient_system_resource", "network_error"})
"""Finish reasons of answers that were not finished (OpenRouter, DeepSeek, Zhipu). OpenAI has none."""
CONTEXT_LENGTH: Final = "context_length_exceeded"
"""The conversation is longer than the model's context. Clients that see this code compact the conversation."""
CONTENT_POLICY: Final = "content_policy_violation"
"""The vendor refuses the content of the request."""

_CAUSES_BY_CODE: Final = {
    "contextlengthexceeded": CONTEXT_LENGTH,
    "contextlengthexceedederror": CONTEXT_LENGTH,
    "contextlengtherror": CONTEXT_LENGTH,
    "contextwindowexceeded": CONTEXT_LENGTH,
    "contextwindowexceedederror": CONTEXT_LENGTH,
    "modelcontextwindowexceeded": CONTEXT_LENGTH,
    "contextexceeded": CONTEXT_LENGTH,
    "contextoverflow": CONTEXT_LENGTH,
    "exceedcontextsizeerror": CONTEXT_LENGTH,  # llama.cpp
    "inputtoolong": CONTEXT_LENGTH,
    "prompttoolong": CONTEXT_LENGTH,
    "tokenslimitreached": CONTEXT_LENGTH,  # GitHub Models
    "biopolicy": CONTENT_POLICY,
    "contentfilter": CONTENT_POLICY,  # Azure, Moonshot
    "contentfiltererror": CONTENT_POLICY,
    "contentpolicyviolation": CONTENT_POLICY,
    "contentpolicyviolationerror": CONTENT_POLICY,
    "contentblocked": CONTENT_POLICY,
    "contentmoderation": CONTENT_POLICY,
    "cyberpolicy": CONTENT_POLICY,
    "datainspectionfailed": CONTENT_POLICY,  # DashScope
    "guardrailintervened": CONTENT_POLICY,
    "imagecontentpolicyviolation": CONTENT_POLICY,
    "inputimagesensitivecontentdetected": CONTENT_POLICY,  # Volcengine
    "inputtextsensitivecontentdetected": CONTENT_POLICY,
    "misalignmentpolicyviolation": CONTENT_POLICY,
    "moderationblocked": CONTENT_POLICY,
    "outputimagesensitivecontentdetected": CONTENT_POLICY,
    "outputtextsensitivecontentdetected": CONTENT_POLICY,
    "prohibitedcontent": CONTENT_POLICY,
    "responsibleaipolicyviolation": CONTENT_POLICY,  # Azure
    "sensitivecontentdetected": CONTENT_POLICY,
    "sensitivewordsdetected": CONTENT_POLICY,
    "1261": CONTEXT_LENGTH,  # Zhipu
    "1301": CONTENT_POLICY,  # Zhipu
}
"""Causes by the code, type or reason of an error, in lower case and without separators."""

_CONTEXT_WORDS: Final = re.compile(
    r"(?:prompt|input|message|request|conversation) (?:is )?too long"
    r"|(?:exceed|greater than|longer than|larger than|too large for|beyond)[^.:]{0,60}?context"
    r"[ _](?:length|window|size|limit)"
    r"|context[ _](?:length|window|size|limit)[^.:]{0,40}?(?:exceed|overflow|is full|too small)"
    r"|maximum context length"
    r"|maximum (?:model|prompt) length (?:is|of) \d"
    r"|(?:input|prompt) (?:token count|length)[^.:]{0,60}? exceeds? "
    r"|input token count is \d+ but [^.]{0,40}?supports? "
    r"|number of (?:input )?tokens (?:in the prompt )?(?:exceeds|cannot exceed|must not exceed)"
    r"|(?:prompt|request|input)[^.:]{0,30}? exceed(?:s|ed)? (?:the )?(?:max(?:imum)? length|model(?:'s)? token limit)"
    r"|too many (?:input tokens|tokens:|tokens in )"
    r"|reduce the length of (?:the |your )?(?:messages?|input|prompt)"
    r"|must have less than \d+ tokens"
    r"|`?inputs`? tokens \+ `?max_new_tokens`? must be"
    r"|range of input length should be"
    r"|context the overflows|loaded with context length of only|reached context length of"
    r"|input tokens exceed(?:ed\b| the (?:configured )?limit)|tokens in request more than max tokens"
    r"|exceeds? the model's maximum context|total[^.]{0,60}? exceeds? the model's limit of \d"
    r"|request body too large for [^.]{0,60}?\. max size: \d+ tokens"
)
_POLICY_WORDS: Final = re.compile(
    r"content (?:management |filtering |moderation |safety |usage )?polic"
    r"|violat\w*[^.]{0,60}?(?:usage|content|safety|moderation|acceptable use|our) (?:polic|guideline)"
    r"|safety system|content exists risk|considered high risk|inappropriate content"
    r"|(?:prompt|input|request|content)[^.]{0,20}? (?:was |is |been )?flagged (?:for|as|by)|requires moderation on"
    r"|(?:unsafe|harmful|prohibited|disallowed|sensitive|sexual|explicit)[ _](?:or sensitive )?(?:content|information)"
    r"|violat\w*[^.]{0,40}? terms of (?:use|service)|risk control|moderation (?:check|filter)"
    r"|\u654f\u611f\u5185\u5bb9"  # "sensitive content", of Chinese vendors
    r"|blocked by (?:the |our |a )?(?:content|safety|moderation|guardrail)"
)

_STATUSES: Final = {
    400: "badrequest badrequesterror invalidrequest invalidrequesterror invalidargument invalidparameter validation "
    "validationerror validationexception failedprecondition outofrange invalidprompt invalidparametererror "
    "stringabovemaxlength",
    401: "authentication authenticationerror unauthenticated unauthorized unauthorizederror invalidapikey "
    "invalidauthenticationerror incorrectapikeyerror",
    402: "billingerror paymentrequired insufficientbalance insufficientcredits exceededcurrentquotaerror",
    403: "permissionerror permissiondenied permissiondeniederror forbidden accessdenied",
    404: "notfound notfounderror modelnotfound modelnotfounderror",
    408: "timeout timeouterror requesttimeout requesttimeouterror",
    409: "conflict conflicterror",
    413: "requesttoolarge payloadtoolarge",
    422: "unprocessableentity unprocessableentityerror",
    429: "ratelimit ratelimited ratelimiterror ratelimitexceeded ratelimitreachederror toomanyrequests "
    "resourceexhausted throttling throttlingexception engineoverloadederror",
    500: "apierror internalerror internalservererror internal servererror",
    503: "overloaded overloadederror serviceunavailable serviceunavailableerror unavailable modeloverloaded",
    504: "deadlineexceeded gatewaytimeout",
}
_STATUS_BY_NAME: Final = {name: status for status, names in _STATUSES.items() for name in names.split()}
_REQUEST_STATUSES: Final = frozenset({408, 500})
_TIMED_OUT: Final = re.compile(r"\btimed?[ -]?out")
_MINIMAX_STATUSES: Final = {
    1000: 500,
    1001: 504,
    1002: 429,
    1004: 401,
    1008: 402,
    1024: 500,
    1026: 400,
    1027: 400,
    1033: 500,
    1039: 429,
    1041: 429,
    1042: 400,
    2013: 400,
    2045: 429,
    2049: 401,
    2056: 429,
}
"""HTTP statuses by the codes of `base_resp`, which MiniMax returns with status 200. Source: MiniMax, "Error codes"."""
_MINIMAX_POLICY: Final = frozenset({1026, 1027})
_NUMBERS: Final = ("code", "status", "status_code", "http_code", "http_status", "error_code")
_NAMES: Final = ("code", "type", "error_type", "status", "error_code", "reason")
_ERROR_MEMBERS: Final = ("error", "error_type", "error_message", "error_msg", "error_code", "errors", "detail")
_MAX_SCANNED_CHARS: Final = 4000


def rejection_cause(message: str, *codes: Any) -> str | None:
    """Return `CONTEXT_LENGTH` or `CONTENT_POLICY` if that is why the vendor refuses the request, otherwise None.

    `codes` are the code, type and reason of the error, if it has any.
    """
    for code in codes:
        if isinstance(code, str | int) and (cause := _CAUSES_BY_CODE.get(plain_code(str(code)))) is not None:
            return cause
    words = message[:_MAX_SCANNED_CHARS].lower()
    if _CONTEXT_WORDS.search(words):
        return CONTEXT_LENGTH
    # An account that was suspended for violating a policy refuses every request.
    return CONTENT_POLICY if _POLICY_WORDS.search(words) and not is_about_account(message) else None


def applies_to_status(cause: str | None, status: int) -> bool:
    """Return whether the cause decides the class of an error with this HTTP status.

    A rate limit, an invalid credential and an empty account stay what they are, whatever their words.
    """
    if cause is None or status in {401, 402, 429}:
        return False
    return status >= 500 or (400 <= status < 500 and (status != 403 or cause == CONTENT_POLICY))


def status_in_document(*sources: Any) -> int:
    """Return the HTTP status that the members of an error claim, by number or by name; 0 if they claim none.

    `sources` are the error object and the documents around it, the innermost first.
    """
    objects = [source for source in sources if isinstance(source, Mapping)]
    for value in _members(objects, _NUMBERS):
        number = value if isinstance(value, int) and not isinstance(value, bool) else 0
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            number = int(value)
        if 400 <= number < 600:
            return number
    for value in _members(objects, _NAMES):
        if isinstance(value, str) and (status := status_of_name(value)):
            return status
    return 0


def status_of_name(name: str) -> int:
    """Return the HTTP status of a code or type such as `rate_limit_exceeded` or `BadRequestError`; 0 if unknown."""
    plain = plain_code(name)
    if plain in _CAUSES_BY_CODE:
        return 400
    return _STATUS_BY_NAME.get(plain, 0)


def blames_request(status: int, kind: str, message: str) -> bool:
    """Return whether an error of this type is the request's fault, although its HTTP status blames the server."""
    if status not in _REQUEST_STATUSES or status_of_name(kind) != 400:
        return False
    return _TIMED_OUT.search(message[:_MAX_SCANNED_CHARS].lower()) is None


def read_minimax_code(code: Any) -> tuple[int, str | None]:
    """Return the HTTP status and the cause for a code in `base_resp`; 0 and None if it is unknown."""
    if not isinstance(code, int):
        return 0, None
    return _MINIMAX_STATUSES.get(code, 0), CONTENT_POLICY if code in _MINIMAX_POLICY else None


def with_claimed_status(error: errors.UpstreamError, status: int) -> errors.UpstreamError:
    """Return the error of a document with a successful HTTP status. `status` is the one that it claims."""
    if status == 401 and isinstance(error, errors.UpstreamAuthFailed):
        error.is_explicit = True
    return error


def is_error_document(document: Any) -> bool:
    """Return whether a document without an answer reports an error. Use it only for documents without an answer."""
    if not isinstance(document, Mapping):
        return False
    if any(document.get(name) for name in _ERROR_MEMBERS):
        return True
    if document.get("object") == "error" or document.get("type") == "error" or document.get("success") is False:
        return True
    base = document.get("base_resp")
    if isinstance(base, Mapping) and base.get("status_code"):
        return True
    message = document.get("message") or document.get("msg")
    return isinstance(message, str) and any(document.get(name) for name in ("code", "type", "status", "status_code"))


def _members(objects: list[Mapping[str, Any]], names: tuple[str, ...]) -> Iterator[Any]:
    for source in objects:
        for name in names:
            yield source.get(name)
