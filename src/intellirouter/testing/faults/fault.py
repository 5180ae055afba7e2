"""The kinds of faults, their parameters, and the two ways to write one: as JSON and as a header."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from intellirouter.testing.faults import flow, malform, refuse
from intellirouter.testing.faults.script import Script, script_of
from intellirouter.testing.wires.shared import Reply

Param = str | int | float | bool
MAX_WAIT_S: Final = 3600.0
MAX_SIZE_MIB: Final = 256.0
_TRUE: Final = frozenset({"true", "1", "yes"})


class FaultKind(Struct, frozen=True, kw_only=True):
    """One kind: what it does, for people, and its parameters with their defaults (which fix their types)."""

    about: str
    params: Mapping[str, Param]
    choices: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    apply: Callable[[Reply, Mapping[str, Any]], Script]


FAULT_KINDS: Final[Mapping[str, FaultKind]] = MappingProxyType(
    {
        "error": FaultKind(
            about="An error answer with any status and body.",
            params={"status": 500, "code": "", "type": "", "message": "", "body": ""},
            apply=refuse.error,
        ),
        "rate_limit": FaultKind(
            about="429 with `Retry-After` and `retry-after-ms`.",
            params={"retry_after_s": 1.0, "code": "rate_limit_exceeded"},
            apply=refuse.rate_limit,
        ),
        "hang": FaultKind(
            about="Accepts the request and never answers; with `after_events`, falls silent in the middle.",
            params={"after_events": -1},
            apply=flow.hang,
        ),
        "slow": FaultKind(about="Waits before the response headers.", params={"delay_s": 1.0}, apply=flow.slow),
        "slow_first_token": FaultKind(
            about="Sends the headers at once and waits before the body.",
            params={"delay_s": 1.0},
            apply=flow.slow_first_token,
        ),
        "slow_drip": FaultKind(
            about="Waits before each event of a stream, or sends a body `bytes` at a time; with `bytes` > 0 a stream "
            "drips bytes too.",
            params={"delay_s": 0.01, "bytes": 0},
            apply=flow.slow_drip,
        ),
        "drop": FaultKind(
            about="Closes the connection: before the headers, in the middle, or after some events or bytes.",
            params={"at": "headers", "after_events": 1, "after_bytes": 1},
            choices={"at": flow.CUT_PLACES},
            apply=flow.drop,
        ),
        "reset": FaultKind(
            about="As `drop`, with a TCP reset.",
            params={"at": "headers", "after_events": 1, "after_bytes": 1},
            choices={"at": flow.CUT_PLACES},
            apply=flow.reset,
        ),
        "malformed": FaultKind(
            about="Breaks the form of the answer; some ways are legal and only rare.",
            params={"how": "json"},
            choices={"how": tuple(malform.WAYS)},
            apply=malform.malformed,
        ),
        "huge": FaultKind(
            about="An answer of `size_mib`: the body, one event of a stream, or the headers.",
            params={"what": "body", "size_mib": 1.0},
            choices={"what": ("body", "event", "headers")},
            apply=flow.huge,
        ),
        "error_in_200": FaultKind(
            about="An error envelope with status 200.",
            params={"code": "server_error", "message": "The server had an error."},
            apply=refuse.error_in_200,
        ),
        "error_in_stream": FaultKind(
            about="A stream that turns into an error event after `after_events` content events, and ends.",
            params={"after_events": 0, "code": "server_error", "message": "The server had an error."},
            apply=refuse.error_in_stream,
        ),
        "extra": FaultKind(
            about="Legal answers that few vendors give: unknown fields, usage in odd places.",
            params={"what": "unknown_fields"},
            choices={"what": tuple(malform.ODDITIES)},
            apply=malform.extra,
        ),
        "close_after": FaultKind(
            about="Answers well, then closes the connection: announced, silently after `delay_s`, or when the next "
            "request arrives on it.",
            params={"how": "announce", "delay_s": 0.0},
            choices={"how": ("announce", "idle", "next_request")},
            apply=flow.close_after,
        ),
    }
)
"""What there is to break, by name."""


class Fault(Struct, frozen=True):
    """One kind with its parameters. Build it with `Fault.of` or `Fault.parse`, which check them."""

    kind: str
    params: Mapping[str, Param]

    @classmethod
    def of(cls, kind: str, params: Mapping[str, Any]) -> "Fault":
        """Fill in defaults. Raises `ValueError` naming an unknown kind or parameter, or a value that does not fit."""
        known = FAULT_KINDS.get(kind)
        if known is None:
            raise ValueError(f"unknown fault kind {kind!r}; there are: {', '.join(FAULT_KINDS)}")
        for name in params:
            if name not in known.params:
                raise ValueError(f"{kind} has no parameter {name!r}; it has: {', '.join(known.params)}")
        filled = {name: _value(name, params.get(name), default) for name, default in known.params.items()}
        for name, allowed in known.choices.items():
            if filled[name] not in allowed:
                raise ValueError(f"{kind}: {name} must be one of {', '.join(allowed)}")
        return cls(kind, filled)

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `kind;name=value;name=value`, the form of the `x-mock-fault` header. Raises `ValueError`."""
        kind, *rest = (part.strip() for part in text.split(";"))
        pairs = [part.partition("=") for part in rest if part]
        return cls.of(kind, {name.strip(): value.strip() for name, _, value in pairs})


def break_reply(reply: Reply, fault: Fault | None) -> Script:
    """Turn a good reply into what goes over the wire."""
    if fault is None:
        return script_of(reply)
    return FAULT_KINDS[fault.kind].apply(reply, fault.params)


def _value(name: str, value: Any, default: Param) -> Param:
    """Return `value` as the type of `default`; None means the default."""
    if value is None:
        return default
    if isinstance(default, str):
        return str(value)
    try:
        number = type(default)(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None
    limit = MAX_SIZE_MIB if name == "size_mib" else MAX_WAIT_S if name.endswith("_s") else None
    if number != number or (limit is not None and not 0 <= number <= limit):  # noqa: PLR0124 - NaN
        raise ValueError(f"{name} must be between 0 and {limit}")
    return number
