"""Which requests may use the cache, and which answers may be stored. Pure."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from intellirouter.config import CacheSpec
from intellirouter.core import Call

_OPERATIONS: Final = frozenset(
    {"chat", "completions", "embeddings", "count_tokens", "moderations", "images", "audio", "rerank"}
)
_WITH_TEMPERATURE: Final = frozenset({"chat", "completions"})
_USUAL_TEMPERATURE: Final = 1.0
"""What vendors use if a request does not set one."""
_COMPLETE: Final = frozenset({"stop", "stop_sequence", "end_turn"})
"""Finish reasons of answers that are known to be complete."""
_TOOL_REASONS: Final = frozenset({"tool_calls", "tool_use", "function_call"})
_FINISH: Final = re.compile(rb'"(?:finish_reason|finishReason|stop_reason|done_reason)"\s*:\s*"([^"]*)"')
"""The finish reasons of all choices, in all dialects. Quotes within texts are escaped, so texts do not match."""
_NO_FINISH: Final = re.compile(rb'"finish_reason"\s*:\s*null')
_REFUSAL: Final = re.compile(rb'"refusal"\s*:\s*"[^"]|"type"\s*:\s*"refusal"')
_TOOL_CALL: Final = re.compile(
    rb'"(?:tool_calls|function_call)"\s*:\s*[\[{]\s*[^\]}\s]|"functionCall"\s*:'
    rb'|"type"\s*:\s*"(?:tool_use|mcp_approval_request|\w+_call)"'
)
"""What answers with tool calls and other actions contain, in all dialects."""
_CONTENT: Final = re.compile(rb'"(?:content|text|delta|response|data|result|code|output)"\s*:\s*"[^"]')
"""What answers that are not empty contain, in all dialects."""


class _GenerationConfig(Struct):
    temperature: Any = UNSET


class _Members(Struct):
    temperature: Any = UNSET
    store: Any = UNSET
    background: Any = UNSET
    previous_response_id: Any = UNSET
    conversation: Any = UNSET
    generationConfig: _GenerationConfig | UnsetType | None = UNSET  # noqa: N815 - the name on the wire
    generation_config: _GenerationConfig | UnsetType | None = UNSET
    options: _GenerationConfig | UnsetType | None = UNSET


_decode: Final = msgspec.json.Decoder(_Members).decode


def exclusion_reason(call: Call, settings: CacheSpec) -> str | None:
    """Return why a request can neither be answered from the cache nor joined; None if it can.

    Call it off the event loop if the call is large.
    """
    if call.operation not in _OPERATIONS:
        return f"{call.operation} requests have effects or are not repeatable"
    if call.is_edited:
        return "the gateway has edited the request"
    if call.context.previous_response_id:
        return "it continues a stored response"
    if call.operation not in _WITH_TEMPERATURE or not _may_matter(call, settings):
        return None
    try:
        members = _decode(call.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "its settings cannot be read"
    if (reason := _storage_reason(call, members)) is not None:
        return reason
    limit = settings.max_temperature
    if limit is not None and (temperature := _temperature_of(members)) > limit:
        return f"its temperature of {temperature:g} is above cache.max_temperature"
    return None


def _storage_reason(call: Call, members: _Members) -> str | None:
    """Return why the answer belongs to one request only: something is stored under its ID."""
    if call.dialect != "openai_responses":
        return "the provider stores its answer" if members.store is True else None
    if members.store is not False:
        return "its response is stored, so it needs an ID of its own"
    if members.background or members.previous_response_id or members.conversation:
        return "it continues a stored conversation"
    return None


def may_store(call: Call, settings: CacheSpec, finish_reason: str | None, pieces: Sequence[bytes]) -> bool:
    """Return whether a successful answer may be stored. `pieces` is what the client was sent.

    The answers of models must be known to be complete: all their choices, not only the first one. An empty one is
    usually a failure of the model, which should not be repeated until it expires.
    """
    if call.operation not in _WITH_TEMPERATURE:
        return True
    allowed = _COMPLETE | _TOOL_REASONS if settings.tool_calls else _COMPLETE
    if finish_reason not in allowed:
        return False
    body = b"".join(pieces)
    if not all(reason.decode("utf-8", "replace").lower() in allowed for reason in _FINISH.findall(body)):
        return False
    if _REFUSAL.search(body) is not None or (not call.is_stream and _NO_FINISH.search(body) is not None):
        return False
    if _TOOL_CALL.search(body) is not None:
        return settings.tool_calls
    return _CONTENT.search(body) is not None


def _may_matter(call: Call, settings: CacheSpec) -> bool:
    """Return whether the members have to be read at all."""
    return (
        settings.max_temperature is not None
        or call.dialect == "openai_responses"
        or b'"store"' in call.body
        or b"\\u00" in call.body  # which may hide the name
    )


def _temperature_of(members: _Members) -> float:
    nested = (members.generationConfig, members.generation_config, members.options)
    values = [members.temperature, *(each.temperature for each in nested if isinstance(each, _GenerationConfig))]
    found = next((each for each in values if each is not UNSET and each is not None), _USUAL_TEMPERATURE)
    return float(found) if isinstance(found, int | float) else _USUAL_TEMPERATURE
