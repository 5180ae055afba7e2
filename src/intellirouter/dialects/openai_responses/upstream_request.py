"""Encodes requests to an upstream: `POST /responses`."""

import hashlib
from typing import Any, Final

from intellirouter.core import UNKNOWN_PROFILE, Deployment, LossReport, Profile, UpstreamRequest, errors
from intellirouter.dialects.adapt.cache_marks import has_marks
from intellirouter.dialects.adapt.json_merge import Layout
from intellirouter.dialects.adapt.tool_names import output_name
from intellirouter.dialects.ir import (
    Conversation,
    CustomTool,
    OutputFormat,
    ReasoningConfig,
    Text,
    ToolChoice,
)
from intellirouter.dialects.openai.reasoning_effort import accepted_effort, cannot_reason
from intellirouter.dialects.openai.sampling import remove_refused
from intellirouter.dialects.openai.strict_schema import json_instruction, takes_output_schema
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.upstream_input import InputWriter, namespaced_tools, write_tools
from intellirouter.dialects.wire.json_encode import encode_document

PATH: Final = "/responses"
_UNSUPPORTED_PARAMETERS: Final = (
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "top_k",
    "min_p",
)
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_MIN_OUTPUT_TOKENS: Final = 16
"""The API rejects lower limits."""
_MAX_USER_CHARS: Final = 64
_MAX_NAME_CHARS: Final = 64
_MAX_METADATA: Final = 16
_MAX_METADATA_CHARS: Final = 512
_EFFORT_BY_BUDGET: Final = ((1, "none"), (2049, "low"), (16385, "medium"))
"""The effort for a reasoning budget below the number of tokens; `high` for larger budgets."""
_INCLUDE_TOKENS: Final = "reasoning.encrypted_content"
_INCLUDE_LOGPROBS: Final = "message.output_text.logprobs"


def _as_items(value: Any) -> list[Any] | None:
    return [{"type": "message", "role": "user", "content": value}] if isinstance(value, str) else None


LAYOUT: Final = Layout(
    containers=frozenset({"text"}),
    as_list=_as_items,
    synonyms={"input": ("instructions",), "user": ("safety_identifier",)},
)


