"""Builds and relays streams of chat completion chunks."""

import itertools
import json
from typing import Any

from intellirouter.dialects.openai_chat.passthrough_stream import ChatStreamRelay

END = b"data: [DONE]\n\n"


def chunk(*deltas: dict[str, Any] | str, **members: Any) -> bytes:
    """Return a chunk with a choice for each delta. A string is a finish reason."""
    choices = [
        {"index": place, "delta": {}, "finish_reason": delta}
        if isinstance(delta, str)
        else {"index": place, "delta": delta, "finish_reason": None}
        for place, delta in enumerate(deltas)
    ]
    return json.dumps({"id": "c1", "object": "chat.completion.chunk", "choices": choices, **members}).encode()


def stream(*datas: bytes) -> bytes:
    return b"".join(b"data: " + data + b"\n\n" for data in datas)


def call(index: int, **function: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]}


def relayed(pieces: list[bytes], *, keeps_usage: bool = False) -> tuple[bytes, bytes, ChatStreamRelay]:
    """Return the results of `feed` and of `end`, and the relay."""
    relay = ChatStreamRelay(keeps_usage=keeps_usage)
    out = b""
    for piece in pieces:
        if relay.is_finished:
            break
        out += relay.feed(piece)
    return out, relay.end(), relay


def cut(whole: bytes, *places: int) -> list[bytes]:
    return [whole[start:stop] for start, stop in itertools.pairwise([0, *sorted(places), len(whole)])]
