"""What a client may demand of the attempts of its request, in headers that begin with `x-intellirouter-`. Pure.

One of these headers names the session of the request. It is not a part of `AttemptControl`, because it limits nothing.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from intellirouter.core import errors
from intellirouter.core.concurrency import PRIORITIES, Priority

HEADER_PREFIX: Final = b"x-intellirouter-"
RETRIES_HEADER: Final = "x-intellirouter-retries"
FALLBACKS_HEADER: Final = "x-intellirouter-fallbacks"
TIMEOUT_HEADER: Final = "x-intellirouter-timeout-s"
PRIORITY_HEADER: Final = "x-intellirouter-priority"
SESSION_HEADER: Final = "x-intellirouter-session"
MAX_COST_HEADER: Final = "x-intellirouter-max-cost-usd"
_HEADERS: Final = frozenset(
    {RETRIES_HEADER, FALLBACKS_HEADER, TIMEOUT_HEADER, PRIORITY_HEADER, MAX_COST_HEADER, SESSION_HEADER}
)
_SESSION_NAME: Final = SESSION_HEADER.encode()
_MAX_SHOWN: Final = 100
DEFAULT_MAX_ATTEMPTS: Final = 16
"""The default of the setting `max_attempts`."""
_RETRIES: Final = re.compile(r"[0-9]|10")
_SESSION: Final = re.compile(r"[\x20-\x7e]{1,256}")
_USD: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


class AttemptControl(Struct, frozen=True, kw_only=True):
    """Limits of the attempts of one request. They can only lower what is configured for the model."""

    retries: int | None = None
    has_fallbacks: bool = True
    timeout_s: float | None = None
    priority: Priority | None = None
    """Applies only if it is lower than that of the caller."""
    max_cost_microusd: int | None = None


def attempt_control_of(headers: Mapping[bytes, bytes]) -> AttemptControl | None:
    """Return what the headers demand; None if they demand nothing.

    Raises `InvalidRequest` if a header with our prefix is unknown or has an invalid value. Names are in lower case.
    """
    own = {
        name.decode("latin-1"): value.decode("latin-1").strip()
        for name, value in headers.items()
        if name.startswith(HEADER_PREFIX)
    }
    if not own:
        return None
    for name in own:
        if name not in _HEADERS:
            raise errors.InvalidRequest(
                f"The request header '{name[:_MAX_SHOWN]}' is not known.",
                code="unknown_header",
                hint=f"Remove it. The known request headers with this prefix are {', '.join(sorted(_HEADERS))}.",
            )
    _check_session(own.pop(SESSION_HEADER, None))
    if not own:
        return None
    return AttemptControl(
        retries=_retries(own.get(RETRIES_HEADER)),
        has_fallbacks=_has_fallbacks(own.get(FALLBACKS_HEADER)),
        timeout_s=_timeout_s(own.get(TIMEOUT_HEADER)),
        priority=_priority(own.get(PRIORITY_HEADER)),
        max_cost_microusd=_max_cost_microusd(own.get(MAX_COST_HEADER)),
    )


def session_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the session that the client names; empty if it names none, or if `attempt_control_of` refuses it."""
    value = headers.get(_SESSION_NAME)
    if value is None:
        return ""
    session = value.decode("latin-1").strip()
    return session if _SESSION.fullmatch(session) is not None else ""


def _check_session(value: str | None) -> None:
    if value is not None and _SESSION.fullmatch(value) is None:
        raise _invalid(SESSION_HEADER, value, "Send 1 to 256 printable ASCII characters, for example a UUID.")


def _retries(value: str | None) -> int | None:
    if value is None:
        return None
    if _RETRIES.fullmatch(value) is None:
        raise _invalid(RETRIES_HEADER, value, "Send an integer from 0 to 10.")
    return int(value)


def _has_fallbacks(value: str | None) -> bool:
    if value is None or value.lower() == "on":
        return True
    if value.lower() != "off":
        raise _invalid(FALLBACKS_HEADER, value, "Send `off` to disable fallbacks, or `on`, which is the default.")
    return False


def _timeout_s(value: str | None) -> float | None:
    if value is None:
        return None
    if _SECONDS.fullmatch(value) is None or not (seconds := float(value)):
        raise _invalid(TIMEOUT_HEADER, value, "Send a positive number of seconds, for example 20 or 2.5.")
    return seconds


def _priority(value: str | None) -> Priority | None:
    if value is None:
        return None
    for known in PRIORITIES:
        if value.lower() == known:
            return known
    raise _invalid(PRIORITY_HEADER, value, f"Send one of {', '.join(PRIORITIES)}.")


def _max_cost_microusd(value: str | None) -> int | None:
    if value is None:
        return None
    if _USD.fullmatch(value) is None or not (microusd := round(Decimal(value) * 1_000_000)):
        raise _invalid(MAX_COST_HEADER, value, "Send an amount in US dollars, for example 0.05.")
    return microusd


def _invalid(name: str, value: str, hint: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"The request header '{name}' has an invalid value: '{value[:_MAX_SHOWN]}'.",
        code="invalid_value",
        param=name,
        hint=hint,
    )
