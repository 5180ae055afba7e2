"""The declared outcome of every fault of MockVendor."""

from intellirouter.testing import FAULT_KINDS
from intellirouter.testing.faults import content
from tests.support.matrix.outcomes import ANSWERED, ANSWERED_DIFFERENTLY, Row, broken, late, refused, replaced

UNAVAILABLE = "upstream_unavailable"
TIMEOUT = "upstream_timeout"
DISCONNECTED = "upstream_disconnected"
MALFORMED = "upstream_malformed"


def error(status: int, **params: object) -> dict[str, object]:
    return {"kind": "error", "status": status, **params}


def malformed(how: str) -> dict[str, object]:
    return {"kind": "malformed", "how": how}


def extra(what: str) -> dict[str, object]:
    return {"kind": "extra", "what": what}


ERRORS = {
    "error 400": Row(fault=error(400), complete=refused("upstream_rejected", 400)),
    "error 401": Row(fault=error(401), complete=replaced("upstream_authentication_failed")),
    "error 402": Row(fault=error(402), complete=replaced("insufficient_quota")),
    "error 403": Row(fault=error(403), complete=replaced("upstream_authentication_failed")),
    "error 404": Row(fault=error(404), complete=replaced("model_not_found")),
    "error 408": Row(fault=error(408), complete=replaced(TIMEOUT)),
    "error 413": Row(fault=error(413), complete=refused("upstream_rejected", 413)),
    "error 422": Row(fault=error(422), complete=refused("upstream_rejected", 422)),
    "error 429": Row(fault=error(429), complete=replaced("rate_limit_exceeded")),
    "error 429 quota": Row(
        fault=error(429, code="insufficient_quota"),
        complete=replaced("insufficient_quota"),
        exceptions={
            f"upstream {name}": replaced("rate_limit_exceeded")  # their errors have no such code
            for name in ("azure", "anthropic", "gemini", "ollama", "bedrock")
        }
        | {"client rerank": replaced("rate_limit_exceeded")},
    ),
    "error 500": Row(fault=error(500), complete=replaced(UNAVAILABLE)),
    "error 502 in text": Row(fault=error(502, body="Bad Gateway"), complete=replaced(UNAVAILABLE)),
    "error 503": Row(fault=error(503), complete=replaced(UNAVAILABLE)),
    "error 504": Row(fault=error(504), complete=replaced(TIMEOUT), exceptions={"wire bedrock": replaced(UNAVAILABLE)}),
    "error 529": Row(fault=error(529), complete=replaced(UNAVAILABLE)),
    "error 400 context": Row(
        fault=error(400, code="context_length_exceeded", message="prompt is too long: 9 tokens > 8 maximum"),
        complete=replaced("context_length_exceeded", counts=False),
        # Their context window is known, so the other deployment of the pool would refuse the request, too.
        exceptions={
            f"upstream {name}": replaced("context_length_exceeded", counts=False, failures=1)
            for name in ("anthropic", "bedrock")
        },
    ),
    "rate limit": Row(fault={"kind": "rate_limit", "retry_after_s": 0}, complete=replaced("rate_limit_exceeded")),
    "error in 200": Row(
        fault={"kind": "error_in_200"}, complete=replaced(UNAVAILABLE), exceptions={"wire bedrock": replaced(MALFORMED)}
    ),
    "error first in stream": Row(
        fault={"kind": "error_in_stream", "after_events": 0},
        complete=replaced(UNAVAILABLE),
        exceptions={"wire bedrock complete": replaced(MALFORMED), "client speech": replaced(MALFORMED)},
    ),
    "error in stream": Row(
        fault={"kind": "error_in_stream", "after_events": 3},
        complete=replaced(UNAVAILABLE),
        stream=broken(UNAVAILABLE),
        exceptions={"wire bedrock complete": replaced(MALFORMED), "client speech": ANSWERED},  # a short recording
    ),
}

SILENCE = {
    "hang": Row(fault={"kind": "hang"}, complete=replaced(TIMEOUT), is_silent=True),
    "hang after headers": Row(fault={"kind": "hang", "after_events": 0}, complete=replaced(TIMEOUT), is_silent=True),
    "hang in stream": Row(
        fault={"kind": "hang", "after_events": 8},
        complete=replaced(TIMEOUT),
        stream=broken(TIMEOUT),
        exceptions={"client speech": broken(TIMEOUT)},
        is_silent=True,
    ),
    "pings before content": Row(
        fault={"kind": "pings", "after_events": 0, "delay_s": 0.01}, complete=replaced(TIMEOUT), is_silent=True
    ),
    "pings in stream": Row(
        fault={"kind": "pings", "after_events": 8, "delay_s": 0.01},
        complete=replaced(TIMEOUT),
        stream=broken(TIMEOUT),
        exceptions={
            "wire bedrock stream": broken(MALFORMED),  # its stream has no comments
            "client speech": broken(TIMEOUT),
        },
        is_relayed_as_it_is=True,
        is_silent=True,
    ),
    "slow": Row(fault={"kind": "slow", "delay_s": 0.05}, complete=ANSWERED),
    "too slow": Row(fault={"kind": "slow", "delay_s": 3}, complete=replaced(TIMEOUT), is_silent=True),
    "slow first token": Row(fault={"kind": "slow_first_token", "delay_s": 0.05}, complete=ANSWERED),
    "too slow first token": Row(
        fault={"kind": "slow_first_token", "delay_s": 3}, complete=replaced(TIMEOUT), is_silent=True
    ),
    "slow drip": Row(fault={"kind": "slow_drip", "delay_s": 0.0}, complete=ANSWERED),
    "slow drip of bytes": Row(fault={"kind": "slow_drip", "delay_s": 0.001, "bytes": 100}, complete=ANSWERED),
}

