"""A request's settings beside its input and tools, read into the intermediate form."""

from typing import Any, Final

from intellirouter.dialects.ir import Conversation, Message, OutputFormat, ReasoningConfig, Sampling, Text
from intellirouter.dialects.openai_responses.client_input import decode_input
from intellirouter.dialects.openai_responses.client_tools import decode_choice, decode_tools, names_of
from intellirouter.dialects.openai_responses.fields import bad_value, required_name
from intellirouter.dialects.wire.json_reader import READER, missing, unknown_members

_KNOWN: Final = frozenset(
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
"""`store` and `background: false` ask for nothing that the answer shows: what is kept is the gateway's business."""
_TEXT: Final = frozenset({"format", "verbosity"})
_REASONING: Final = frozenset({"effort", "summary", "generate_summary"})
_STREAM_OPTIONS: Final = frozenset({"include_obfuscation"})
_HONOURED_INCLUDES: Final = frozenset({"reasoning.encrypted_content", "message.output_text.logprobs"})


def decode_conversation(body: dict[str, Any], dialect: str) -> Conversation:
    """Read a whole request. Raises `InvalidRequest`."""
    tools = READER.array(body, "tools", "")
    names = names_of(tools)
    messages = decode_input(body.get("input"), names)
    if instructions := READER.text(body, "instructions", ""):
        messages.insert(0, Message(role="system", parts=[Text(text=instructions)]))
    user = READER.text(body, "user", "") or READER.text(body, "safety_identifier", "")
    return Conversation(
        dialect=dialect,
        model=body["model"],
        messages=messages,
        tools=decode_tools(tools, names),
        tool_choice=decode_choice(body, names),
        output=_output(body),
        reasoning=_reasoning(body),
        sampling=_sampling(body),
        is_stream=bool(body.get("stream")),
        user=user,
        metadata=READER.object(body, "metadata", ""),
        service_tier=READER.text(body, "service_tier", ""),
        cache_key=READER.text(body, "prompt_cache_key", ""),
        extras=_extras(body, user),
    )


def _output(body: dict[str, Any]) -> OutputFormat | None:
    text = READER.object(body, "text", "")
    asked = READER.object(text, "format", "text") if text is not None else None
    if asked is None:
        return None
    kind = required_name(asked, "type", "text.format")
    if kind == "json_schema":
        schema = READER.object(asked, "schema", "text.format")
        if schema is None:
            raise missing("text.format.schema")
        return OutputFormat(
            kind="json_schema",
            name=required_name(asked, "name", "text.format"),
            description=READER.text(asked, "description", "text.format"),
            schema=schema,
            is_strict=READER.flag(asked, "strict", "text.format"),
        )
    if kind not in {"text", "json_object"}:
        raise bad_value("text.format.type", kind, "'text', 'json_schema' and 'json_object'")
    return OutputFormat(kind="json_object") if kind == "json_object" else None


def _reasoning(body: dict[str, Any]) -> ReasoningConfig | None:
    asked = READER.object(body, "reasoning", "")
    if not asked:
        return None
    effort = READER.text(asked, "effort", "reasoning")
    summary = READER.text(asked, "summary", "reasoning") or READER.text(asked, "generate_summary", "reasoning")
    if not effort and not summary:
        return None
    return ReasoningConfig(effort=effort, summary=summary, is_visible=True if summary else None)


def _sampling(body: dict[str, Any]) -> Sampling:
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


def _extras(body: dict[str, Any], user: str) -> dict[str, Any]:
    """Return what has no slot; members of `text` and `reasoning` by path (`reasoning.mode`)."""
    extras = unknown_members(body, _KNOWN)
    for name, known in (("text", _TEXT), ("reasoning", _REASONING), ("stream_options", _STREAM_OPTIONS)):
        inner = READER.object(body, name, "") or {}
        extras.update({f"{name}.{member}": value for member, value in unknown_members(inner, known).items()})
    if includes := [one for one in READER.array(body, "include", "") if one not in _HONOURED_INCLUDES]:
        extras["include"] = includes
    identifier = READER.text(body, "safety_identifier", "")
    if identifier and identifier != user:
        extras["safety_identifier"] = identifier
    if READER.text(body, "truncation", "") not in {"", "disabled"}:
        extras["truncation"] = body["truncation"]
    if body.get("background"):
        extras["background"] = True
    return extras
