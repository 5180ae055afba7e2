"""Encoding of conversations as chat completion requests, for OpenAI and other upstreams of its dialect.

Source: OpenAI API reference, "Create chat completion"; OpenRouter's `reasoning` object.
"""

import hashlib
from typing import Any, Final

from msgspec import structs

from intellirouter.core import Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT, custom_tool_schema
from intellirouter.dialects.adapt.json_merge import Layout
from intellirouter.dialects.adapt.object_schema import object_schema, with_properties
from intellirouter.dialects.adapt.reasoning_effort import effort_of
from intellirouter.dialects.adapt.stop_sequences import max_chat_stops, usable_stops
from intellirouter.dialects.adapt.tool_names import output_name
from intellirouter.dialects.ir import (
    Conversation,
    CustomTool,
    FunctionTool,
    OutputFormat,
    ReasoningConfig,
    ServerTool,
    ToolChoice,
)
from intellirouter.dialects.openai.reasoning_effort import accepted_effort, cannot_reason
from intellirouter.dialects.openai.sampling import remove_refused
from intellirouter.dialects.openai.strict_schema import json_instruction, strictness, takes_output_schema
from intellirouter.dialects.openai_chat.quirks import add_instruction, apply_quirks
from intellirouter.dialects.openai_chat.reasoning import DIALECT
from intellirouter.dialects.openai_chat.upstream_messages import OPENAI_VENDORS, MessageWriter, mark_cache
from intellirouter.dialects.wire.json_encode import encode_document

PATH: Final = "/chat/completions"
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_OTHER_TIERS: Final = {"standard_only": "default", "standard": "default"}
_MAX_USER_CHARS: Final = 64
_COMMON_EFFORTS: Final = {"minimal": "low", "xhigh": "high", "max": "high"}
_NOT_OPENAI: Final = ("top_k", "min_p", "repetition_penalty")
_PARAMETERS: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)
LAYOUT: Final = Layout(
    synonyms={
        "max_completion_tokens": ("max_tokens",),
        "max_tokens": ("max_completion_tokens",),
        "tools": ("functions",),
        "tool_choice": ("function_call",),
        "reasoning_effort": ("reasoning", "thinking", "enable_thinking", "thinking_budget"),
        "user": ("safety_identifier",),
    }
)