CUTS = {
    f"{kind} at {at}": Row(
        fault={"kind": kind, "at": at, "after_events": 8, "after_bytes": 20},
        complete=replaced(DISCONNECTED),
        stream=broken(DISCONNECTED) if at in {"middle", "events"} else None,
        exceptions={} if at == "headers" else {"client speech": broken(DISCONNECTED)},
    )
    for kind in ("drop", "reset")
    for at in FAULT_KINDS[kind].choices["at"]
}

FORMATS = {
    "json": Row(
        fault=malformed("json"),
        complete=replaced(MALFORMED),
        stream=broken(MALFORMED),
        sent_events=1,
        exceptions={"client speech": ANSWERED},  # the bytes are between those of the audio
    ),
    "truncated": Row(
        fault=malformed("truncated"),
        complete=replaced(MALFORMED),
        stream=broken(MALFORMED),
        exceptions={"client speech": ANSWERED},  # a short recording
    ),
    "utf8": Row(
        fault=malformed("utf8"),
        complete=replaced(MALFORMED),
        stream=broken(MALFORMED),
        exceptions={"client speech": ANSWERED},  # it is not text
    ),
    "utf8 in text": Row(
        fault=malformed("utf8_in_text"),
        complete=replaced(MALFORMED),
        stream=broken(MALFORMED),
        tail=content.MARK,
        is_about_text=True,
    ),
    "html": Row(fault=malformed("html"), complete=replaced(MALFORMED)),
    "empty": Row(fault=malformed("empty"), complete=replaced(MALFORMED)),
    "no data prefix": Row(
        fault=malformed("no_data_prefix"),
        complete=ANSWERED,
        stream=replaced(MALFORMED),
        # These are not server-sent events.
        exceptions={"wire ollama": ANSWERED, "wire bedrock": ANSWERED, "gemini_array of gemini": ANSWERED},
    ),
    "no done": Row(
        fault=malformed("no_done"),
        complete=ANSWERED,
        stream=broken(MALFORMED),
        # The finish reason has arrived. Only the end mark, or the usage, is missing.
        exceptions=dict.fromkeys(("wire chat", "wire completions", "wire bedrock"), ANSWERED),
    ),
    "changing ids": Row(fault=malformed("changing_ids"), complete=ANSWERED, is_relayed_as_it_is=True),
    "truncated tool args": Row(
        fault=malformed("truncated_tool_args"),
        complete=replaced(MALFORMED, counts=False),
        stream=late(MALFORMED, counts=False),
        exceptions={
            **dict.fromkeys(("client completions", "client generate"), ANSWERED),  # they have no tools
            "wire ollama": ANSWERED_DIFFERENTLY,  # its arguments are objects
            "wire anthropic complete": ANSWERED_DIFFERENTLY,
        },
        is_about_text=True,
        prompt="tools",
    ),
    "duplicate ids": Row(fault=malformed("duplicate_ids"), complete=ANSWERED, prompt="tools"),
    "no finish reason": Row(
        fault=malformed("no_finish_reason"),
        may_lack_finish=True,
        complete=ANSWERED,
        stream=ANSWERED,
        # The others have an end mark beside the finish reason.
        exceptions=dict.fromkeys(
            ("wire gemini stream", "wire bedrock stream", "wire responses stream"), broken(MALFORMED)
        ),
    ),
    "schema violation": Row(
        fault=malformed("schema_violation"),
        complete=replaced(MALFORMED, counts=False),
        stream=late(MALFORMED, counts=False),
        exceptions={"client completions": ANSWERED},  # they have no schema
        is_about_text=True,
        prompt="schema",
    ),
    "repetition": Row(
        fault=malformed("repetition"),
        complete=replaced(MALFORMED, counts=False),
        stream=broken(MALFORMED, counts=False),
        tail=" eleven twelve" * content.REPEATED_TOKENS,
        is_about_text=True,
    ),
    **{
        how: Row(fault=malformed(how), complete=ANSWERED, is_relayed_as_it_is=how == "multi_line")
        for how in ("crlf", "comments", "no_space", "multi_line", "named_events", "split")
    },
}

UNKNOWN_CONTENT = {
    f"client {name}": ANSWERED_DIFFERENTLY for name in ("rerank", "moderations", "images", "transcription", "speech")
}
"""Answers that are relayed without being decoded may be any JSON object without an error, or any audio."""

SIZES = {
    "huge body": Row(
        fault={"kind": "huge", "what": "body", "size_mib": 0.1},
        complete=replaced(MALFORMED),
        stream=ANSWERED,
        exceptions=UNKNOWN_CONTENT,
    ),
    "huge event": Row(
        fault={"kind": "huge", "what": "event", "size_mib": 0.1},
        complete=replaced(MALFORMED),
        stream=ANSWERED,
        exceptions=UNKNOWN_CONTENT,
        is_relayed_as_it_is=True,
    ),
    "huge headers": Row(fault={"kind": "huge", "what": "headers", "size_mib": 1.0}, complete=replaced(MALFORMED)),
}

EXTRAS = {
    f"extra {what}": Row(fault=extra(what), complete=ANSWERED, is_relayed_as_it_is=what == "usage_on_choice")
    for what in ("unknown_fields", "usage_missing", "usage_on_choice", "empty_choices", "reasoning", "usage_details")
}

ENDINGS = {
    f"close {how}": Row(fault={"kind": "close_after", "how": how}, complete=ANSWERED)
    for how in FAULT_KINDS["close_after"].choices["how"]
}

TABLE: dict[str, Row] = ERRORS | SILENCE | CUTS | FORMATS | SIZES | EXTRAS | ENDINGS
"""By the name of the fault."""
