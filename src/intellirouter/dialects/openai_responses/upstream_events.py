"""The members of the events of a stream."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.dialects.wire import large_json


class WireEvent(Struct):
    """The members of all events. Their types are not validated."""

    type: Any = None
    delta: Any = None
    text: Any = None
    item_id: Any = None
    output_index: Any = None
    content_index: Any = None
    summary_index: Any = None
    item: Any = None
    part: Any = None
    response: msgspec.Raw = msgspec.Raw()
    arguments: Any = None
    input: Any = None
    refusal: Any = None
    annotation: Any = None
    logprobs: Any = None
    code: Any = None
    message: Any = None
    param: Any = None
    error: Any = None


RESPONSE_EVENTS: Final = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.done",
        "response.incomplete",
        "response.cancelled",
        "response.failed",
        "error",
        "response.error",
    }
)
"""Events that start the response themselves, or that end it. Before all others, it is started."""


class _Skeleton(Struct):
    """The members of an event that contains a response."""

    type: Any = None
    response: msgspec.Raw = msgspec.Raw()


_decoder: Final = msgspec.json.Decoder(WireEvent)
_skeleton_decoder: Final = msgspec.json.Decoder(_Skeleton)


def decode_event(data: bytes) -> WireEvent:
    """Raises what `msgspec.json.decode` raises."""
    return _decoder.decode(data) if len(data) <= large_json.LARGE_BYTES else _read_large(data)


def _read_large(data: bytes) -> WireEvent:
    """Decode a large event. A response in it is decoded later, like that of other events."""
    event = _skeleton_decoder.decode(data)
    if event.response:
        return WireEvent(type=event.type, response=event.response)
    members = large_json.decode(data)
    return WireEvent(**{name: members[name] for name in WireEvent.__struct_fields__ if name in members})
