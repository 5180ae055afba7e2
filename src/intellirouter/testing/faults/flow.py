"""Faults of time, size and connection: the bytes are right, but late, too many, or cut off."""

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

from intellirouter.testing.faults.script import Cut, Hang, Script, Step, Wait, script_of
from intellirouter.testing.wires.shared import JSON_TYPE, Reply

CUT_PLACES: Final = ("headers", "middle", "events", "body")
_MIB: Final = 1024 * 1024
_FILLER: Final = b"x" * 65536
_HEADER_BYTES: Final = 4096


def hang(reply: Reply, params: Mapping[str, Any]) -> Script:
    script = script_of(reply)
    after_events = int(params["after_events"])
    if after_events < 0:
        script.before_head = [Hang()]
        return script
    script.length_bytes = script.content_length
    script.steps = [*_head_of(reply, after_events), Hang()]
    return script


def slow(reply: Reply, params: Mapping[str, Any]) -> Script:
    script = script_of(reply)
    script.before_head = [Wait(params["delay_s"])]
    return script


def slow_first_token(reply: Reply, params: Mapping[str, Any]) -> Script:
    script = script_of(reply)
    script.steps = [Wait(params["delay_s"]), *script.steps]
    return script


def slow_drip(reply: Reply, params: Mapping[str, Any]) -> Script:
    script = script_of(reply)
    size = int(params["bytes"])
    if not reply.is_stream or size > 0:
        script.steps = cut_up(b"".join(reply.parts), max(size, 1))
    wait: Step = Wait(params["delay_s"])
    script.steps = list(chain.from_iterable((wait, step) for step in script.steps))
    return script


def drop(reply: Reply, params: Mapping[str, Any]) -> Script:
    return _cut(reply, params, Cut())


def reset(reply: Reply, params: Mapping[str, Any]) -> Script:
    return _cut(reply, params, Cut(is_reset=True))


def _cut(reply: Reply, params: Mapping[str, Any], cut: Cut) -> Script:
    script = script_of(reply)
    script.length_bytes = script.content_length
    whole = b"".join(reply.parts)
    match params["at"]:
        case "headers":
            script.before_head = [cut]
        case "events":
            script.steps = [*_head_of(reply, int(params["after_events"])), cut]
        case "body":
            script.steps = [whole[: int(params["after_bytes"])], cut]
        case _ if reply.is_stream:
            script.steps = [*_head_of(reply, len(reply.parts) // 2), cut]
        case _:
            script.steps = [whole[: len(whole) // 2], cut]
    return script


def _head_of(reply: Reply, events: int) -> list[Step]:
    """Return the first events; of a body that is not streamed, nothing."""
    return list(reply.parts[:events]) if reply.is_stream else []


def huge(reply: Reply, params: Mapping[str, Any]) -> Script:
    size_bytes = int(params["size_mib"] * _MIB)
    script = script_of(reply)
    if params["what"] == "headers":
        count = max(size_bytes // _HEADER_BYTES, 1)
        script.headers += [(f"x-huge-{number}", "h" * _HEADER_BYTES) for number in range(count)]
        return script
    # The same object again and again: a large answer costs this process no memory.
    filler: list[Step] = [*[_FILLER] * (size_bytes // len(_FILLER)), _FILLER[: size_bytes % len(_FILLER)]]
    if not reply.is_stream:
        script.headers = [("content-type", JSON_TYPE)]
        script.steps = [reply.wire.filler_body, *filler, b'"}']
        return script
    event, comment = reply.wire.filler_event, reply.wire.filler_comment
    if params["what"] == "body" and comment is not None:
        script.steps = [comment[0], *filler, comment[1], *reply.parts]
        return script
    if event is None:
        whole = b'{"filler":"' + b"x" * size_bytes + b'"}'
        huge_event: list[Step] = [reply.wire.framing.wrap(whole, reply.parts[:2][-1])]
    else:
        huge_event = [event[0], *filler, event[1]]
    script.steps = [*reply.parts[:1], *huge_event, *reply.parts[1:]]
    return script


def close_after(reply: Reply, params: Mapping[str, Any]) -> Script:
    script = script_of(reply)
    script.ending = params["how"]
    script.idle_s = float(params["delay_s"])
    return script


def cut_up(data: bytes, size: int) -> list[Step]:
    return [data[at : at + size] for at in range(0, len(data), size)]
