"""A request's settings beside its input and tools, read into the intermediate form."""

from typing import Any, Final

from intellirouter.dialects.ir import Conversation, Message, OutputFormat, ReasoningAsk, Sampling, Text
from intellirouter.dialects.openai_responses.fields import (
    bad_value,
    flag_of,
    list_of,
    missing,
    object_of,
    required_name,
    rest_of,
    text_of,
)
from intellirouter.dialects.openai_responses.items import decode_input
from intellirouter.dialects.openai_responses.tools import decode_choice, decode_tools, names_of

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
    tools = list_of(body, "tools", "")
    names = names_of(tools)
    messages = decode_input(body.get("input"), names)
    if instructions := text_of(body, "instructions", ""):
        messages.insert(0, Message(role="system", parts=[Text(text=instructions)]))
    user = text_of(body, "user", "") or text_of(body, "safety_identifier", "")
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
        metadata=object_of(body, "metadata", ""),
        service_tier=text_of(body, "service_tier", ""),
        cache_key=text_of(body, "prompt_cache_key", ""),
        extras=_extras(body, user),
    )


def _output(body: dict[str, Any]) -> OutputFormat | None:
    text = object_of(body, "text", "")
    asked = object_of(text, "format", "text") if text is not None else None
    if asked is None:
        return None
    kind = required_name(asked, "type", "text.format")
    if kind == "json_schema":
        schema = object_of(asked, "schema", "text.format")
        if schema is None:
            raise missing("text.format.schema")
        return OutputFormat(
            kind="json_schema",
            name=required_name(asked, "name", "text.format"),
            description=text_of(asked, "description", "text.format"),
            schema=schema,
            is_strict=flag_of(asked, "strict", "text.format"),
        )
    if kind not in {"text", "json_object"}:
        raise bad_value("text.format.type", kind, "'text', 'json_schema' and 'json_object'")
    return OutputFormat(kind="json_object") if kind == "json_object" else None


def _reasoning(body: dict[str, Any]) -> ReasoningAsk | None:
    asked = object_of(body, "reasoning", "")
    if not asked:
        return None
    effort = text_of(asked, "effort", "reasoning")
    summary = text_of(asked, "summary", "reasoning") or text_of(asked, "generate_summary", "reasoning")
    if not effort and not summary:
        return None
    return ReasoningAsk(effort=effort, summary=summary, shows_thoughts=True if summary else None)


def _sampling(body: dict[str, Any]) -> Sampling:
    includes = "message.output_text.logprobs" in list_of(body, "include", "")
    top_logprobs = body.get("top_logprobs")
    text = object_of(body, "text", "") or {}
    return Sampling(
        max_output_tokens=body.get("max_output_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        logprobs=True if includes or top_logprobs else None,
        top_logprobs=top_logprobs,
        verbosity=text_of(text, "verbosity", "text"),
    )


def _extras(body: dict[str, Any], user: str) -> dict[str, Any]:
    """Return what has no slot; members of `text` and `reasoning` by path (`reasoning.mode`)."""
    extras = rest_of(body, _KNOWN)
    for name, known in (("text", _TEXT), ("reasoning", _REASONING), ("stream_options", _STREAM_OPTIONS)):
        inner = object_of(body, name, "") or {}
        extras.update({f"{name}.{member}": value for member, value in rest_of(inner, known).items()})
    if includes := [one for one in list_of(body, "include", "") if one not in _HONOURED_INCLUDES]:
        extras["include"] = includes
    identifier = text_of(body, "safety_identifier", "")
    if identifier and identifier != user:
        extras["safety_identifier"] = identifier
    if text_of(body, "truncation", "") not in {"", "disabled"}:
        extras["truncation"] = body["truncation"]
    if body.get("background"):
        extras["background"] = True
    return extras
