"""From the intermediate form to a chat completion request, for OpenAI and the vendors of its dialect.

Source: OpenAI API reference, "Create chat completion"; OpenRouter's `reasoning` object.
"""

import hashlib
from typing import Any, Final

import msgspec
from msgspec import structs

from intellirouter.core import Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT, custom_tool_schema
from intellirouter.dialects.adapt.json_merge import Layout
from intellirouter.dialects.adapt.reasoning_effort import effort_of
from intellirouter.dialects.ir import (
    Conversation,
    CustomTool,
    FunctionTool,
    OutputFormat,
    ReasoningConfig,
    ServerTool,
    ToolChoice,
)
from intellirouter.dialects.openai_chat.quirks import fit, instruct, json_instruction
from intellirouter.dialects.openai_chat.reasoning import DIALECT
from intellirouter.dialects.openai_chat.upstream_messages import OPENAI_VENDORS, MessageWriter, mark_cache

PATH: Final = "/chat/completions"
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_OTHER_TIERS: Final = {"standard_only": "default", "standard": "default"}
_MAX_STOPS: Final = 4
_NO_STOP_LIMIT: Final = frozenset({"ollama", "vllm", "llamacpp", "lmstudio", "host", "fake"})
_MAX_USER_CHARS: Final = 64
_COMMON_EFFORTS: Final = {"minimal": "low", "xhigh": "high", "max": "high"}
_NOT_OPENAI: Final = ("top_k", "min_p", "repetition_penalty")
_KNOBS: Final = (
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


def write_request(conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
    body = _Writer(conversation, deployment, losses).body()
    quirks = deployment.quirks
    if deployment.vendor in OPENAI_VENDORS and not quirks.has_developer_role:
        quirks = structs.replace(quirks, has_developer_role=True)
    fit(body, quirks, losses)
    return UpstreamRequest(path=PATH, body=msgspec.json.encode(body))


class _Writer:
    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._ask = conversation
        self._deployment = deployment
        self._losses = losses
        self._is_same = conversation.dialect == DIALECT
        self._is_openai = deployment.vendor in OPENAI_VENDORS
        self._has_custom = self._is_openai or self._is_same
        """Knows tools that take free text; others get a function of one text."""
        self._body: dict[str, Any] = {"model": deployment.upstream_model}

    def body(self) -> dict[str, Any]:
        body, ask = self._body, self._ask
        body["messages"] = MessageWriter(ask, self._deployment, self._losses).write(ask.messages)
        self._tools()
        if ask.output is not None:
            self._output(ask.output)
        if ask.reasoning is not None:
            self._reasoning(ask.reasoning)
        self._sampling()
        self._housekeeping()
        extras = ask.extras if self._is_same else {}
        if ask.is_stream:
            body["stream"] = True
            body["stream_options"] = {**(extras.get("stream_options") or {}), "include_usage": True}
        for name, value in extras.items():
            body.setdefault(name, value)
        return body

    def _tools(self) -> None:
        tools, choice = self._ask.tools, self._ask.tool_choice
        encoded = [made for tool in tools if (made := self._tool(tool)) is not None]
        if choice is not None and choice.allowed is not None and not (self._is_openai or self._is_same):
            encoded = [tool for tool in encoded if tool[tool["type"]].get("name") in choice.allowed]
            self._losses.add("tool_choice", "converted", "only the allowed tools are sent")
        if not encoded:
            if choice is not None and choice.mode in {"required", "named"}:
                raise self._unsupported("a tool choice without tools that it could take", "tool_choice")
            return
        self._body["tools"] = encoded
        if choice is None:
            return
        if (said := self._choice(choice)) is not None:
            self._body["tool_choice"] = said
        if choice.is_parallel is not None:
            self._body["parallel_tool_calls"] = choice.is_parallel

    def _tool(self, tool: FunctionTool | CustomTool | ServerTool) -> dict[str, Any] | None:
        match tool:
            case FunctionTool():
                return self._function(tool)
            case CustomTool():
                if not self._has_custom:
                    self._losses.add("tools", "emulated", f"free text is the argument {INPUT_ARGUMENT}")
                    return self._function(_as_function(tool))
                custom = {"name": tool.name, "description": tool.description, "format": tool.format}
                kept = {name: value for name, value in custom.items() if value}
                return {"type": "custom", "custom": kept | (tool.extras if self._is_same else {})}
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
        if tool.parameters is not None:
            function["parameters"] = tool.parameters
        elif not self._is_same:
            function["parameters"] = {"type": "object", "properties": {}}
        if tool.is_strict is not None:
            function["strict"] = tool.is_strict
        encoded: dict[str, Any] = {"type": "function", "function": function}
        if tool.cache is not None:
            mark_cache(encoded, tool.cache.ttl, self._deployment, self._losses, is_same=self._is_same)
        if self._is_same:
            function |= tool.extras
        return encoded

    def _choice(self, choice: ToolChoice) -> Any:
        if choice.raw is not None:
            if not self._is_same:
                raise self._unsupported("this choice of a tool that another vendor runs", "tool_choice")
            return choice.raw
        if choice.mode == "named":
            return self._named(choice.name)
        if choice.allowed is not None and (self._is_openai or self._is_same):
            mode = "required" if choice.mode == "required" else "auto"
            allowed = [self._named(name) for name in choice.allowed]
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
        return choice.mode

    def _named(self, name: str) -> dict[str, Any]:
        tool = next((tool for tool in self._ask.tools if not isinstance(tool, ServerTool) and tool.name == name), None)
        kind = "custom" if isinstance(tool, CustomTool) and self._has_custom else "function"
        return {"type": kind, kind: {"name": name}}

    def _output(self, output: OutputFormat) -> None:
        if output.kind == "json_object":
            self._body["response_format"] = {"type": "json_object"}
            # OpenAI refuses the format where no message speaks of JSON; other dialects have no such rule.
            if not self._is_same and b"json" not in msgspec.json.encode(self._body["messages"]).lower():
                instruct(self._body, json_instruction(None))
                self._losses.add("output", "converted", "an instruction was added")
        elif output.kind == "json_schema":
            schema: dict[str, Any] = {"name": output.name or "response", "schema": output.schema or {}}
            if output.description:
                schema["description"] = output.description
            if output.is_strict is not None:
                schema["strict"] = output.is_strict
            self._body["response_format"] = {"type": "json_schema", "json_schema": schema}

    def _reasoning(self, ask: ReasoningConfig) -> None:
        if self._is_same:
            if ask.effort and not isinstance(ask.client_members.get("reasoning"), dict):
                self._body["reasoning_effort"] = ask.effort
            self._body |= ask.client_members
            return
        if self._deployment.vendor == "openrouter":
            self._body["reasoning"] = _openrouter(ask)
            return
        effort = ask.effort
        if not effort and ask.budget_tokens is not None and ask.budget_tokens > 0 and ask.is_enabled is not False:
            effort = effort_of(ask.budget_tokens)
            self._losses.add("reasoning.budget_tokens", "converted", effort)
        elif effort in _COMMON_EFFORTS and not self._is_openai:
            effort = _COMMON_EFFORTS[effort]
            self._losses.add("reasoning.effort", "converted", effort)
        is_off = ask.is_enabled is False or ask.budget_tokens == 0
        if effort:
            self._body["reasoning_effort"] = effort
            if is_off and effort != "none":
                self._losses.add("reasoning", "converted", effort)
        elif is_off:
            # Only models that think take the member at all, and not all of those take `none`.
            self._losses.dropped("reasoning")
        elif ask.is_enabled or ask.is_adaptive or ask.budget_tokens is not None:
            self._losses.add("reasoning", "converted", "the model decides")
        # OpenAI's chat shows no thoughts, most other vendors show them unasked.
        if (ask.is_visible if ask.is_visible is not None else bool(ask.summary) or None) is self._is_openai:
            self._losses.dropped("reasoning.summary")

    def _sampling(self) -> None:
        body, sampling = self._body, self._ask.sampling
        if sampling.max_output_tokens is not None:
            body["max_completion_tokens" if self._is_openai else "max_tokens"] = sampling.max_output_tokens
        for name in _KNOBS:
            value = getattr(sampling, name)
            if value is None:
                continue
            if self._is_openai and name in _NOT_OPENAI:
                self._losses.dropped(name)
            else:
                body[name] = value
        if sampling.stop:
            if len(sampling.stop) > _MAX_STOPS and not self._is_same and self._deployment.vendor not in _NO_STOP_LIMIT:
                raise self._unsupported(f"more than {_MAX_STOPS} stop sequences", "stop")
            body["stop"] = sampling.stop
        if sampling.n > 1:
            body["n"] = sampling.n
        if sampling.verbosity:
            if self._is_openai or self._is_same:
                body["verbosity"] = sampling.verbosity
            else:
                self._losses.dropped("verbosity")

    def _housekeeping(self) -> None:
        ask, body = self._ask, self._body
        if ask.user:
            body["user"] = ask.user
            if len(ask.user) > _MAX_USER_CHARS and not self._is_same:
                body["user"] = hashlib.sha256(ask.user.encode()).hexdigest()
                self._losses.add("user", "converted", "its SHA-256")
        if ask.metadata is not None:
            if self._is_same:
                body["metadata"] = ask.metadata
            else:
                self._losses.dropped("metadata")  # OpenAI takes it for stored answers only
        if ask.service_tier:
            tier = _OTHER_TIERS.get(ask.service_tier, ask.service_tier)
            if self._is_same or (self._is_openai and tier in _TIERS):
                body["service_tier"] = tier
            else:
                self._losses.dropped("service_tier")
        if ask.cache_key and (self._is_openai or self._is_same):
            body["prompt_cache_key"] = ask.cache_key
        elif ask.cache_key:
            self._losses.dropped("cache_key")
        self._modalities()

    def _modalities(self) -> None:
        wanted = self._ask.modalities
        if not wanted or (wanted == ["text"] and not self._is_same):
            return
        if not self._is_same and (self._deployment.vendor != "openrouter" or "audio" in wanted):
            raise self._unsupported("answers that are not text", "modalities")
        self._body["modalities"] = wanted

    def _unsupported(self, what: str, field: str) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} ({self._deployment.vendor}) cannot take {what}.",
            param=self._losses.name_of(field),
        )


def _as_function(tool: CustomTool) -> FunctionTool:
    return FunctionTool(
        name=tool.name, description=tool.description, parameters=custom_tool_schema(tool), cache=tool.cache
    )


def _openrouter(ask: ReasoningConfig) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if ask.budget_tokens is not None and ask.budget_tokens > 0:
        said["max_tokens"] = ask.budget_tokens
    elif ask.effort:
        said["effort"] = ask.effort
    elif ask.is_enabled is not None or ask.is_adaptive:
        said["enabled"] = ask.is_enabled is not False
    if ask.is_visible is not None:
        said["exclude"] = not ask.is_visible
    return said
