"""From a client's request to the intermediate form, whole: done only when another dialect must serve it."""

from typing import Any, Final

import msgspec

from intellirouter.core import Call, errors
from intellirouter.dialects.gemini.client_contents import messages_of, system_parts
from intellirouter.dialects.gemini.client_schema import json_schema
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


def conversation_of(call: Call) -> Conversation:
    """Read a call's whole request. Raises `InvalidRequest`."""
    body = Members(_read(call.body))
    if body.has("generateContentRequest"):  # of `:countTokens`
        body = body.members("generateContentRequest")
    return conversation_in(body, call)


def _read(body: bytes) -> dict[str, Any]:
    return decode_body(_decoder, body)


def conversation_in(body: Members, call: Call) -> Conversation:
    """Read a request. Raises `InvalidRequest`."""
    body.take("model")
    extras: dict[str, Any] = {}
    system = body.members("systemInstruction")
    messages = messages_of(body.array("contents"))
    if parts := system_parts(system):
        messages.insert(0, Message(role="system", parts=parts))
    config = body.members("generationConfig")
    conversation = Conversation(
        dialect=DIALECT,
        model=call.model,
        messages=messages,
        tools=[tool for entry in body.each("tools") for tool in _tools(entry)],
        tool_choice=_tool_choice(body.members("toolConfig"), extras),
        output=_output(config),
        reasoning=_reasoning(config),
        sampling=_sampling(config),
        is_stream=call.is_stream,
        modalities=[text.lower() for text in config.texts("responseModalities")],
    )
    conversation.extras = {**_kept("", body), **extras, **_kept("generationConfig.", config)}
    return conversation


def _kept(path: str, members: Members) -> dict[str, Any]:
    """Return unknown members by path. A dot is no part of a name: `request_out` would look for a place there."""
    return {path + name.replace(".", "_"): value for name, value in members.rest().items()}


def _tools(entry: Members) -> list[Tool]:
    """Read one entry of `tools`: any number of functions, and any of the tools that Google runs."""
    tools: list[Tool] = [_function(each) for each in entry.each("functionDeclarations")]
    tools += [ServerTool(dialect=DIALECT, kind=kind, raw=raw) for kind, raw in entry.rest().items()]
    return tools


def _function(entry: Members) -> FunctionTool:
    name = entry.text("name")
    if not name:
        raise wrong_value(entry.path_of("name"), "the names of your functions")
    schema = entry.object("parameters")
    parameters = entry.object("parametersJsonSchema")
    if parameters is None and schema is not None:
        parameters = json_schema(schema)
    return FunctionTool(name=name, description=entry.text("description"), parameters=parameters, extras=entry.rest())


def _tool_choice(config: Members, extras: dict[str, Any]) -> ToolChoice | None:
    calling = config.members("functionCallingConfig")
    word = calling.text("mode").upper()
    mode = _MODES.get(word)
    if mode is None:
        raise wrong_value(calling.path_of("mode"), "'AUTO', 'ANY', 'NONE', 'VALIDATED'")
    allowed = calling.texts("allowedFunctionNames")
    extras.update(_kept("toolConfig.functionCallingConfig.", calling))
    extras.update(_kept("toolConfig.", config))
    if word == "VALIDATED" and not allowed:
        extras["toolConfig.functionCallingConfig.mode"] = word
    if mode == "required" and len(allowed) == 1:
        return ToolChoice(mode="named", name=allowed[0])
    if not word and not allowed:
        return None
    return ToolChoice(mode=mode, allowed=allowed or None)


def _output(config: Members) -> OutputFormat | None:
    kind = config.text("responseMimeType").lower()
    schema = config.object("responseSchema")
    wanted = config.take("responseJsonSchema")
    if wanted is None:
        wanted = config.take("_responseJsonSchema")
    if wanted is not None and not isinstance(wanted, dict):
        raise wrong_type(config.path_of("responseJsonSchema"), "an object", wanted)
    if wanted is None and schema is not None:
        wanted = json_schema(schema)
    if kind == "text/x.enum":
        raise errors.UnsupportedFeature(
            "Only Google's own models answer with one bare word of an enumeration (text/x.enum).",
            param=config.path_of("responseMimeType"),
        )
    if kind not in {"", "text/plain", _JSON}:
        raise wrong_value(config.path_of("responseMimeType"), "'text/plain', 'application/json', 'text/x.enum'")
    if wanted is not None:
        return OutputFormat(kind="json_schema", schema=wanted)
    if not kind:
        return None
    return OutputFormat(kind="json_object" if kind == _JSON else "text")


def _reasoning(config: Members) -> ReasoningConfig | None:
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


def _sampling(config: Members) -> Sampling:
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
        n=max(1, config.integer("candidateCount") or 1),
    )
