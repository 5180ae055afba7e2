"""Reads a complete client request as a conversation. This is done only to translate or edit it."""

from typing import Any, Final

from intellirouter.dialects.ir import Conversation, Message, OutputFormat, ReasoningConfig, Sampling, Text
from intellirouter.dialects.openai_responses.client_input import read_input
from intellirouter.dialects.openai_responses.client_tools import flatten_names, read_tool_choice, read_tools
from intellirouter.dialects.openai_responses.fields import DIALECT, invalid_value, required_string
from intellirouter.dialects.wire.json_reader import READER, missing, unknown_members

_TOP_LEVEL: Final = frozenset(
    {
        "background",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "metadata",
        "model",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
"""The gateway handles `store` and `background: false`."""
_TEXT: Final = frozenset({"format", "verbosity"})
_REASONING: Final = frozenset({"effort", "summary", "generate_summary"})
_STREAM_OPTIONS: Final = frozenset({"include_obfuscation"})
_SUPPORTED_INCLUDES: Final = frozenset({"reasoning.encrypted_content", "message.output_text.logprobs"})


def decode_conversation(body: dict[str, Any]) -> Conversation:
    """Read the complete request. Raises `InvalidRequest`."""
    tools = READER.array(body, "tools", "")
    names = flatten_names(tools)
    messages = read_input(body.get("input"), names)
    if instructions := READER.text(body, "instructions", ""):
        messages.insert(0, Message(role="system", parts=[Text(text=instructions)]))
    user = READER.text(body, "user", "") or READER.text(body, "safety_identifier", "")
    return Conversation(
        dialect=DIALECT,
        model=body["model"],
        messages=messages,
        tools=read_tools(tools, names),
        tool_choice=read_tool_choice(body, names),
        output=_read_output(body),
        reasoning=_read_reasoning(body),
        sampling=_read_sampling(body),
        is_stream=bool(body.get("stream")),
        user=user,
        metadata=READER.object(body, "metadata", ""),
        service_tier=READER.text(body, "service_tier", ""),
        cache_key=READER.text(body, "prompt_cache_key", ""),
        extras=_read_extras(body, user),
    )


def _read_output(body: dict[str, Any]) -> OutputFormat | None:
    text = READER.object(body, "text", "")
    output_format = READER.object(text, "format", "text") if text is not None else None
    if output_format is None:
        return None
    kind = required_string(output_format, "type", "text.format")
    if kind == "json_schema":
        schema = READER.object(output_format, "schema", "text.format")
        if schema is None:
            raise missing("text.format.schema")
        return OutputFormat(
            kind="json_schema",
            name=required_string(output_format, "name", "text.format"),
            description=READER.text(output_format, "description", "text.format"),
            schema=schema,
            is_strict=READER.flag(output_format, "strict", "text.format"),
        )
    if kind not in {"text", "json_object"}:
        raise invalid_value("text.format.type", kind, "'text', 'json_schema' and 'json_object'")
    return OutputFormat(kind="json_object") if kind == "json_object" else None


def _read_reasoning(body: dict[str, Any]) -> ReasoningConfig | None:
    reasoning = READER.object(body, "reasoning", "")
    if not reasoning:
        return None
    effort = READER.text(reasoning, "effort", "reasoning")
    summary = READER.text(reasoning, "summary", "reasoning") or READER.text(reasoning, "generate_summary", "reasoning")
    if not effort and not summary:
        return None
    return ReasoningConfig(effort=effort, summary=summary, is_visible=True if summary else None)


def _read_sampling(body: dict[str, Any]) -> Sampling:
    includes = "message.output_text.logprobs" in READER.array(body, "include", "")
    top_logprobs = body.get("top_logprobs")
    text = READER.object(body, "text", "") or {}
    return Sampling(
        max_output_tokens=body.get("max_output_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        logprobs=True if includes or top_logprobs else None,
        top_logprobs=top_logprobs,
        verbosity=READER.text(text, "verbosity", "text"),
    )


def _read_extras(body: dict[str, Any], user: str) -> dict[str, Any]:
    """Return the members that the conversation has no field for. Nested ones have their path (`reasoning.mode`)."""
    extras = unknown_members(body, _TOP_LEVEL)
    for name, known in (("text", _TEXT), ("reasoning", _REASONING), ("stream_options", _STREAM_OPTIONS)):
        inner = READER.object(body, name, "") or {}
        extras.update({f"{name}.{member}": value for member, value in unknown_members(inner, known).items()})
    if includes := [value for value in READER.array(body, "include", "") if value not in _SUPPORTED_INCLUDES]:
        extras["include"] = includes
    identifier = READER.text(body, "safety_identifier", "")
    if identifier and identifier != user:
        extras["safety_identifier"] = identifier
    if READER.text(body, "truncation", "") not in {"", "disabled"}:
        extras["truncation"] = body["truncation"]
    if body.get("background"):
        extras["background"] = True
    return extras
