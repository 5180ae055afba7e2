"""The faults that fake models cause. MockVendor supports these kinds and more, and uses the same functions."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from intellirouter.fake.reply import ErrorInfo, Reply
from intellirouter.fake.script import Cut, Hang, Script, Step, Wait, script_of

_INVALID_JSON: Final = b"{'choices': not json}"


class ModelFault(Struct, frozen=True):
    """A kind of fault and its parameters."""

    kind: str
    params: Mapping[str, Any]


def apply_model_fault(reply: Reply, fault: ModelFault | None) -> Script:
    """Turn a good reply into the script that sends it with the fault."""
    return script_of(reply) if fault is None else _FAULTS[fault.kind](reply, fault.params)


def error(reply: Reply, params: Mapping[str, Any]) -> Script:
    """Replace the reply by an error in its wire format; `params` are those of `ErrorInfo`."""
    return script_of(reply.wire.render_error(ErrorInfo(**params)))


def rate_limit(reply: Reply, params: Mapping[str, Any]) -> Script:
    return error(reply, {"status": 429, **params})


def slow(reply: Reply, params: Mapping[str, Any]) -> Script:
    script = script_of(reply)
    script.before_head = [Wait(params["delay_s"])]
    return script


def hang(reply: Reply, params: Mapping[str, Any]) -> Script:
    """Never answer, or stop in the middle of a stream if `after_events` is not negative."""
    script = script_of(reply)
    after_events = int(params["after_events"])
    if after_events < 0:
        script.before_head = [Hang()]
        return script
    script.length_bytes = script.content_length
    script.steps = [*first_events(reply, after_events), Hang()]
    return script


def drop(reply: Reply, params: Mapping[str, Any]) -> Script:
    return cut(reply, params, Cut())


def cut(reply: Reply, params: Mapping[str, Any], ending: Cut) -> Script:
    """Close the connection `at` a place: `headers`, `events`, `body`, or anything else for the middle."""
    script = script_of(reply)
    script.length_bytes = script.content_length
    body = b"".join(reply.parts)
    match params["at"]:
        case "headers":
            script.before_head = [ending]
        case "events":
            script.steps = [*first_events(reply, int(params["after_events"])), ending]
        case "body":
            script.steps = [body[: int(params["after_bytes"])], ending]
        case _ if reply.is_stream:
            script.steps = [*first_events(reply, len(reply.parts) // 2), ending]
        case _:
            script.steps = [body[: len(body) // 2], ending]
    return script


def first_events(reply: Reply, count: int) -> list[Step]:
    """Return the first events of a stream; a body that is not streamed has none."""
    return list(reply.parts[:count]) if reply.is_stream else []


def invalid_json(reply: Reply) -> Script:
    """Replace the body, or insert an event into a stream, that is not valid JSON."""
    script = script_of(reply)
    script.steps = [_INVALID_JSON]
    if reply.is_stream:
        event = reply.wire.framing.wrap(_INVALID_JSON, reply.parts[:2][-1])
        script.steps = [*reply.parts[:1], event, *reply.parts[1:]]
    return script


_FAULTS: Final[Mapping[str, Callable[[Reply, Mapping[str, Any]], Script]]] = {
    "error": error,
    "rate_limit": rate_limit,
    "slow": slow,
    "hang": hang,
    "drop": drop,
    "malformed": lambda reply, _params: invalid_json(reply),
}
