"""Faults that are answers: errors with a status, errors without one, errors in the middle of a stream."""

from collections.abc import Mapping
from typing import Any

from intellirouter.testing.faults.script import Script, script_of
from intellirouter.testing.wires.shared import Reply, Trouble


def error(reply: Reply, params: Mapping[str, Any]) -> Script:
    status = int(params["status"])
    if params["body"]:
        headers = [("content-type", "text/plain; charset=utf-8")]
        return Script(status=status, headers=headers, steps=[str(params["body"]).encode()])
    trouble = Trouble(status=status, message=params["message"], type=params["type"], code=params["code"])
    return script_of(reply.wire.refuse(trouble))


def rate_limit(reply: Reply, params: Mapping[str, Any]) -> Script:
    trouble = Trouble(status=429, code=params["code"], retry_after_s=float(params["retry_after_s"]))
    return script_of(reply.wire.refuse(trouble))


def error_in_200(reply: Reply, params: Mapping[str, Any]) -> Script:
    refusal = reply.wire.refuse(Trouble(message=params["message"], code=params["code"]))
    refusal.status = 200
    return script_of(refusal)


def error_in_stream(reply: Reply, params: Mapping[str, Any]) -> Script:
    """After what opens the stream and `after_events` more; a request that is not streamed gets `error_in_200`."""
    if not reply.is_stream:
        return error_in_200(reply, params)
    script = script_of(reply)
    after_events = int(params["after_events"])
    # With 0 the error is the very first event: nothing of an answer has been seen yet.
    good = reply.parts[: after_events + reply.wire.lead_events] if after_events else []
    trouble = Trouble(message=params["message"], code=params["code"])
    script.steps = [*good, reply.wire.error_event(trouble, len(good))]
    return script