def encode_request(conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
    body = _Writer(conversation, deployment, losses).body()
    quirks = deployment.quirks
    if deployment.vendor in OPENAI_VENDORS and not quirks.has_developer_role:
        quirks = structs.replace(quirks, has_developer_role=True)
    apply_quirks(body, quirks, losses)
    return UpstreamRequest(path=PATH, body=encode_document(body))


class _Writer:
    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._conversation = conversation
        self._deployment = deployment
        self._losses = losses
        self._is_same_dialect = conversation.dialect == DIALECT
        self._is_openai = deployment.vendor in OPENAI_VENDORS
        self._has_custom_tools = self._is_openai or self._is_same_dialect
        """Whether the upstream has custom tools. Otherwise they are sent as functions."""
        self._body: dict[str, Any] = {"model": deployment.upstream_model}

    def body(self) -> dict[str, Any]:
        body, conversation = self._body, self._conversation
        body["messages"] = MessageWriter(conversation, self._deployment, self._losses).write(conversation.messages)
        self._tools()
        if conversation.output is not None:
            self._output(conversation.output)
        if conversation.reasoning is not None:
            self._reasoning(conversation.reasoning)
        self._sampling()
        if not self._is_same_dialect:
            remove_refused(body, self._deployment.profile, body.get("reasoning_effort", ""), self._losses)
        self._other_settings()
        extras = conversation.extras if self._is_same_dialect else {}
        if conversation.is_stream:
            body["stream"] = True
            body["stream_options"] = {**(extras.get("stream_options") or {}), "include_usage": True}
        for name, value in extras.items():
            body.setdefault(name, value)
        return body

    def _tools(self) -> None:
        tools, choice = self._conversation.tools, self._conversation.tool_choice
        encoded = [each for tool in tools if (each := self._tool(tool)) is not None]
        if choice is not None and choice.allowed is not None and not (self._is_openai or self._is_same_dialect):
            encoded = [tool for tool in encoded if tool[tool["type"]].get("name") in choice.allowed]
            self._losses.add("tool_choice", "converted", "only the allowed tools are sent")
        if not encoded:
            if choice is not None and choice.mode in {"required", "named"}:
                raise self._unsupported("a tool choice without a tool that it allows", "tool_choice")
            return
        self._body["tools"] = encoded
        if choice is None:
            return
        if (encoded_choice := self._choice(choice)) is not None:
            self._body["tool_choice"] = encoded_choice
        if choice.is_parallel is not None:
            self._body["parallel_tool_calls"] = choice.is_parallel

    def _tool(self, tool: FunctionTool | CustomTool | ServerTool) -> dict[str, Any] | None:
        match tool:
            case FunctionTool():
                return self._function(tool)
            case CustomTool():
                if not self._has_custom_tools:
                    self._losses.add("tools", "emulated", f"free text sent as argument {INPUT_ARGUMENT}")
                    return self._function(_as_function(tool))
                custom = {"name": tool.name, "description": tool.description, "format": tool.format}
                members = {name: value for name, value in custom.items() if value}
                return {"type": "custom", "custom": members | (tool.extras if self._is_same_dialect else {})}
            case _:
                if tool.dialect == DIALECT and isinstance(tool.raw, dict):
                    raw: dict[str, Any] = tool.raw
                    return raw
                self._losses.dropped(f"tools[].{tool.kind}")
                return None

    def _function(self, tool: FunctionTool) -> dict[str, Any]:
        function: dict[str, Any] = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        if not self._is_same_dialect:
            function["parameters"] = with_properties(object_schema(tool.parameters, self._losses))
        elif tool.parameters is not None:
            function["parameters"] = tool.parameters
        is_strict = tool.is_strict
        if self._is_openai:
            parameters = function.get("parameters")
            is_strict = strictness(tool, parameters, self._conversation.dialect, self._losses)
        if is_strict is not None:
            function["strict"] = is_strict
        encoded: dict[str, Any] = {"type": "function", "function": function}
        if tool.cache is not None:
            mark_cache(encoded, tool.cache.ttl, self._deployment, self._losses, is_same_dialect=self._is_same_dialect)
        if self._is_same_dialect:
            function |= tool.extras
        return encoded

    def _choice(self, choice: ToolChoice) -> Any:
        if choice.raw is not None:
            if not self._is_same_dialect:
                raise self._unsupported("the choice of a tool that another vendor runs", "tool_choice")
            return choice.raw
        if choice.mode == "named":
            return self._tool_reference(choice.name)
        if choice.allowed is not None and (self._is_openai or self._is_same_dialect):
            mode = "required" if choice.mode == "required" else "auto"
            allowed = [self._tool_reference(name) for name in choice.allowed]
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
        return choice.mode

    def _tool_reference(self, name: str) -> dict[str, Any]:
        named = (tool for tool in self._conversation.tools if not isinstance(tool, ServerTool) and tool.name == name)
        tool = next(named, None)
        kind = "custom" if isinstance(tool, CustomTool) and self._has_custom_tools else "function"
        return {"type": kind, kind: {"name": name}}

    def _output(self, output: OutputFormat) -> None:
        if output.kind == "json_object":
            self._body["response_format"] = {"type": "json_object"}
            # OpenAI rejects the format unless a message contains "JSON". Other dialects have no such rule.
            if not self._is_same_dialect and b"json" not in encode_document(self._body["messages"]).lower():
                add_instruction(self._body, json_instruction(None))
                self._losses.add("output", "converted", "instruction in the system prompt")
        elif self._is_openai and not takes_output_schema(output.schema, self._conversation.dialect):
            add_instruction(self._body, json_instruction(output.schema))
            self._losses.add("output", "converted", "instruction in the system prompt")
        elif output.kind == "json_schema":
            name = output.name if self._is_same_dialect else output_name(output.name, "response")
            schema: dict[str, Any] = {"name": name or "response", "schema": output.schema or {}}
            if output.description:
                schema["description"] = output.description
            if output.is_strict is not None:
                schema["strict"] = output.is_strict
            self._body["response_format"] = {"type": "json_schema", "json_schema": schema}

    def _reasoning(self, config: ReasoningConfig) -> None:
        if self._is_same_dialect:
            if config.effort and not isinstance(config.client_members.get("reasoning"), dict):
                self._body["reasoning_effort"] = config.effort
            self._body |= config.client_members
            return
        if self._deployment.vendor == "openrouter":
            self._body["reasoning"] = _openrouter_reasoning(config)
            return
        if self._is_openai and cannot_reason(config, self._deployment.profile, self._losses):
            return
        effort, budget = config.effort, config.budget_tokens
        if not effort and budget is not None and budget > 0 and config.is_enabled is not False:
            effort = effort_of(budget)
            self._losses.add("reasoning.budget_tokens", "converted", effort)
        elif effort in _COMMON_EFFORTS and not self._is_openai:
            effort = _COMMON_EFFORTS[effort]
            self._losses.add("reasoning.effort", "converted", effort)
        is_off = config.is_enabled is False or budget == 0
        effort = self._accepted_effort(effort, is_off=is_off)
        if effort:
            self._body["reasoning_effort"] = effort
            if is_off and effort != "none":
                self._losses.add("reasoning", "converted", effort)
        elif is_off:
            # Only reasoning models accept `reasoning_effort`, and not all of them accept `none`.
            self._losses.dropped("reasoning")
        elif config.is_enabled or config.is_adaptive or budget is not None:
            self._losses.add("reasoning", "converted", "the model decides")
        # OpenAI's chat API never returns reasoning; most other vendors always do.
        if (config.is_visible if config.is_visible is not None else bool(config.summary) or None) is self._is_openai:
            self._losses.dropped("reasoning.summary")

    def _accepted_effort(self, effort: str, *, is_off: bool) -> str:
        """Return the effort that OpenAI's model accepts; for other vendors and unknown models, the same one."""
        profile = self._deployment.profile
        if not self._is_openai or not profile.efforts:
            return effort
        return accepted_effort("none" if is_off else effort, profile, self._losses)

    def _sampling(self) -> None:
        body, sampling = self._body, self._conversation.sampling
        if sampling.max_output_tokens is not None:
            body["max_completion_tokens" if self._is_openai else "max_tokens"] = sampling.max_output_tokens
        for name in _PARAMETERS:
            value = getattr(sampling, name)
            if value is None:
                continue
            if self._is_openai and name in _NOT_OPENAI:
                self._losses.dropped(name)
            else:
                body[name] = value
        limit = None if self._is_same_dialect else max_chat_stops(self._deployment.vendor)
        if stop := usable_stops(sampling.stop, self._losses, max_count=limit):
            body["stop"] = stop
        if sampling.n > 1:
            body["n"] = sampling.n
        if sampling.verbosity:
            if self._is_openai or self._is_same_dialect:
                body["verbosity"] = sampling.verbosity
            else:
                self._losses.dropped("verbosity")

    def _other_settings(self) -> None:
        conversation, body = self._conversation, self._body
        if conversation.user:
            body["user"] = conversation.user
            if len(conversation.user) > _MAX_USER_CHARS and not self._is_same_dialect:
                body["user"] = hashlib.sha256(conversation.user.encode()).hexdigest()
                self._losses.add("user", "converted", "its SHA-256")
        if conversation.metadata is not None:
            if self._is_same_dialect:
                body["metadata"] = conversation.metadata
            else:
                self._losses.dropped("metadata")  # OpenAI only accepts it for stored completions.
        if conversation.service_tier:
            tier = _OTHER_TIERS.get(conversation.service_tier, conversation.service_tier)
            if self._is_same_dialect or (self._is_openai and tier in _TIERS):
                body["service_tier"] = tier
            else:
                self._losses.dropped("service_tier")
        if conversation.cache_key and (self._is_openai or self._is_same_dialect):
            body["prompt_cache_key"] = conversation.cache_key
        elif conversation.cache_key:
            self._losses.dropped("cache_key")
        self._modalities()

    def _modalities(self) -> None:
        modalities = self._conversation.modalities
        if not modalities or (modalities == ["text"] and not self._is_same_dialect):
            return
        if not self._is_same_dialect and (self._deployment.vendor != "openrouter" or "audio" in modalities):
            raise self._unsupported("answers other than text", "modalities")
        self._body["modalities"] = modalities

    def _unsupported(self, what: str, field: str) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} ({self._deployment.vendor}) does not support {what}.",
            param=self._losses.name_of(field),
        )


def _as_function(tool: CustomTool) -> FunctionTool:
    return FunctionTool(
        name=tool.name, description=tool.description, parameters=custom_tool_schema(tool), cache=tool.cache
    )


def _openrouter_reasoning(config: ReasoningConfig) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    if config.budget_tokens is not None and config.budget_tokens > 0:
        encoded["max_tokens"] = config.budget_tokens
    elif config.effort:
        encoded["effort"] = config.effort
    elif config.is_enabled is not None or config.is_adaptive:
        encoded["enabled"] = config.is_enabled is not False
    if config.is_visible is not None:
        encoded["exclude"] = not config.is_visible
    return encoded
