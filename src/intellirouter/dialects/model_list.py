"""The list of models, in the format of each dialect.

Sources: OpenAI "List models", Anthropic "List Models" and "Get a Model", Gemini `models.list` and `models.get`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import errors

_CREATED_S: Final = 1735689600
"""The lists require a creation time. Configured models have none, so the lists show 2025-01-01 for all of them."""
_CREATED_AT: Final = "2025-01-01T00:00:00Z"
_MAX_PAGE: Final = 1000


class ModelEntry(Struct, frozen=True, kw_only=True):
    """A model that clients can use."""

    name: str
    owner: str = "intellirouter"
    context_tokens: int | None = None
    operations: frozenset[str] | None = None
    """None: unknown."""


def openai_list(entries: Sequence[ModelEntry]) -> bytes:
    return msgspec.json.encode({"object": "list", "data": [_openai(entry) for entry in entries]})


def openai_model(entry: ModelEntry) -> bytes:
    return msgspec.json.encode(_openai(entry))


def _openai(entry: ModelEntry) -> Mapping[str, Any]:
    return {"id": entry.name, "object": "model", "created": _CREATED_S, "owned_by": entry.owner}


def anthropic_list(entries: Sequence[ModelEntry], query: Mapping[str, str]) -> bytes:
    """Return one page of at most `limit` models (default 20), after `after_id` or before `before_id`.

    Raises `InvalidRequest`.
    """
    limit = _page_size(query.get("limit"), "limit", 20)
    names = [entry.name for entry in entries]
    start, stop = 0, len(entries)
    if (after := query.get("after_id")) is not None:
        start = _index(names, after, "after_id") + 1
    if (before := query.get("before_id")) is not None:
        stop = _index(names, before, "before_id")
        start = max(start, stop - limit)
    page = entries[start : min(stop, start + limit)]
    has_more = start + len(page) < stop if before is None else start > 0
    first, last = (page[0].name, page[-1].name) if page else (None, None)
    return msgspec.json.encode(
        {"data": [_anthropic(entry) for entry in page], "has_more": has_more, "first_id": first, "last_id": last}
    )


def anthropic_model(entry: ModelEntry) -> bytes:
    return msgspec.json.encode(_anthropic(entry))


def _anthropic(entry: ModelEntry) -> Mapping[str, Any]:
    row: dict[str, Any] = {
        "type": "model",
        "id": entry.name,
        "display_name": entry.name,
        "created_at": _CREATED_AT,
    }
    if entry.context_tokens is not None:
        row["max_input_tokens"] = entry.context_tokens
    return row


def gemini_list(entries: Sequence[ModelEntry], query: Mapping[str, str]) -> bytes:
    """Return one page of at most `pageSize` models (default 50), starting at `pageToken`. Raises `InvalidRequest`."""
    size = _page_size(query.get("pageSize"), "pageSize", 50)
    token = query.get("pageToken") or "0"
    if not token.isdecimal() or len(token) > 9:
        raise errors.InvalidRequest("Invalid 'pageToken'.", param="pageToken", code="invalid_value")
    start = int(token)
    answer: dict[str, Any] = {"models": [_gemini(entry) for entry in entries[start : start + size]]}
    if start + size < len(entries):
        answer["nextPageToken"] = str(start + size)
    return msgspec.json.encode(answer)


def gemini_model(entry: ModelEntry) -> bytes:
    return msgspec.json.encode(_gemini(entry))


def _gemini(entry: ModelEntry) -> Mapping[str, Any]:
    methods = []
    if entry.operations is None or "chat" in entry.operations:
        methods += ["generateContent", "streamGenerateContent", "countTokens"]
    if entry.operations is None or "embeddings" in entry.operations:
        methods += ["embedContent", "batchEmbedContents"]
    row: dict[str, Any] = {
        "name": f"models/{entry.name}",
        "baseModelId": entry.name,
        "version": "1",
        "displayName": entry.name,
        "supportedGenerationMethods": methods,
    }
    if entry.context_tokens is not None:
        row["inputTokenLimit"] = entry.context_tokens
    return row


def _index(names: Sequence[str], name: str, param: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise errors.InvalidRequest(
            f"{param}: The model {name[:100]!r} does not exist.", param=param, code="invalid_value"
        ) from None


def _page_size(text: str | None, param: str, default: int) -> int:
    if text is None or not text:
        return default
    if not text.isdecimal() or not 1 <= int(text[:9]) <= _MAX_PAGE:
        raise errors.InvalidRequest(
            f"{param}: Must be an integer from 1 to {_MAX_PAGE}.", param=param, code="invalid_value"
        )
    return int(text)
