"""Writes a conversation as the body of a request.

Schemas are sent as JSON Schema (`parametersJsonSchema`, `responseJsonSchema`), because the older `parameters` and
`responseSchema` do not accept `$schema`, `$ref` and `additionalProperties`.
"""

from typing import Any, Final
from urllib.parse import quote

from intellirouter.core import Deployment, LossReport, Profile, errors
from intellirouter.dialects.adapt.cache_marks import has_marks
from intellirouter.dialects.adapt.json_merge import Layout
from intellirouter.dialects.adapt.object_schema import object_schema
from intellirouter.dialects.adapt.stop_sequences import GEMINI_STOPS, usable_stops
from intellirouter.dialects.gemini.resources import resource_name
from intellirouter.dialects.gemini.upstream_contents import ContentWriter
from intellirouter.dialects.gemini.upstream_reasoning import thinking_config
from intellirouter.dialects.gemini.wire import DIALECT, camel
from intellirouter.dialects.ir import Conversation, CustomTool, FunctionTool, Sampling, ServerTool, ToolChoice

_MAX_SEED: Final = 2**31 - 1
_MAX_TEMPERATURE: Final = 2.0
_MAX_TOP_LOGPROBS: Final = 20
_JSON: Final = "application/json"
_MODES: Final = {"none": "NONE", "auto": "AUTO", "required": "ANY", "named": "ANY"}
_MODALITIES: Final = {"text": "TEXT", "image": "IMAGE", "audio": "AUDIO"}
_UNSUPPORTED_SAMPLING: Final = ("min_p", "repetition_penalty", "logit_bias", "verbosity")
"""Sampling parameters that the dialect does not have."""


LAYOUT: Final = Layout(member_name=camel, as_list=lambda value: [value], containers=frozenset({"generationConfig"}))
"""A list with one item may also be written as the item."""


def method_path(deployment: Deployment, method: str) -> str:
    """Return the path of a method of the deployment's model."""
    collection, _, name = resource_name(deployment.upstream_model).partition("/")
    return f"/{collection}/{quote(name, safe='')}:{method}"


def request_body(conversation: Conversation, deployment: Deployment, losses: LossReport) -> dict[str, Any]:
    """Write the request's body. Raises `UnsupportedFeature`."""
    system, contents = ContentWriter(conversation, deployment, losses).write()
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    if conversation.tools:
        tools, config = _write_tools(conversation, losses), _write_tool_choice(conversation, losses)
        if tools:
            body["tools"] = tools
        if config:
            body["toolConfig"] = {"functionCallingConfig": config}
    if config := _write_generation_config(conversation, deployment.profile, losses):
        body["generationConfig"] = config
    _report_unsupported(conversation, losses)
    if conversation.dialect == DIALECT:
        _restore_extras(conversation.extras, body)
    return body


def _report_unsupported(conversation: Conversation, losses: LossReport) -> None:
    if has_marks(conversation):
        losses.dropped("cache")
    for name in ("user", "metadata", "service_tier", "cache_key"):
        if getattr(conversation, name):
            losses.dropped(name)


def _restore_extras(extras: dict[str, Any], body: dict[str, Any]) -> None:
    """Add the members that only this dialect has at their path, such as `toolConfig.retrievalConfig`."""
    for path, value in extras.items():
        *parents, name = path.split(".")
        target = body
        for parent in parents:
            target = target.setdefault(parent, {})
        target[name] = value


def _write_tools(conversation: Conversation, losses: LossReport) -> list[dict[str, Any]]:
    functions: list[dict[str, Any]] = []
    server_tools: list[dict[str, Any]] = []
    for tool in conversation.tools:
        if isinstance(tool, ServerTool):
            if tool.dialect == DIALECT:
                server_tools.append({tool.kind: tool.raw})
            else:  # `_write_tool_choice` rejects a choice that forces one
                losses.add(f"tools[].{tool.kind[:100]}", "dropped", "only its vendor runs it")
        else:
            functions.append(_write_function(tool, losses, is_same_dialect=conversation.dialect == DIALECT))
    return ([{"functionDeclarations": functions}] if functions else []) + server_tools


