"""Faults of time, size and connection: the content is correct, but late, too large, or cut off."""

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

from intellirouter.fake.faults import cut, first_events
from intellirouter.fake.reply import JSON_TYPE, Reply
from intellirouter.fake.script import Cut, Script, Step, Wait, script_of

CUT_PLACES: Final = ("headers", "middle", "events", "body")
_MIB: Final = 1024 * 1024
_FILLER: Final = b"x" * 65536
_HEADER_BYTES: Final = 4096
_MAX_PINGS: Final = 10_000


def slow_first_token(reply: Reply, params: Mapping[str, Any]) -> Script:
    script = script_of(reply)
    script.steps = [Wait(params["delay_s"]), *script.steps]
    return script


def slow_drip(reply: Reply, params: Mapping[str, Any]) -> Script:
    script = script_of(reply)
    size = int(params["bytes"])
    if not reply.is_stream or size > 0:
        script.steps = split_bytes(b"".join(reply.parts), max(size, 1))
    wait: Step = Wait(params["delay_s"])
    script.steps = list(chain.from_iterable((wait, step) for step in script.steps))
    return script


def pings(reply: Reply, params: Mapping[str, Any]) -> Script:
    """Stop in the middle of a stream, but keep the connection alive. Other answers come after white space."""
    script = script_of(reply)
    wait: Step = Wait(params["delay_s"])
    if not reply.is_stream:
        blank: Step = b"\n"
        script.steps = [*[wait, blank] * _MAX_PINGS, *script.steps]
        return script
    comment = reply.wire.filler_comment
    ping = b"\n" if comment is None else b"".join(comment)
    script.steps = [*first_events(reply, int(params["after_events"])), *[wait, ping] * _MAX_PINGS]
    return script


def reset(reply: Reply, params: Mapping[str, Any]) -> Script:
    return cut(reply, params, Cut(is_reset=True))


def huge(reply: Reply, params: Mapping[str, Any]) -> Script:
    size_bytes = int(params["size_mib"] * _MIB)
    script = script_of(reply)
    if params["what"] == "headers":
        count = max(size_bytes // _HEADER_BYTES, 1)
        script.headers += [(f"x-huge-{number}", "h" * _HEADER_BYTES) for number in range(count)]
        return script
    # Repeat one object, so that a large answer does not need memory in this process.
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
        document = b'{"filler":"' + b"x" * size_bytes + b'"}'
        huge_event: list[Step] = [reply.wire.framing.wrap(document, reply.parts[:2][-1])]
    else:
        huge_event = [event[0], *filler, event[1]]
    script.steps = [*reply.parts[:1], *huge_event, *reply.parts[1:]]
    return script


def close_after(reply: Reply, params: Mapping[str, Any]) -> Script:
    script = script_of(reply)
    script.ending = params["how"]
    script.idle_s = float(params["delay_s"])
    return script


def split_bytes(data: bytes, size: int) -> list[Step]:
    return [data[at : at + size] for at in range(0, len(data), size)]
