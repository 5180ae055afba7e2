"""The kinds of faults, their parameters, and how to read them from JSON and from a header."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from intellirouter.fake import faults
from intellirouter.fake.reply import Reply
from intellirouter.fake.script import Script, script_of
from intellirouter.testing.faults import connection, errors
from intellirouter.testing.faults import format as formats

Param = str | int | float | bool
MAX_WAIT_S: Final = 3600.0
MAX_SIZE_MIB: Final = 256.0


class FaultKind(Struct, frozen=True, kw_only=True):
    """One kind: a description, and its parameters with their defaults, which also define the types."""

    description: str
    params: Mapping[str, Param]
    choices: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    apply: Callable[[Reply, Mapping[str, Any]], Script]


FAULT_KINDS: Final[Mapping[str, FaultKind]] = MappingProxyType(
    {
        "error": FaultKind(
            description="Answers with an error of any status and body.",
            params={"status": 500, "code": "", "type": "", "message": "", "body": ""},
            apply=errors.error,
        ),
        "rate_limit": FaultKind(
            description="Answers with 429, `Retry-After` and `retry-after-ms`.",
            params={"retry_after_s": 1.0, "code": "rate_limit_exceeded"},
            apply=faults.rate_limit,
        ),
        "hang": FaultKind(
            description="Accepts the request and never answers; with `after_events`, stops in the middle of a stream.",
            params={"after_events": -1},
            apply=faults.hang,
        ),
        "slow": FaultKind(description="Waits before the response headers.", params={"delay_s": 1.0}, apply=faults.slow),
        "slow_first_token": FaultKind(
            description="Sends the headers immediately and waits before the body.",
            params={"delay_s": 1.0},
            apply=connection.slow_first_token,
        ),
        "slow_drip": FaultKind(
            description="Waits before each event of a stream, or sends a body `bytes` at a time; with `bytes` > 0, a "
            "stream is sent in the same way.",
            params={"delay_s": 0.01, "bytes": 0},
            apply=connection.slow_drip,
        ),
        "pings": FaultKind(
            description="Stops in the middle of a stream and sends pings; sends white space before other answers.",
            params={"after_events": 1, "delay_s": 0.05},
            apply=connection.pings,
        ),
        "drop": FaultKind(
            description="Closes the connection: before the headers, in the middle, or after some events or bytes.",
            params={"at": "headers", "after_events": 1, "after_bytes": 1},
            choices={"at": connection.CUT_PLACES},
            apply=faults.drop,
        ),
        "reset": FaultKind(
            description="Like `drop`, with a TCP reset.",
            params={"at": "headers", "after_events": 1, "after_bytes": 1},
            choices={"at": connection.CUT_PLACES},
            apply=connection.reset,
        ),
        "malformed": FaultKind(
            description="Breaks the format of the answer; some variants are valid but unusual.",
            params={"how": "json"},
            choices={"how": tuple(formats.MALFORMATIONS)},
            apply=formats.malformed,
        ),
        "huge": FaultKind(
            description="Sends an answer of `size_mib`: the body, one event of a stream, or the headers.",
            params={"what": "body", "size_mib": 1.0},
            choices={"what": ("body", "event", "headers")},
            apply=connection.huge,
        ),
        "error_in_200": FaultKind(
            description="Sends an error with status 200.",
            params={"code": "server_error", "message": "The server had an error."},
            apply=errors.error_in_200,
        ),
        "error_in_stream": FaultKind(
            description="Ends a stream with an error event after `after_events` content events.",
            params={"after_events": 0, "code": "server_error", "message": "The server had an error."},
            apply=errors.error_in_stream,
        ),
        "extra": FaultKind(
            description="Sends valid answers that are unusual: unknown fields, usage in unexpected places.",
            params={"what": "unknown_fields"},
            choices={"what": tuple(formats.EXTRAS)},
            apply=formats.extra,
        ),
        "close_after": FaultKind(
            description="Answers correctly, then closes the connection: announced, without notice after `delay_s`, or "
            "when the next request arrives on it.",
            params={"how": "announce", "delay_s": 0.0},
            choices={"how": ("announce", "idle", "next_request")},
            apply=connection.close_after,
        ),
    }
)
"""The kinds of faults by name."""


class Fault(Struct, frozen=True):
    """One kind with its parameters. Create it with `Fault.of` or `Fault.parse`, which validate them."""

    kind: str
    params: Mapping[str, Param]

    @classmethod
    def of(cls, kind: str, params: Mapping[str, Any]) -> "Fault":
        """Fill in defaults. Raises `ValueError` for an unknown kind, an unknown parameter, or an invalid value."""
        known = FAULT_KINDS.get(kind)
        if known is None:
            raise ValueError(f"Unknown fault kind {kind!r}. The kinds are {', '.join(FAULT_KINDS)}.")
        for name in params:
            if name not in known.params:
                raise ValueError(
                    f"The fault {kind} has no parameter {name!r}. Its parameters are {', '.join(known.params)}."
                )
        filled = {name: _value(name, params.get(name), default) for name, default in known.params.items()}
        for name, allowed in known.choices.items():
            if filled[name] not in allowed:
                raise ValueError(f"The parameter {name} of the fault {kind} must be one of {', '.join(allowed)}.")
        return cls(kind, filled)

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `kind;name=value;name=value`, the form of the `x-mock-fault` header. Raises `ValueError`."""
        kind, *rest = (part.strip() for part in text.split(";"))
        pairs = [part.partition("=") for part in rest if part]
        return cls.of(kind, {name.strip(): value.strip() for name, _, value in pairs})


def apply_fault(reply: Reply, fault: Fault | None) -> Script:
    """Turn a good reply into the script that sends it with the fault."""
    if fault is None:
        return script_of(reply)
    return FAULT_KINDS[fault.kind].apply(reply, fault.params)


def _value(name: str, value: Any, default: Param) -> Param:
    """Convert `value` to the type of `default`; None means the default."""
    if value is None:
        return default
    if isinstance(default, str):
        return str(value)
    try:
        number = type(default)(value)
    except (TypeError, ValueError):
        raise ValueError(f"The parameter {name} must be a number, not {value!r}.") from None
    limit = MAX_SIZE_MIB if name == "size_mib" else MAX_WAIT_S if name.endswith("_s") else None
    if number != number or (limit is not None and not 0 <= number <= limit):  # noqa: PLR0124 - NaN
        raise ValueError(f"The parameter {name} must be between 0 and {limit}.")
    return number
