"""Errors that are about the gateway's credential or its account at the vendor, although their HTTP status is another.

Vendors report an invalid key or an empty account with 400, 403, 404 or 412, too. Read by status alone, such an error
would blame the request, and the credential would stay in use. The decoders of all dialects share `account_error`.

Error messages may repeat parts of the request. So that no client can blame the credential that way, words count only
at the beginning of the message.
"""

import re
from typing import Any, Final

from intellirouter.core import errors

_CREDENTIAL_CODES: Final = frozenset(
    [
        "invalidapikey",
        "incorrectapikey",
        "wrongapikey",
        "expiredapikey",
        "apikeyinvalid",
        "apikeyexpired",
        "apikeydisabled",
        "apikeyrevoked",
        "invalidauthentication",
        "invalidauthenticationerror",
        "incorrectapikeyerror",
        "authenticationerror",
        "authenticationfailed",
        "accountdeactivated",
        "accountdisabled",
        "accountsuspended",
        "organizationdisabled",
        "organizationdeactivated",
        "organizationrestricted",
        "consumersuspended",
        "consumerinvalid",
        "unauthenticated",
    ]
)
"""Codes in lower case and without separators."""
_ACCOUNT_CODES: Final = frozenset(
    [
        "insufficientquota",
        "insufficientbalance",
        "insufficientcredits",
        "insufficientfunds",
        "creditbalancetoolow",
        "billingerror",
        "billinghardlimitreached",
        "billingnotactive",
        "paymentrequired",
        "exceededcurrentquotaerror",
        "arrearage",
        "accountoverdueerror",
        "accountoverdue",
        "spendinglimitreached",
    ]
)
_KEY: Final = (
    r"(?:x-api-key|api[ _-]?keys?|api[ _-]?tokens?|subscription key|(?:access|bearer|oauth|security"
    r"|auth(?:entication)?) tokens?|(?:authentication |api )?credentials?)"
)
_OWNER: Final = r"(?:account|organi[sz]ation|team|project|workspace|tenant|user|consumer|subscription|access)"
_STOPPED: Final = (
    r"(?:suspended|deactivated|disabled|terminated|banned|revoked|restricted|blocked|locked|deleted|inactive|expired"
    r"|in arrears|overdue|not active|not in good standing|under risk control)"
)
_CREDENTIAL_WORDS: Final = re.compile(
    rf"(?:the |an? )?(?:incorrect|invalid|wrong|expired|unknown|revoked|malformed) {_KEY}\b"
    rf"|(?:the |your |this )?(?:\w+ )?{_KEY}\b[^.,;]{{0,60}}? (?:not valid|invalid|incorrect|leaked|{_STOPPED})"
    rf"|(?:(?:the|your|this) )?(?:\w+ )?{_OWNER}\b[^.;]{{0,80}}? {_STOPPED}\b"
    rf"|{_OWNER} {_STOPPED}\b"
    rf"|we(?: have|'ve)? {_STOPPED} (?:your|this) (?:\w+ )?(?:{_OWNER}|{_KEY})"
    r"|access denied,? (?:please )?make sure your account is in good standing"
)
_EMPTY: Final = (
    r"(?:sorry, )?(?:your )?(?:(?:credit|account|prepaid|current) )*balance is "
    r"(?:too low|insufficient|not enough|empty)"
    r"|(?:insufficient|not enough|no) (?:(?:account|credit|prepaid|available) )?(?:balance|credits?|funds)\b"
    r"|your [^.]{0,80}(?:used all available credits|(?:reached|exceeded) its [^.]{0,20}spending limit"
    r"|(?:doesn't|does not) have any credits)"
)
_EMPTY_WORDS: Final = re.compile(rf"{_EMPTY}|your [^.]{{0,80}} suspended[^.]{{0,40}} insufficient balance")
"""Words that distinguish an empty account from a rate limit, for which some vendors say that a quota is exceeded."""
_ACCOUNT_WORDS: Final = re.compile(
    rf"{_EMPTY}"
    r"|you (?:have |have already )?(?:exceeded|reached) your (?:\w+ ){0,3}(?:usage limits?|quota|spend(?:ing)? limit)"
    r"|no items in your subscription|your subscription (?:is|has) (?:inactive|expired|ended)"
)
_EMPTY_CODES: Final = _ACCOUNT_CODES | {"1113"}  # Zhipu
_NAMES_OTHER: Final = re.compile(r"\b(?:models?|mcp|tools?|connectors?|plugins?|functions?|files?)\b")
"""Something that a model or the request has, which may have a credential of its own."""
_PREFIX: Final = re.compile(r"\s*(?:error(?: code)?:? ?\d{0,4}[ :-]*|\w+error: )?")
_MAX_SCANNED_CHARS: Final = 300
_SEPARATORS: Final = re.compile(r"[\s_.-]+")
_CLEAR_STATUSES: Final = frozenset({401, 402})
"""Statuses that blame the credential or its account already."""


def account_error(status: int, message: str, codes: tuple[Any, ...], source: str) -> errors.UpstreamError | None:
    """Return the error if the credential or its account is at fault, although the status blames something else.

    `codes` are the code, type and reason of the error, if it has any. `source` is the subject of the message.
    """
    if not 400 <= status < 500 or status in _CLEAR_STATUSES:
        return None
    if status == 429:
        return _empty_account(message, codes, source)
    words = _beginning_of(message)
    plain = [plain_code(code) for code in codes if isinstance(code, str)]
    code = next((each for each in codes if isinstance(each, str) and plain_code(each) in _ACCOUNT_CODES), None)
    if (code is not None and status != 403) or _ACCOUNT_WORDS.match(words):
        sentence = _sentence(f"{source} has no credit or quota left", message)
        return errors.UpstreamQuotaExhausted(sentence, code=code or "insufficient_quota", status=502)
    # With 403 the vendor refuses the credential itself, whatever the account's state is.
    if code is not None or not _CREDENTIAL_CODES.isdisjoint(plain) or _is_credential_refused(words):
        error = errors.UpstreamAuthFailed(_sentence(f"{source} rejected the credential", message))
        error.is_explicit = True
        return error
    return None


def _empty_account(message: str, codes: tuple[Any, ...], source: str) -> errors.UpstreamError | None:
    """Return the error if a rate limit is none, because the account is empty, so that waiting does not help."""
    code = next((each for each in codes if isinstance(each, str) and plain_code(each) in _EMPTY_CODES), None)
    if code is None and _EMPTY_WORDS.match(_beginning_of(message)) is None:
        return None
    sentence = _sentence(f"{source} has no credit or quota left", message)
    is_word = code is not None and not code.isdigit()
    return errors.UpstreamQuotaExhausted(sentence, code=code if is_word else "insufficient_quota", status=429)


def is_about_account(message: str) -> bool:
    """Return whether a message says that the gateway's credential or account is refused, for whatever reason."""
    words = _beginning_of(message)
    return _is_credential_refused(words) or _ACCOUNT_WORDS.match(words) is not None


def plain_code(code: str) -> str:
    """Return a code in lower case and without separators."""
    return _SEPARATORS.sub("", code[:200]).lower()


def _is_credential_refused(words: str) -> bool:
    found = _CREDENTIAL_WORDS.match(words)
    return found is not None and _NAMES_OTHER.search(words.partition(". ")[0]) is None


def _beginning_of(message: str) -> str:
    words = message[:_MAX_SCANNED_CHARS].lower()
    prefix = _PREFIX.match(words)
    return words[prefix.end() :] if prefix else words


def _sentence(problem: str, message: str) -> str:
    return errors.as_sentence(f"{problem}: {message}" if message else problem)