def _write_function(tool: FunctionTool | CustomTool, losses: LossReport, *, is_same_dialect: bool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if isinstance(tool, CustomTool):
        losses.add("tools", "emulated", "free text sent as argument input")
        if tool.format is not None:
            losses.dropped("tools[].custom.format")
        function["parametersJsonSchema"] = {
            "type": "object",
            "properties": {"input": {"type": "string"}},
            "required": ["input"],
        }
        return function
    if tool.parameters is not None:
        function["parametersJsonSchema"] = (
            tool.parameters if is_same_dialect or not tool.parameters else object_schema(tool.parameters, losses)
        )
    if tool.is_strict:
        losses.dropped("tools[].strict")
    if is_same_dialect:
        function.update(tool.extras)
    return function


def _write_tool_choice(conversation: Conversation, losses: LossReport) -> dict[str, Any]:
    choice = conversation.tool_choice
    if choice is None:
        return {}
    if choice.is_parallel is False:
        losses.dropped("is_parallel")
    function_names = {tool.name for tool in conversation.tools if not isinstance(tool, ServerTool)}
    has_foreign_tools = any(isinstance(tool, ServerTool) and tool.dialect != DIALECT for tool in conversation.tools)
    forces_unknown_tool = choice.mode == "named" and choice.name not in function_names
    forces_foreign_tool = forces_unknown_tool or (choice.mode == "required" and not function_names)
    if choice.raw is not None or (has_foreign_tools and forces_foreign_tool):
        raise errors.UnsupportedFeature(
            "Gemini does not support forcing a tool that a vendor runs.", param=losses.name_of("tool_choice")
        )
    if not function_names:
        return {}
    return _write_calling_config(choice)


def _write_calling_config(choice: ToolChoice) -> dict[str, Any]:
    config: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        config["allowedFunctionNames"] = [choice.name]
    elif choice.allowed is not None and choice.mode != "none":
        if choice.mode == "auto":
            config["mode"] = "VALIDATED"  # AUTO does not support a list of names
        config["allowedFunctionNames"] = choice.allowed
    return config


def _write_generation_config(conversation: Conversation, profile: Profile, losses: LossReport) -> dict[str, Any]:
    sampling = conversation.sampling
    config = _write_sampling(sampling, losses)
    if sampling.n > 1:
        if conversation.is_stream:
            raise errors.UnsupportedFeature("Gemini streams only one candidate.", param=losses.name_of("n"))
        config["candidateCount"] = sampling.n
    config.update(_write_output(conversation, profile, losses))
    if thinking := thinking_config(conversation, profile, losses):
        config["thinkingConfig"] = thinking
    if modalities := [name for name in conversation.modalities if name != "text"]:
        config["responseModalities"] = _write_modalities(conversation, modalities, losses)
    return config


def _write_modalities(conversation: Conversation, requested: list[str], losses: LossReport) -> list[str]:
    is_same_dialect = conversation.dialect == DIALECT
    if not is_same_dialect and set(requested) - {"image"}:
        raise errors.UnsupportedFeature(
            "Gemini generates audio and video only for requests in the Gemini dialect.",
            param=losses.name_of("modalities"),
        )
    return [_MODALITIES.get(name, name.upper()) for name in conversation.modalities]


def _write_seed(seed: int | None, losses: LossReport) -> int | None:
    """Return the seed as a signed integer of 32 bits. Equal seeds stay equal."""
    if seed is None or abs(seed) <= _MAX_SEED:
        return seed
    losses.add("seed", "converted", str(seed % (_MAX_SEED + 1)))
    return seed % (_MAX_SEED + 1)


def _write_sampling(sampling: Sampling, losses: LossReport) -> dict[str, Any]:
    values = (
        ("maxOutputTokens", sampling.max_output_tokens),
        ("topP", sampling.top_p),
        ("topK", sampling.top_k),
        ("seed", _write_seed(sampling.seed, losses)),
        ("presencePenalty", sampling.presence_penalty),
        ("frequencyPenalty", sampling.frequency_penalty),
    )
    config: dict[str, Any] = {name: value for name, value in values if value is not None}
    if sampling.temperature is not None:
        config["temperature"] = min(max(sampling.temperature, 0.0), _MAX_TEMPERATURE)
        if config["temperature"] != sampling.temperature:
            losses.add("temperature", "clamped", f"{config['temperature']:g}")
    if stop := usable_stops(sampling.stop, losses, max_count=GEMINI_STOPS):
        config["stopSequences"] = stop
    config.update(_write_logprobs(sampling, losses))
    for name in _UNSUPPORTED_SAMPLING:
        if getattr(sampling, name):
            losses.dropped(name)
    return config


def _write_logprobs(sampling: Sampling, losses: LossReport) -> dict[str, Any]:
    if not sampling.logprobs:
        return {}
    config: dict[str, Any] = {"responseLogprobs": True}
    if sampling.top_logprobs is not None:
        config["logprobs"] = min(sampling.top_logprobs, _MAX_TOP_LOGPROBS)
        if config["logprobs"] != sampling.top_logprobs:
            losses.add("top_logprobs", "clamped", str(_MAX_TOP_LOGPROBS))
    return config


def _write_output(conversation: Conversation, profile: Profile, losses: LossReport) -> dict[str, Any]:
    output = conversation.output
    if output is None or output.kind == "text":
        return {}
    has_functions = any(isinstance(tool, FunctionTool | CustomTool) for tool in conversation.tools)
    if has_functions and not profile.takes_json_output_with_tools and conversation.dialect != DIALECT:
        raise errors.UnsupportedFeature(
            "This model does not support JSON output and functions in the same request.",
            param=losses.name_of("output"),
        )
    config: dict[str, Any] = {"responseMimeType": _JSON}
    if output.kind == "json_schema" and output.schema is not None:
        schema = output.schema
        if output.description and "description" not in schema:
            schema = {"description": output.description, **schema}
        config["responseJsonSchema"] = schema
    return config
