"""Requests as values: what is asked of the gateway, before anything is sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

Messages = str | Sequence[Mapping[str, Any]]
"""A prompt, or a conversation in the shape of OpenAI's chat messages."""


class Outgoing(Struct, frozen=True, kw_only=True):
    """One request. `path` includes the query string."""

    method: str
    path: str
    body: bytes | None = None
    is_stream: bool = False
    is_endless: bool = False
    """A feed that may stay silent for hours: reading it has no deadline."""
    accepts: frozenset[int] = frozenset()
    """Error statuses whose body is an answer all the same."""


TAIL: Final = Outgoing(method="GET", path="/api/v1/requests/tail", is_stream=True, is_endless=True)
HEALTH: Final = Outgoing(method="GET", path="/api/v1/health", accepts=frozenset({503}))
MODELS: Final = Outgoing(method="GET", path="/api/v1/models")


def chat(messages: Messages, model: str, fields: Mapping[str, Any]) -> Outgoing:
    return _post("/v1/chat/completions", {**_conversation(messages, model), **_stated(fields)})


def stream(messages: Messages, model: str, fields: Mapping[str, Any]) -> Outgoing:
    """The usage chunk is asked for unless `stream_options` says otherwise."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    body = {**_conversation(messages, model), **options, **_stated(fields)}
    return msgspec.structs.replace(_post("/v1/chat/completions", body), is_stream=True)


def explain(messages: Messages, model: str, fields: Mapping[str, Any]) -> Outgoing:
    return _post("/api/v1/explain", {**_conversation(messages, model), **_stated(fields)})


def embeddings(text: str | Sequence[str], model: str, fields: Mapping[str, Any]) -> Outgoing:
    wanted = text if isinstance(text, str) else list(text)
    return _post("/v1/embeddings", {"model": model, "input": wanted, "encoding_format": "float", **_stated(fields)})


def request(request_id: str) -> Outgoing:
    return Outgoing(method="GET", path=f"/api/v1/requests/{quote(request_id, safe='')}")


def requests(filters: Mapping[str, Any]) -> Outgoing:
    """`filters`: limit, before, model, deployment, errors; None and False are left out."""
    query = {name: _query_value(value) for name, value in filters.items() if value is not None and value is not False}
    return Outgoing(method="GET", path=f"/api/v1/requests?{urlencode(query)}" if query else "/api/v1/requests")


def _query_value(value: Any) -> str:
    return "1" if value is True else str(value)


def _conversation(messages: Messages, model: str) -> dict[str, Any]:
    talk = [{"role": "user", "content": messages}] if isinstance(messages, str) else [dict(m) for m in messages]
    return {"model": model, "messages": talk}


def _stated(fields: Mapping[str, Any]) -> dict[str, Any]:
    if "stream" in fields:
        raise TypeError("`stream` is not a field here: call .stream(...) to stream and .chat(...) not to")
    return {name: value for name, value in fields.items() if value is not None}


def _post(path: str, body: Mapping[str, Any]) -> Outgoing:
    return Outgoing(method="POST", path=path, body=msgspec.json.encode(body))
