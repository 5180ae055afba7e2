"""Adapts a chat request to the deviations of a vendor's endpoint from OpenAI's (`core.Quirks`).

It works on the wire format, so that the same rules apply to relayed and to translated requests.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from intellirouter.core import LossReport, Quirks, errors
from intellirouter.dialects.openai.strict_schema import json_instruction

FIELD_NAMES: Final = {
    "max_output_tokens": "max_completion_tokens",
    "output": "response_format",
    "reasoning": "reasoning_effort",
    "reasoning.effort": "reasoning_effort",
    "reasoning.budget_tokens": "reasoning_effort",
    "cache_key": "prompt_cache_key",
    "cache": "cache_control",
    "is_parallel": "parallel_tool_calls",
    "tool_choice.is_parallel": "parallel_tool_calls",
    "is_strict": "strict",
}
"""See `protocols.ChatClient.field_names`."""

_FIELDS: Final = {
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "response_format": "output",
    "reasoning_effort": "reasoning",
    "prompt_cache_key": "cache_key",
    "parallel_tool_calls": "tool_choice.is_parallel",
}
"""The fields of a conversation, by member, for loss reports to clients of other dialects."""
_IN_MESSAGES: Final = "messages[]."
_ESCAPED_NAME: Final = re.compile(rb"\\u00(?:[67]|5[fF])")


def _is_filled(value: Any) -> bool:
    return bool(value)


_REQUIRED: Final[dict[str, Callable[[Any], bool]]] = {
    "tools": _is_filled,
    "functions": _is_filled,
    "tool_choice": lambda value: value not in {"auto", "none"} if isinstance(value, str) else True,
    "response_format": lambda value: not isinstance(value, dict) or value.get("type") != "text",
    "n": lambda value: value != 1,
    "stop": _is_filled,
    "audio": _is_filled,
    "modalities": lambda value: value != ["text"],
}
"""Members that must not be left out, unless they have their default: clients rely on their effect on the answer."""


def may_apply(body: bytes, temperature: float | None, quirks: Quirks) -> bool:
    """Return whether the quirks may change a request.

    This is cheap. It may return True for a request that they do not change, but never the opposite.
    """
    pattern = _pattern(quirks)
    # Names may contain escapes. Then `apply_quirks` decides.
    if pattern is not None and (pattern.search(body) or (b"\\u00" in body and _ESCAPED_NAME.search(body))):
        return True
    limit = quirks.max_temperature
    if limit is not None and temperature is not None and temperature > limit:
        return True
    return not quirks.takes_stream_options and b'"stream_options"' in body


@lru_cache(maxsize=256)
def _pattern(quirks: Quirks) -> "re.Pattern[bytes] | None":
    """Return the pattern of the names and values that the quirks change; None if there are none."""
    names = {name.removeprefix(_IN_MESSAGES) for name in quirks.refuses}
    names.update(old for old, _ in quirks.renames)
    if not quirks.has_developer_role:
        names.add("developer")
    if quirks.structured_output != "json_schema":
        names.add("response_format")
    if quirks.reasoning_field != "reasoning_content":
        names.add("reasoning_content")
    if not names:
        return None
    return re.compile(b'"(?:' + b"|".join(re.escape(name.encode()) for name in sorted(names)) + b')"')


def apply_quirks(body: dict[str, Any], quirks: Quirks, losses: LossReport) -> None:
    """Change a request in place. Messages are replaced, not changed.

    Raises `UnsupportedFeature` for members that the vendor rejects and the client relies on.
    """
    _adapt_messages(body, quirks, losses)
    _adapt_output(body, quirks, losses)
    limit, temperature = quirks.max_temperature, body.get("temperature")
    if limit is not None and isinstance(temperature, int | float) and temperature > limit:
        body["temperature"] = limit
        losses.add("temperature", "clamped", str(limit))
    if not quirks.takes_stream_options:
        body.pop("stream_options", None)
    for name in quirks.refuses:
        _remove(body, name, losses)
    for old, new in quirks.renames:
        if old in body:
            value = body.pop(old)
            body.setdefault(new, value)


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages; empty for legacy completions, which have none, and for invalid messages."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return []
    return messages


def _remove(body: dict[str, Any], name: str, losses: LossReport) -> None:
    if name.startswith(_IN_MESSAGES):
        member = name.removeprefix(_IN_MESSAGES)
        messages = _messages(body)
        if any(member in message for message in messages):
            body["messages"] = [{key: value for key, value in message.items() if key != member} for message in messages]
            losses.dropped(name)
        return
    value = body.pop(name, None)
    if value is None:
        return
    field = _FIELDS.get(name, name)
    if name in _REQUIRED and _REQUIRED[name](value):
        raise errors.UnsupportedFeature(f"The upstream does not support `{name}`.", param=losses.name_of(field))
    if name != "stream_options":
        losses.dropped(field)


def _adapt_messages(body: dict[str, Any], quirks: Quirks, losses: LossReport) -> None:
    messages = _messages(body)
    for index, message in enumerate(messages):
        changed = message
        if message.get("role") == "developer" and not quirks.has_developer_role:
            changed = changed | {"role": "system"}
            losses.add("messages[].role", "converted", "system")
        if "reasoning_content" in message and quirks.reasoning_field != "reasoning_content":
            changed = {key: value for key, value in changed.items() if key != "reasoning_content"}
            changed[quirks.reasoning_field] = message["reasoning_content"]
        messages[index] = changed


def _adapt_output(body: dict[str, Any], quirks: Quirks, losses: LossReport) -> None:
    response_format = body.get("response_format")
    if not isinstance(response_format, dict) or quirks.structured_output == "json_schema" or not _messages(body):
        return
    kind = response_format.get("type")
    if kind not in {"json_schema", "json_object"} or kind == quirks.structured_output:
        return
    inner = response_format.get("json_schema")
    schema = inner.get("schema") if kind == "json_schema" and isinstance(inner, dict) else None
    add_instruction(body, json_instruction(schema))
    if quirks.structured_output == "json_object":
        body["response_format"] = {"type": "json_object"}
    else:
        del body["response_format"]
    losses.add("output", "emulated", "instruction in the system prompt")


def add_instruction(body: dict[str, Any], text: str) -> None:
    """Add an instruction at the end of the client's system prompt, or as a system prompt if there is none."""
    messages: list[dict[str, Any]] = body["messages"]
    first = messages[0] if messages else {}
    if first.get("role") not in {"system", "developer"}:
        messages.insert(0, {"role": "system", "content": text})
        return
    content = first.get("content")
    if isinstance(content, list):
        new_content: Any = [*content, {"type": "text", "text": text}]
    else:
        new_content = f"{content}\n\n{text}" if content else text
    messages[0] = first | {"content": new_content}