def encode_request(conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
    body = _write_body(conversation, deployment, losses)
    for name in deployment.quirks.refuses & body.keys():
        del body[name]
        losses.dropped(name)
    for name, upstream_name in deployment.quirks.renames:
        if name in body:
            body[upstream_name] = body.pop(name)
    return UpstreamRequest(path=PATH, body=encode_document(body))


def _write_body(conversation: Conversation, deployment: Deployment, losses: LossReport) -> dict[str, Any]:
    if conversation.sampling.n > 1:
        raise errors.UnsupportedFeature(
            f"{deployment.name} uses OpenAI's Responses API, which returns only one choice. Set n to 1.",
            param=losses.name_of("n"),
        )
    if not set(conversation.modalities) <= {"text"}:
        raise errors.UnsupportedFeature(
            f"{deployment.name} uses OpenAI's Responses API, which returns only text.",
            param=losses.name_of("modalities"),
        )
    items = InputWriter(conversation, deployment, losses).write(conversation.messages)
    if not items:
        items = [{"type": "message", "role": "user", "content": ""}]
        losses.add("messages", "converted", "a placeholder user message was added")
    body: dict[str, Any] = {"model": deployment.upstream_model, "input": items, "store": False}
    if conversation.is_stream:
        body["stream"] = True
    _write_tools_and_choice(body, conversation, losses)
    _write_sampling(body, conversation, deployment, losses)
    profile = deployment.profile if conversation.dialect != DIALECT else UNKNOWN_PROFILE
    _write_reasoning(body, conversation.reasoning, profile, losses)
    _finish_sampling(body, conversation, deployment, losses)
    _write_output(body, conversation, deployment, losses)
    _write_identity(body, conversation, losses)
    if conversation.dialect == DIALECT:
        _write_extras(body, conversation.extras)
    elif has_marks(conversation):
        losses.add("cache", "converted", "automatic caching")
    return body


def _write_tools_and_choice(body: dict[str, Any], conversation: Conversation, losses: LossReport) -> None:
    tools = write_tools(conversation, losses)
    choice = conversation.tool_choice
    if tools:
        body["tools"] = tools
    if choice is None:
        return
    if choice.is_parallel is not None and tools:
        body["parallel_tool_calls"] = choice.is_parallel
    value = _write_tool_choice(choice, conversation)
    is_forced = choice.mode in {"required", "named"}
    if value is None or (is_forced and conversation.tools and not tools):
        raise errors.UnsupportedFeature(
            "OpenAI's Responses API has no equivalent of the forced tool, which only its vendor runs.",
            param=losses.name_of("tool_choice"),
        )
    if tools:
        body["tool_choice"] = value


def _write_tool_choice(choice: ToolChoice, conversation: Conversation) -> str | dict[str, Any] | None:
    """Return `tool_choice`; None if it names a tool that only another vendor runs."""
    if choice.raw is not None:
        if conversation.dialect == DIALECT:
            raw: dict[str, Any] = choice.raw
            return raw
        if choice.mode == "named":
            return None
    if choice.mode == "named":
        return _tool_reference(choice.name, conversation)
    if choice.allowed is not None and choice.mode != "none":
        tools = [_tool_reference(name, conversation) for name in choice.allowed]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
    return choice.mode


def _tool_reference(name: str, conversation: Conversation) -> dict[str, Any]:
    is_custom = any(isinstance(tool, CustomTool) and tool.name == name for tool in conversation.tools)
    reference = {"type": "custom" if is_custom else "function", "name": name}
    namespaces = namespaced_tools(conversation) if conversation.dialect == DIALECT else {}
    if name in namespaces:
        reference["namespace"] = namespaces[name][0]
    return reference


def _write_sampling(
    body: dict[str, Any], conversation: Conversation, deployment: Deployment, losses: LossReport
) -> None:
    sampling = conversation.sampling
    for name in _UNSUPPORTED_PARAMETERS:
        if getattr(sampling, name) not in (None, []):
            losses.dropped(name)
    for name in ("max_output_tokens", "temperature", "top_p", "top_logprobs"):
        if (value := getattr(sampling, name)) is not None:
            body[name] = value
    if sampling.max_output_tokens is not None and sampling.max_output_tokens < _MIN_OUTPUT_TOKENS:
        body["max_output_tokens"] = _MIN_OUTPUT_TOKENS
        losses.add("max_output_tokens", "clamped", str(_MIN_OUTPUT_TOKENS))
    limit = deployment.quirks.max_temperature
    if limit is not None and sampling.temperature is not None and sampling.temperature > limit:
        body["temperature"] = limit
        losses.add("temperature", "clamped", str(limit))
    if sampling.verbosity:
        body.setdefault("text", {})["verbosity"] = sampling.verbosity
    if sampling.logprobs:
        body["logprobs"] = True  # `_finish_sampling` writes it


def _finish_sampling(
    body: dict[str, Any], conversation: Conversation, deployment: Deployment, losses: LossReport
) -> None:
    """Remove what the model refuses, which depends on its reasoning, and ask for log probabilities if they remain."""
    if conversation.dialect != DIALECT:
        remove_refused(body, deployment.profile, body.get("reasoning", {}).get("effort", ""), losses)
    if body.pop("logprobs", False):
        body["include"] = [_INCLUDE_LOGPROBS, *body.get("include", [])]


def _write_reasoning(
    body: dict[str, Any], reasoning: ReasoningConfig | None, profile: Profile, losses: LossReport
) -> None:
    if reasoning is None or cannot_reason(reasoning, profile, losses):
        return
    is_enabled = reasoning.is_enabled or reasoning.is_adaptive or reasoning.budget_tokens is not None
    effort = "none" if reasoning.is_enabled is False else reasoning.effort
    if not effort and reasoning.budget_tokens is not None and reasoning.budget_tokens >= 0:
        effort = next((effort for limit, effort in _EFFORT_BY_BUDGET if reasoning.budget_tokens < limit), "high")
        losses.add("reasoning.budget_tokens", "converted", effort)
    effort = accepted_effort(effort, profile, losses)
    config: dict[str, Any] = {"effort": effort} if effort else {}
    summary = reasoning.summary or ("auto" if reasoning.is_visible else "")
    if summary and effort != "none":
        config["summary"] = summary
    if not effort and is_enabled:
        losses.add("reasoning", "converted", "the model decides")
    if not config and not is_enabled:
        return
    if config:
        body["reasoning"] = config
    if effort != "none":
        body.setdefault("include", []).append(_INCLUDE_TOKENS)


def _write_output(body: dict[str, Any], conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
    output = conversation.output
    if output is None or output.kind == "text":
        return
    supported = deployment.quirks.structured_output
    if supported == "none" or (output.kind == "json_schema" and supported != "json_schema"):
        raise errors.UnsupportedFeature(
            f"{deployment.name} does not support the output format {output.kind}.", param=losses.name_of("output")
        )
    if not takes_output_schema(output.schema, conversation.dialect):
        body["input"].append({"type": "message", "role": "system", "content": json_instruction(output.schema)})
        losses.add("output", "converted", "instruction in a system message")
        return
    body.setdefault("text", {})["format"] = _write_format(output)
    if output.kind == "json_object" and not _mentions_json(conversation):
        # The API rejects JSON mode unless the input contains the word JSON.
        body["input"].append({"type": "message", "role": "system", "content": "Answer with one JSON object."})
        losses.add("output", "converted", "instruction in a system message")


def _write_format(output: OutputFormat) -> dict[str, Any]:
    if output.kind == "json_object":
        return {"type": "json_object"}
    name = output_name(output.name, "answer")
    written: dict[str, Any] = {"type": "json_schema", "name": name, "schema": output.schema or {}}
    if output.description:
        written["description"] = output.description
    if output.is_strict is not None:
        written["strict"] = output.is_strict
    return written


def _mentions_json(conversation: Conversation) -> bool:
    return any(
        isinstance(part, Text) and "json" in part.text.lower()
        for message in conversation.messages
        for part in message.parts
    )


def _write_identity(body: dict[str, Any], conversation: Conversation, losses: LossReport) -> None:
    if conversation.user:
        body["user"] = _hash_if_long("user", conversation.user, losses)
    if conversation.cache_key:
        body["prompt_cache_key"] = _hash_if_long("cache_key", conversation.cache_key, losses)
    if conversation.service_tier:
        if conversation.service_tier in _TIERS or conversation.dialect == DIALECT:
            body["service_tier"] = conversation.service_tier
        else:
            losses.dropped("service_tier")
    if conversation.metadata:
        metadata = {
            name: value
            for name, value in conversation.metadata.items()
            if isinstance(value, str) and len(value) <= _MAX_METADATA_CHARS and len(name) <= _MAX_NAME_CHARS
        }
        metadata = dict(list(metadata.items())[:_MAX_METADATA])
        if metadata:
            body["metadata"] = metadata
        if len(metadata) < len(conversation.metadata):
            losses.add("metadata", "clamped", f"at most {_MAX_METADATA} short strings")


def _hash_if_long(field: str, value: str, losses: LossReport) -> str:
    if len(value) <= _MAX_USER_CHARS:
        return value
    losses.add(field, "converted", "its SHA-256")
    return hashlib.sha256(value.encode()).hexdigest()


def _write_extras(body: dict[str, Any], extras: dict[str, Any]) -> None:
    """Write the members that only this dialect has. Names such as `text.x` and `reasoning.x` are paths."""
    for name, value in extras.items():
        outer, dot, inner = name.partition(".")
        if dot and outer in {"text", "reasoning", "stream_options"}:
            body.setdefault(outer, {})[inner] = value
        elif name == "include" and isinstance(value, list):
            body["include"] = [*body.get("include", []), *value]
        else:
            body[name] = value
