"""Faults that are answers: errors with a status, errors without one, errors in the middle of a stream."""

from collections.abc import Mapping
from typing import Any, Final

from intellirouter.testing.faults.script import Script, script_of
from intellirouter.testing.openai_wire import Reply, json_reply, sse_event

_MESSAGES: Final = {
    400: "The request is not valid.",
    401: "Incorrect API key provided.",
    403: "You are not allowed to do that.",
    429: "Rate limit reached. Please try again later.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later.",
}
_TYPES: Final = {401: "invalid_request_error", 429: "requests"}


def envelope(status: int, *, message: str = "", type_: str = "", code: str = "") -> dict[str, Any]:
    """Return an error document in OpenAI's form; what is empty follows from the status."""
    default_type = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": message or _MESSAGES.get(status, f"Error {status}."),
            "type": type_ or _TYPES.get(status, default_type),
            "param": None,
            "code": code or None,
        }
    }


def error(_reply: Reply, params: Mapping[str, Any]) -> Script:
    status = int(params["status"])
    if params["body"]:
        headers = [("content-type", "text/plain; charset=utf-8")]
        return Script(status=status, headers=headers, steps=[str(params["body"]).encode()])
    document = envelope(status, message=params["message"], type_=params["type"], code=params["code"])
    return script_of(json_reply(document, status=status))


def rate_limit(_reply: Reply, params: Mapping[str, Any]) -> Script:
    retry_after_s = float(params["retry_after_s"])
    script = script_of(json_reply(envelope(429, code=params["code"]), status=429))
    script.headers += [("retry-after", f"{retry_after_s:g}"), ("retry-after-ms", f"{retry_after_s * 1000:.0f}")]
    return script


def error_in_200(_reply: Reply, params: Mapping[str, Any]) -> Script:
    return script_of(json_reply(envelope(500, message=params["message"], code=params["code"])))


def error_in_stream(reply: Reply, params: Mapping[str, Any]) -> Script:
    """After the role and `after_events` content events; a request that is not streamed gets `error_in_200`."""
    if not reply.is_stream:
        return error_in_200(reply, params)
    script = script_of(reply)
    event = sse_event(envelope(500, message=params["message"], code=params["code"]))
    after_events = int(params["after_events"])
    # With 0 the error is the very first event: nothing of an answer has been seen yet.
    good = reply.parts[: after_events + 1] if after_events else []
    script.steps = [*good, event]
    return script
