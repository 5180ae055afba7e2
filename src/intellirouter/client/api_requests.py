"""The gateway's HTTP API as functions that build requests. Nothing here does I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from intellirouter.client.attempt_limits import AttemptLimits, headers_of

Messages = str | Sequence[Mapping[str, Any]]
"""A prompt, or messages in the format of OpenAI's chat completions."""


class ApiRequest(Struct, frozen=True, kw_only=True):
    """One HTTP request. `path` includes the query string."""

    method: str
    path: str
    body: bytes | None = None
    is_stream: bool = False
    is_endless: bool = False
    """A stream that may be silent for hours, so reading it has no timeout."""
    accepted_errors: frozenset[int] = frozenset()
    """Error statuses whose body is a valid result."""
    headers: dict[str, str] = {}


TAIL_REQUEST: Final = ApiRequest(method="GET", path="/api/v1/requests/tail", is_stream=True, is_endless=True)
HEALTH_REQUEST: Final = ApiRequest(method="GET", path="/api/v1/health", accepted_errors=frozenset({503}))
MODELS_REQUEST: Final = ApiRequest(method="GET", path="/api/v1/models")


def chat_request(
    messages: Messages, model: str, fields: Mapping[str, Any], limits: AttemptLimits | None = None
) -> ApiRequest:
    return _post("/v1/chat/completions", {**_chat_body(messages, model), **_optional_fields(fields)}, limits)


def chat_stream_request(
    messages: Messages, model: str, fields: Mapping[str, Any], limits: AttemptLimits | None = None
) -> ApiRequest:
    """Build a streaming chat request. It asks for token usage unless `stream_options` is given."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    body = {**_chat_body(messages, model), **options, **_optional_fields(fields)}
    return msgspec.structs.replace(_post("/v1/chat/completions", body, limits), is_stream=True)


def explain_request(
    messages: Messages, model: str, fields: Mapping[str, Any], limits: AttemptLimits | None = None
) -> ApiRequest:
    return _post("/api/v1/explain", {**_chat_body(messages, model), **_optional_fields(fields)}, limits)


def embeddings_request(
    text: str | Sequence[str], model: str, fields: Mapping[str, Any], limits: AttemptLimits | None = None
) -> ApiRequest:
    inputs = text if isinstance(text, str) else list(text)
    body = {"model": model, "input": inputs, "encoding_format": "float", **_optional_fields(fields)}
    return _post("/v1/embeddings", body, limits)


def record_request(request_id: str) -> ApiRequest:
    return ApiRequest(method="GET", path=f"/api/v1/requests/{quote(request_id, safe='')}")


def record_page_request(filters: Mapping[str, Any]) -> ApiRequest:
    """Build a request for a page of records. Filters (limit, before, model, …) that are None or False are left out."""
    query = {name: _query_value(value) for name, value in filters.items() if value is not None and value is not False}
    return ApiRequest(method="GET", path=f"/api/v1/requests?{urlencode(query)}" if query else "/api/v1/requests")


def _query_value(value: Any) -> str:
    return "1" if value is True else str(value)


def _chat_body(messages: Messages, model: str) -> dict[str, Any]:
    if isinstance(messages, str):
        return {"model": model, "messages": [{"role": "user", "content": messages}]}
    return {"model": model, "messages": [dict(message) for message in messages]}


def _optional_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    if "stream" in fields:
        raise TypeError("`stream` is not a parameter of this method. Call .stream() to stream, .chat() not to stream.")
    return {name: value for name, value in fields.items() if value is not None}


def _post(path: str, body: Mapping[str, Any], limits: AttemptLimits | None) -> ApiRequest:
    return ApiRequest(method="POST", path=path, body=msgspec.json.encode(body), headers=headers_of(limits))
