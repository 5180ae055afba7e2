"""The faults, one at a time, in the order in which they occur."""

from typing import Any, Final

FAULTS: Final[dict[str, dict[str, Any]]] = {
    "HTTP 500": {"kind": "error", "status": 500},
    "HTTP 503": {"kind": "error", "status": 503},
    "HTTP 429 with Retry-After": {"kind": "rate_limit", "retry_after_s": 2},
    "quota exhausted": {"kind": "error", "status": 429, "code": "insufficient_quota"},
    "credential rejected": {"kind": "error", "status": 401},
    "every third HTTP 500": {"kind": "error", "status": 500, "every": 3},
    "no answer": {"kind": "hang"},
    "answers after 0.4 s": {"kind": "slow", "delay_s": 0.4},
    "connection closed": {"kind": "drop"},
    "connection reset": {"kind": "reset"},
    "closed within the body": {"kind": "drop", "at": "body", "after_bytes": 40},
    "not JSON": {"kind": "malformed", "how": "json"},
    "HTML page": {"kind": "malformed", "how": "html"},
    "empty body": {"kind": "malformed", "how": "empty"},
    "half a body": {"kind": "malformed", "how": "truncated"},
    "error under status 200": {"kind": "error_in_200"},
    "error as the first event": {"kind": "error_in_stream", "after_events": 0},
    "error after two events": {"kind": "error_in_stream", "after_events": 2},
    "closed after two events": {"kind": "drop", "at": "events", "after_events": 2},
    "silent after two events": {"kind": "hang", "after_events": 2},
    "unfinished stream": {"kind": "malformed", "how": "no_finish_reason"},
    "closes idle connections": {"kind": "close_after", "how": "next_request"},
}
"""By title, with the parameters of `MockVendor.fault`. Faults after the first events cannot be hidden from clients."""

AFTER_CONTENT: Final = frozenset(
    {
        "closed within the body",
        "half a body",
        "error after two events",
        "closed after two events",
        "silent after two events",
        "unfinished stream",
    }
)
"""Faults that can occur after the first content of a stream has been relayed."""
