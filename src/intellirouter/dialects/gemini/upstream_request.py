"""Writes an upstream's request from the intermediate form.

Schemas go out as JSON Schema (`parametersJsonSchema`, `responseJsonSchema`): the older `parameters` and
`responseSchema` refuse `$schema`, `$ref` and `additionalProperties`.
"""

from typing import Any, Final
from urllib.parse import quote

from intellirouter.core import Deployment, LossReport, Profile, errors
from intellirouter.dialects.adapt.json_merge import Layout
from intellirouter.dialects.gemini.resources import resource_of
from intellirouter.dialects.gemini.upstream_contents import ContentWriter
from intellirouter.dialects.gemini.upstream_reasoning import thinking_config
from intellirouter.dialects.gemini.wire import DIALECT, camel
from intellirouter.dialects.ir import Conversation, CustomTool, FunctionTool, Sampling, ServerTool, ToolChoice

_MAX_STOPS: Final = 5
_MAX_TEMPERATURE: Final = 2.0
_MAX_TOP_LOGPROBS: Final = 20
_JSON: Final = "application/json"
_MODES: Final = {"none": "NONE", "auto": "AUTO", "required": "ANY", "named": "ANY"}
_MODALITIES: Final = {"text": "TEXT", "image": "IMAGE", "audio": "AUDIO"}
_UNKNOWN: Final = ("min_p", "repetition_penalty", "logit_bias", "verbosity")
"""Knobs that the dialect has no name for."""


LAYOUT: Final = Layout(member_name=camel, as_list=lambda value: [value], containers=frozenset({"generationConfig"}))
"""A list of one may be its only item."""


def path_of(deployment: Deployment, method: str) -> str:
    """Return the path of one method of the deployment's model."""
    collection, _, name = resource_of(deployment.upstream_model).partition("/")
    return f"/{collection}/{quote(name, safe='')}:{method}"


def request_of(conversation: Conversation, deployment: Deployment, losses: LossReport) -> dict[str, Any]:
    """Write the request's body. Raises `UnsupportedFeature`."""
    system, contents = ContentWriter(conversation, deployment, losses).write()
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    if conversation.tools:
        tools, config = _tools(conversation, losses), _tool_config(conversation, losses)
        if tools:
            body["tools"] = tools
        if config:
            body["toolConfig"] = {"functionCallingConfig": config}
    if config := _generation_config(conversation, deployment.profile, losses):
        body["generationConfig"] = config
    _drop(conversation, losses)
    if conversation.dialect == DIALECT:
        _restore(conversation.extras, body)
    return body


def _drop(conversation: Conversation, losses: LossReport) -> None:
    for name in ("user", "metadata", "service_tier", "cache_key"):
        if getattr(conversation, name):
            losses.dropped(name)


def _restore(extras: dict[str, Any], body: dict[str, Any]) -> None:
    """Put the dialect's own members back where they stood: `toolConfig.retrievalConfig` below `toolConfig`."""
    for path, value in extras.items():
        *above, name = path.split(".")
        place = body
        for each in above:
            place = place.setdefault(each, {})
        place[name] = value


def _tools(conversation: Conversation, losses: LossReport) -> list[dict[str, Any]]:
    functions: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for tool in conversation.tools:
        if isinstance(tool, ServerTool):
            if tool.dialect == DIALECT:
                others.append({tool.kind: tool.raw})
            else:  # only an offer: `_tool_config` refuses a choice that forces one
                losses.add(f"tools[].{tool.kind[:100]}", "dropped", "only its vendor runs it")
        else:
            functions.append(_declaration(tool, losses, is_native=conversation.dialect == DIALECT))
    return ([{"functionDeclarations": functions}] if functions else []) + others


