"""Builders for requests, and readers for replies."""

import json
import time
from collections.abc import Callable
from typing import Any

from intellirouter.fake.openai.answer import answer
from intellirouter.fake.openai.replies import DONE_EVENT
from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.shared.request import WireRequest

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
            "required": ["city", "days"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


def chat_body(text: str = "hello", **fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **fields}).encode()


def chat(text: str = "hello", **fields: Any) -> Reply:
    return answer("/chat/completions", chat_body(text, **fields), created_s=1)[1]


def document(reply: Reply) -> Any:
    return json.loads(reply.parts[0])


def chunks(reply: Reply) -> list[Any]:
    assert reply.parts[-1] == DONE_EVENT
    return [json.loads(part.removeprefix(b"data: ")) for part in reply.parts[:-1]]


def both(text: str = "hello", **fields: Any) -> tuple[Any, Any]:
    """Return the answer to a request as a document, and as a document assembled from its stream."""
    whole = document(chat(text, **fields))
    stream = chunks(chat(text, **fields, stream=True, stream_options={"include_usage": True}))
    return whole, joined(stream)


def joined(stream: list[Any]) -> Any:
    """Assemble a document from the chunks of a stream as a client does."""
    choices: dict[int, Any] = {}
    for chunk in stream:
        for piece in chunk["choices"]:
            choice = choices.setdefault(piece["index"], {"content": None, "tool_calls": {}, "finish_reason": None})
            delta = piece["delta"]
            if delta.get("content") is not None:
                choice["content"] = (choice["content"] or "") + delta["content"]
            for call in delta.get("tool_calls", []):
                known = choice["tool_calls"].setdefault(call["index"], {"arguments": ""})
                known |= {"name": call["function"]["name"], "id": call["id"]} if "id" in call else {}
                known["arguments"] += call["function"]["arguments"]
            choice["finish_reason"] = piece["finish_reason"] or choice["finish_reason"]
    return {"choices": [choices[index] for index in sorted(choices)], "usage": stream[-1]["usage"]}


def wire_request(path: str, document: Any = None, *, method: str = "POST", **headers: str) -> WireRequest:
    """Return a request; underscores in header names become hyphens."""
    path, _, query = path.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
    return WireRequest(method=method, path=path, query_string=query, headers=named, body=body, created_s=1)


def named_events(reply: Reply) -> list[Any]:
    """Return the documents of a stream whose events are named after the type of the document."""
    found = []
    for part in reply.parts:
        name, data, *rest = part.decode().split("\n")
        assert rest == ["", ""]
        document = json.loads(data.removeprefix("data: "))
        assert name == f"event: {document['type']}"
        found.append(document)
    return found


def eventually(holds: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.01)
