"""Reads a complete client request as a conversation. This is done only to translate or edit it."""

from typing import Any, Final

import msgspec

from intellirouter.core import Call, errors
from intellirouter.dialects.gemini.client_contents import read_messages, read_system
from intellirouter.dialects.gemini.client_schema import convert_schema
from intellirouter.dialects.gemini.wire import DIALECT, Members, wrong_type, wrong_value
from intellirouter.dialects.ir import (
    Conversation,
    FunctionTool,
    Message,
    OutputFormat,
    ReasoningConfig,
    Sampling,
    ServerTool,
    Tool,
    ToolChoice,
)
from intellirouter.dialects.wire.request_validation import decode_body

FIELD_NAMES: Final = {
    "messages": "contents",
    "messages[].role": "contents[].role",
    "max_output_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "n": "generationConfig.candidateCount",
    "output": "generationConfig.responseMimeType",
    "output.schema": "generationConfig.responseJsonSchema",
    "reasoning": "generationConfig.thinkingConfig",
    "modalities": "generationConfig.responseModalities",
    "tool_choice": "toolConfig.functionCallingConfig",
    "metadata": "labels",
}
"""See `protocols.ChatClient.field_names`."""

_MODES: Final[dict[str, Any]] = {
    "": "auto",
    "MODE_UNSPECIFIED": "auto",
    "AUTO": "auto",
    "VALIDATED": "auto",
    "ANY": "required",
    "NONE": "none",
}
_JSON: Final = "application/json"

_decoder: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any])


def decode_conversation(call: Call) -> Conversation:
    """Read the complete request. Raises `InvalidRequest`."""
    body = Members(_decode_body(call.body))
    if body.has("generateContentRequest"):  # in requests for `:countTokens`
        body = body.members("generateContentRequest")
    return _read_conversation(body, call)


def _decode_body(body: bytes) -> dict[str, Any]:
    return decode_body(_decoder, body)


def _read_conversation(body: Members, call: Call) -> Conversation:
    body.take("model")
    extras: dict[str, Any] = {}
    system = body.members("systemInstruction")
    messages = read_messages(body.array("contents"))
    if parts := read_system(system):
        messages.insert(0, Message(role="system", parts=parts))
    config = body.members("generationConfig")
    conversation = Conversation(
        dialect=DIALECT,
        model=call.model,
        messages=messages,
        tools=[tool for entry in body.each("tools") for tool in _read_tools(entry)],
        tool_choice=_read_tool_choice(body.members("toolConfig"), extras),
        output=_read_output(config),
        reasoning=_read_reasoning(config),
        sampling=_read_sampling(config),
        is_stream=call.is_stream,
        modalities=[text.lower() for text in config.texts("responseModalities")],
    )
    conversation.extras = {**_remaining_members("", body), **extras, **_remaining_members("generationConfig.", config)}
    return conversation


def _remaining_members(path: str, members: Members) -> dict[str, Any]:
    """Return unknown members by path. Dots in names are replaced, because `upstream_request` splits paths at dots."""
    return {path + name.replace(".", "_"): value for name, value in members.rest().items()}


def _read_tools(entry: Members) -> list[Tool]:
    """Read one entry of `tools`, which contains functions, tools that Google runs, or both."""
    tools: list[Tool] = [_read_function(each) for each in entry.each("functionDeclarations")]
    tools += [ServerTool(dialect=DIALECT, kind=kind, raw=raw) for kind, raw in entry.rest().items()]
    return tools


def _read_function(entry: Members) -> FunctionTool:
    name = entry.text("name")
    if not name:
        raise errors.InvalidRequest(
            f"Invalid value at '{entry.path_of('name')}': a function must have a name.",
            code="invalid_value",
            param=entry.path_of("name"),
        )
    schema = entry.object("parameters")
    parameters = entry.object("parametersJsonSchema")
    if parameters is None and schema is not None:
        parameters = convert_schema(schema)
    return FunctionTool(name=name, description=entry.text("description"), parameters=parameters, extras=entry.rest())


def _read_tool_choice(config: Members, extras: dict[str, Any]) -> ToolChoice | None:
    calling = config.members("functionCallingConfig")
    mode_name = calling.text("mode").upper()
    mode = _MODES.get(mode_name)
    if mode is None:
        raise wrong_value(calling.path_of("mode"), "'AUTO', 'ANY', 'NONE', 'VALIDATED'")
    allowed = calling.texts("allowedFunctionNames")
    extras.update(_remaining_members("toolConfig.functionCallingConfig.", calling))
    extras.update(_remaining_members("toolConfig.", config))
    if mode_name == "VALIDATED" and not allowed:
        extras["toolConfig.functionCallingConfig.mode"] = mode_name
    if mode == "required" and len(allowed) == 1:
        return ToolChoice(mode="named", name=allowed[0])
    if not mode_name and not allowed:
        return None
    return ToolChoice(mode=mode, allowed=allowed or None)


def _read_output(config: Members) -> OutputFormat | None:
    kind = config.text("responseMimeType").lower()
    schema = config.object("responseSchema")
    json_schema = config.take("responseJsonSchema")
    if json_schema is None:
        json_schema = config.take("_responseJsonSchema")
    if json_schema is not None and not isinstance(json_schema, dict):
        raise wrong_type(config.path_of("responseJsonSchema"), "an object", json_schema)
    if json_schema is None and schema is not None:
        json_schema = convert_schema(schema)
    if kind == "text/x.enum":
        raise errors.UnsupportedFeature(
            "Only upstreams of the Gemini dialect support text/x.enum.",
            param=config.path_of("responseMimeType"),
        )
    if kind not in {"", "text/plain", _JSON}:
        raise wrong_value(config.path_of("responseMimeType"), "'text/plain', 'application/json', 'text/x.enum'")
    if json_schema is not None:
        return OutputFormat(kind="json_schema", schema=json_schema)
    if not kind:
        return None
    return OutputFormat(kind="json_object" if kind == _JSON else "text")


def _read_reasoning(config: Members) -> ReasoningConfig | None:
    if not config.has("thinkingConfig"):
        return None
    thinking = config.members("thinkingConfig")
    effort = thinking.text("thinkingLevel").lower()
    return ReasoningConfig(
        effort="" if effort == "thinking_level_unspecified" else effort,
        budget_tokens=thinking.integer("thinkingBudget"),
        is_visible=thinking.flag("includeThoughts"),
        extras=thinking.rest(),
    )


def _read_sampling(config: Members) -> Sampling:
    count = config.integer("candidateCount")
    if count is not None and count < 1:
        raise wrong_value(config.path_of("candidateCount"), "1 and more")
    return Sampling(
        max_output_tokens=config.integer("maxOutputTokens"),
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.integer("topK"),
        stop=config.texts("stopSequences"),
        seed=config.integer("seed"),
        presence_penalty=config.number("presencePenalty"),
        frequency_penalty=config.number("frequencyPenalty"),
        logprobs=config.flag("responseLogprobs"),
        top_logprobs=config.integer("logprobs"),
        n=count or 1,
    )
