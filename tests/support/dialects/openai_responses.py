"""Validate responses and their streams against OpenAI's published schemas and the types of its SDK.

The schemas (github.com/openai/openai-openapi, MIT) are not up to date: they do not allow null for `usage` and `user`,
so only the types of the SDK validate those.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from intellirouter.core import Deployment, UpstreamAddress
from intellirouter.dialects.ir import Event
from intellirouter.dialects.protocols import StreamEncoder
from intellirouter.dialects.wire.sse import SseParser

SCHEMAS = Path(__file__).resolve().parents[2] / "fixtures" / "openai-response-schemas.json"
DEPLOYMENT = Deployment(
    name="d", provider="p", vendor="openai", upstream_model="up-1", address=UpstreamAddress(base_url="http://x")
)
_components = json.loads(SCHEMAS.read_text("utf-8"))["components"]
_event_adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def _validator(name: str) -> Any:
    schema = {"$ref": f"#/components/schemas/{name}", "components": _components}
    return jsonschema_rs.Draft202012Validator(schema)


_response = _validator("Response")
_events = {
    schema["properties"]["type"]["enum"][0]: _validator(name)
    for name, schema in _components["schemas"].items()
    if name.startswith("Response") and name.endswith("Event") and "type" in schema.get("properties", {})
}


def _without_null(response: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in response.items() if not (name in {"usage", "user"} and value is None)}


def validate_response(response: dict[str, Any]) -> None:
    """Raise if a response is not valid by the schema and the SDK."""
    _response.validate(_without_null(response))
    Response.model_validate(response)


def validate_event(event: dict[str, Any]) -> None:
    """Raise if an event is not valid by the schema and the SDK."""
    checked = {**event, "response": _without_null(event["response"])} if "response" in event else event
    _events[event["type"]].validate(checked)
    _event_adapter.validate_python(event)


def read_events(stream: bytes) -> list[dict[str, Any]]:
    """Parse a stream; the name of each event must be its type."""
    found = []
    for event in SseParser().feed(stream):
        data = json.loads(event.data)
        assert event.event == data["type"]
        found.append(data)
    return found


def write_stream(writer: StreamEncoder, events: list[Event]) -> list[dict[str, Any]]:
    """Encode the events one by one, validate the stream, and return its events."""
    stream = b"".join(writer.encode([event]) for event in events if type(event).__name__ != "StreamEnded")
    written = read_events(stream + writer.end())
    validate_stream(written)
    return written


def validate_stream(events: list[dict[str, Any]]) -> None:
    """Validate the events and their order: numbers, indexes, start and end of items and parts, one final event."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    open_items: dict[int, str] = {}
    items: list[Any] = []
    open_parts: dict[tuple[int, int], str] = {}
    pieces: dict[tuple[Any, ...], str] = {}
    for event in events:
        validate_event(event)
        kind, index = event["type"], event.get("output_index")
        if kind == "response.output_item.added":
            assert index == len(items)
            items.append(None)
            open_items[index] = event["item"]["id"]
        elif kind == "response.output_item.done":
            assert open_items.pop(index) == event["item"]["id"]
            assert not [place for place in open_parts if place[0] == index]
            items[index] = event["item"]
        elif index is not None:
            assert open_items[index] == event["item_id"]
        place = (index, event.get("content_index", event.get("summary_index", 0)))
        if kind in {"response.content_part.added", "response.reasoning_summary_part.added"}:
            assert place not in open_parts
            open_parts[place] = event["part"]["type"]
        elif kind in {"response.content_part.done", "response.reasoning_summary_part.done"}:
            assert open_parts.pop(place) == event["part"]["type"]
        elif kind.endswith(".delta"):
            key = (kind.removesuffix(".delta"), *place)
            pieces[key] = pieces.get(key, "") + event["delta"]
        elif kind.endswith(".done") and index is not None and "item" not in event:
            key = (kind.removesuffix(".done"), *place)
            whole = next(event[name] for name in ("text", "refusal", "arguments", "input") if name in event)
            assert pieces.get(key, "") == whole or (whole == "{}" and key not in pieces)
    last = events[-1]
    assert last["type"] == f"response.{last['response']['status']}"
    assert sum(event["type"] == last["type"] for event in events) == 1
    assert not open_items
    assert last["response"]["output"] == items
    assert {event["response"]["id"] for event in events if "response" in event} == {last["response"]["id"]}
