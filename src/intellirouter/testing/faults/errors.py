"""Error faults: errors with an error status, with status 200, and within a stream."""

from collections.abc import Mapping
from typing import Any

from intellirouter.fake import faults
from intellirouter.fake.reply import ErrorInfo, Reply
from intellirouter.fake.script import Script, script_of


def error(reply: Reply, params: Mapping[str, Any]) -> Script:
    if params["body"]:
        headers = [("content-type", "text/plain; charset=utf-8")]
        return Script(status=int(params["status"]), headers=headers, steps=[str(params["body"]).encode()])
    return faults.error(reply, {name: value for name, value in params.items() if name != "body"})


def error_in_200(reply: Reply, params: Mapping[str, Any]) -> Script:
    rendered = reply.wire.render_error(ErrorInfo(message=params["message"], code=params["code"]))
    rendered.status = 200
    return script_of(rendered)


def error_in_stream(reply: Reply, params: Mapping[str, Any]) -> Script:
    """Report an error after `after_events` content events. A reply that is not streamed becomes an `error_in_200`."""
    if not reply.is_stream:
        return error_in_200(reply, params)
    script = script_of(reply)
    after_events = int(params["after_events"])
    # With 0, the error is the very first event, before those that open the stream.
    sent = reply.parts[: after_events + reply.wire.lead_events] if after_events else []
    info = ErrorInfo(message=params["message"], code=params["code"])
    script.steps = [*sent, reply.wire.error_event(info, len(sent))]
    return script
