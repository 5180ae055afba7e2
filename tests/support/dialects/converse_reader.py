"""Decode Converse requests for the pair tests, because the gateway has no Converse client dialect."""

import json
from typing import Any

from intellirouter.dialects.ir import (
    CacheMark,
    Conversation,
    FunctionTool,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningConfig,
    Sampling,
    Source,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
)

_TYPES = {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "html": "text/html", "csv": "text/csv"}
_KINDS: tuple[Any, ...] = ("image", "document", "video", "audio")


def read_converse(body: bytes, *, is_stream: bool) -> Conversation:
    """Return the conversation. Raises `KeyError` for a member that Converse does not have."""
    request = json.loads(body)
    conversation = Conversation(dialect="bedrock", model="", is_stream=is_stream)
    if system := _parts(request.pop("system", [])):
        conversation.messages.append(Message(role="system", parts=system))
    for turn in request.pop("messages"):
        conversation.messages += _messages(turn["role"], _parts(turn["content"]))
    _read_tools(conversation, request.pop("toolConfig", {}))
    config = request.pop("inferenceConfig", {})
    fields = request.pop("additionalModelRequestFields", {})
    conversation.sampling = _sampling(config, fields)
    conversation.reasoning = _reasoning(fields, request.get("outputConfig", {}))
    output = request.pop("outputConfig", {}).get("textFormat")
    if output is not None:
        schema = output["structure"]["jsonSchema"]
        conversation.output = OutputFormat(
            kind="json_schema",
            name=schema.get("name", ""),
            description=schema.get("description", ""),
            schema=json.loads(schema["schema"]),
        )
    conversation.service_tier = request.pop("serviceTier", {"type": ""})["type"]
    conversation.metadata = request.pop("requestMetadata", None)
    request.pop("additionalModelResponseFieldPaths", None)
    if request or config or fields:
        raise KeyError([*request, *config, *fields])
    return conversation


def _messages(role: Any, parts: list[Part]) -> list[Message]:
    results: list[Part] = [part for part in parts if isinstance(part, ToolResult)]
    others = [part for part in parts if not isinstance(part, ToolResult)]
    found = [Message(role="tool", parts=results)] if results else []
    return [*found, Message(role=role, parts=others)] if others else found


def _parts(blocks: list[dict[str, Any]]) -> list[Part]:
    found: list[Part] = []
    for block in blocks:
        if "cachePoint" in block:
            last: Any = found[-1]
            last.cache = CacheMark(ttl=block["cachePoint"].get("ttl", ""))
        else:
            found.append(_part(block))
    return found


def _part(block: dict[str, Any]) -> Part:
    ((kind, value),) = block.items()
    if kind == "text":
        return Text(text=value)
    if kind == "toolUse":
        return ToolCall(id=value["toolUseId"], name=value["name"], arguments=json.dumps(value["input"]))
    if kind == "toolResult":
        parts: Any = _parts(value["content"])
        return ToolResult(call_id=value["toolUseId"], parts=parts, is_error=value.get("status") == "error")
    if kind == "reasoningContent":
        return _read_reasoning(value)
    return _media(kind, value)


def _read_reasoning(value: dict[str, Any]) -> Reasoning:
    if "redactedContent" in value:
        return Reasoning(token=Opaque(value=value["redactedContent"], dialect="bedrock"), is_redacted=True)
    text = value["reasoningText"]
    return Reasoning(text=text["text"], token=Opaque(value=text["signature"], dialect="bedrock"))


def _media(kind: str, value: dict[str, Any]) -> Media:
    if kind not in _KINDS:
        raise KeyError(kind)
    source, file_format = value["source"], value["format"]
    if "s3Location" in source:
        found = Source(url=source["s3Location"]["uri"])
    else:
        found = Source(data=source["bytes"], media_type=_TYPES.get(file_format, f"{kind}/{file_format}"))
    return Media(
        kind=kind,  # type: ignore[arg-type]
        source=found,
        name=value.get("name", ""),
        context=value.get("context", ""),
        has_citations=bool(value.get("citations", {}).get("enabled")),
    )


def _read_tools(conversation: Conversation, config: dict[str, Any]) -> None:
    for entry in config.get("tools", []):
        if "cachePoint" in entry:
            conversation.tools[-1].cache = CacheMark()
            continue
        spec = entry["toolSpec"]
        tool = FunctionTool(name=spec["name"], parameters=spec["inputSchema"]["json"], is_strict=spec.get("strict"))
        tool.description = spec.get("description", "")
        conversation.tools.append(tool)
    choice = config.get("toolChoice", {"auto": {}})
    if "tool" in choice:
        conversation.tool_choice = ToolChoice(mode="named", name=choice["tool"]["name"])
    elif "any" in choice:
        conversation.tool_choice = ToolChoice(mode="required")


def _sampling(config: dict[str, Any], fields: dict[str, Any]) -> Sampling:
    nested = fields.pop("inferenceConfig", {})
    return Sampling(
        max_output_tokens=config.pop("maxTokens", None),
        temperature=config.pop("temperature", None),
        top_p=config.pop("topP", None),
        stop=config.pop("stopSequences", []),
        top_k=fields.pop("top_k", nested.get("topK")),
        seed=fields.pop("seed", None),
        presence_penalty=fields.pop("presence_penalty", None),
        frequency_penalty=fields.pop("frequency_penalty", None),
    )


def _reasoning(fields: dict[str, Any], output: dict[str, Any]) -> ReasoningConfig | None:
    thinking, level = fields.pop("thinking", None), fields.pop("reasoningConfig", None)
    effort = output.get("effort", fields.pop("reasoning_effort", "")) or (level or {}).get("maxReasoningEffort", "")
    if thinking is None and level is None and not effort:
        return None
    setting = thinking or level or {"type": "enabled"}
    return ReasoningConfig(
        is_enabled=setting["type"] != "disabled",
        effort=effort,
        budget_tokens=setting.get("budget_tokens"),
        is_adaptive=setting["type"] == "adaptive",
        is_visible={"summarized": True, "omitted": False}.get(setting.get("display", "")),
    )