def _declaration(tool: FunctionTool | CustomTool, losses: LossReport, *, is_native: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    if tool.cache is not None:
        losses.dropped("cache")
    if isinstance(tool, CustomTool):
        losses.add("tools", "emulated", "custom tool as a function")
        if tool.format is not None:
            losses.dropped("tools[].custom.format")
        found["parametersJsonSchema"] = {
            "type": "object",
            "properties": {"input": {"type": "string"}},
            "required": ["input"],
        }
        return found
    if tool.parameters is not None:
        found["parametersJsonSchema"] = tool.parameters
    if tool.is_strict:
        losses.dropped("tools[].strict")
    if is_native:
        found.update(tool.extras)
    return found


def _tool_config(conversation: Conversation, losses: LossReport) -> dict[str, Any]:
    choice = conversation.tool_choice
    if choice is None:
        return {}
    if choice.is_parallel is False:
        losses.dropped("is_parallel")
    callable_names = {tool.name for tool in conversation.tools if not isinstance(tool, ServerTool)}
    is_foreign = any(isinstance(tool, ServerTool) and tool.dialect != DIALECT for tool in conversation.tools)
    is_forced = choice.mode == "named" and choice.name not in callable_names
    if choice.raw is not None or (is_foreign and (is_forced or (choice.mode == "required" and not callable_names))):
        raise errors.UnsupportedFeature(
            "Gemini cannot be told to use one tool that the vendor runs.", param=losses.name_of("tool_choice")
        )
    if not callable_names:
        return {}
    return _calling(choice)


def _calling(choice: ToolChoice) -> dict[str, Any]:
    config: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        config["allowedFunctionNames"] = [choice.name]
    elif choice.allowed is not None and choice.mode != "none":
        if choice.mode == "auto":
            config["mode"] = "VALIDATED"  # AUTO takes no list of names
        config["allowedFunctionNames"] = choice.allowed
    return config


def _generation_config(conversation: Conversation, profile: Profile, losses: LossReport) -> dict[str, Any]:
    sampling = conversation.sampling
    config = _sampling(sampling, losses)
    if sampling.n > 1:
        if conversation.is_stream:
            raise errors.UnsupportedFeature("Gemini streams one candidate only.", param=losses.name_of("n"))
        config["candidateCount"] = sampling.n
    config.update(_output(conversation, profile, losses))
    if thinking := thinking_config(conversation, profile, losses):
        config["thinkingConfig"] = thinking
    if modalities := [name for name in conversation.modalities if name != "text"]:
        config["responseModalities"] = _modalities(conversation, modalities, losses)
    return config


def _modalities(conversation: Conversation, wanted: list[str], losses: LossReport) -> list[str]:
    is_native = conversation.dialect == DIALECT
    if not is_native and set(wanted) - {"image"}:
        raise errors.UnsupportedFeature(
            "Gemini speaks only with a speechConfig of its own.", param=losses.name_of("modalities")
        )
    return [_MODALITIES.get(name, name.upper()) for name in conversation.modalities]


def _sampling(sampling: Sampling, losses: LossReport) -> dict[str, Any]:
    said = (
        ("maxOutputTokens", sampling.max_output_tokens),
        ("topP", sampling.top_p),
        ("topK", sampling.top_k),
        ("seed", sampling.seed),
        ("presencePenalty", sampling.presence_penalty),
        ("frequencyPenalty", sampling.frequency_penalty),
    )
    config: dict[str, Any] = {name: value for name, value in said if value is not None}
    if sampling.temperature is not None:
        config["temperature"] = min(max(sampling.temperature, 0.0), _MAX_TEMPERATURE)
        if config["temperature"] != sampling.temperature:
            losses.add("temperature", "clamped", f"{config['temperature']:g}")
    if sampling.stop:
        config["stopSequences"] = sampling.stop[:_MAX_STOPS]
        if len(sampling.stop) > _MAX_STOPS:
            losses.add("stop", "clamped", f"the first {_MAX_STOPS}")
    config.update(_logprobs(sampling, losses))
    for name in _UNKNOWN:
        if getattr(sampling, name):
            losses.dropped(name)
    return config


def _logprobs(sampling: Sampling, losses: LossReport) -> dict[str, Any]:
    if not sampling.logprobs:
        return {}
    config: dict[str, Any] = {"responseLogprobs": True}
    if sampling.top_logprobs is not None:
        config["logprobs"] = min(sampling.top_logprobs, _MAX_TOP_LOGPROBS)
        if config["logprobs"] != sampling.top_logprobs:
            losses.add("top_logprobs", "clamped", str(_MAX_TOP_LOGPROBS))
    return config


def _output(conversation: Conversation, profile: Profile, losses: LossReport) -> dict[str, Any]:
    output = conversation.output
    if output is None or output.kind == "text":
        return {}
    has_functions = any(isinstance(tool, FunctionTool | CustomTool) for tool in conversation.tools)
    if has_functions and not profile.takes_json_output_with_tools and conversation.dialect != DIALECT:
        raise errors.UnsupportedFeature(
            "This model does not take a JSON output format and functions in one request.",
            param=losses.name_of("output"),
        )
    config: dict[str, Any] = {"responseMimeType": _JSON}
    if output.kind == "json_schema" and output.schema is not None:
        schema = output.schema
        if output.description and "description" not in schema:
            schema = {"description": output.description, **schema}
        config["responseJsonSchema"] = schema
    return config
