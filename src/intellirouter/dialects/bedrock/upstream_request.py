"""Writes a conversation as the body of a request for Converse or ConverseStream.

For Claude, the rules for reasoning are the same as in Anthropic's API, so they are imported from that package.

Source: AWS, Bedrock Runtime API reference ("Converse", "ConverseStream", "CountTokens") and user guide.
"""

import re
from typing import Any, Final

import msgspec

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.adapt.cache_marks import limit_mark_blocks
from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT, custom_tool_schema
from intellirouter.dialects.adapt.stop_sequences import usable_stops
from intellirouter.dialects.adapt.tool_names import output_name
from intellirouter.dialects.anthropic_messages.upstream_reasoning import (
    ReasoningConstraints,
    ReasoningSettings,
    is_disabled,
    translated_settings,
)
from intellirouter.dialects.anthropic_messages.upstream_schema import StrictBudget, strict_schema
from intellirouter.dialects.anthropic_messages.upstream_tools import tool_schema
from intellirouter.dialects.bedrock.upstream_content import Block, ContentWriter, cache_point, finish_turns
from intellirouter.dialects.ir import (
    Conversation,
    CustomTool,
    FunctionTool,
    OutputFormat,
    ReasoningConfig,
    ServerTool,
    Tool,
    ToolCall,
    ToolResult,
)

_TIERS: Final = frozenset({"priority", "default", "flex", "reserved"})
_EFFORT_LEVELS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_VALID_METADATA: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
_MAX_METADATA_ENTRIES: Final = 16
_ANY_OBJECT_SCHEMA: Final = {"type": "object", "properties": {}}
_JSON_INSTRUCTION: Final = "Answer with one JSON object and nothing else."
_ANTHROPIC_CONTROLS: Final = frozenset({"none", "budget", "adaptive", "always"})
"""Ways of controlling reasoning that Anthropic's dialect also has."""
_STOP_SEQUENCE_PATH: Final = "/stop_sequence"
_MIN_TOP_P_WITH_REASONING: Final = 0.95
_UNSUPPORTED_DEFAULTS: Final = {"min_p": 0, "repetition_penalty": 1, "logit_bias": {}, "verbosity": ""}


class RequestWriter:
    """Writes one request without changing the conversation."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._conversation = conversation
        self._deployment = deployment
        self._losses = losses
        self._profile = deployment.profile
        self._additional_fields: dict[str, Any] = {}
        """`additionalModelRequestFields`."""
        self._config: dict[str, Any] = {}
        """`inferenceConfig`."""
        self._strict_budget = StrictBudget()
        self._output: dict[str, Any] = {}
        """`outputConfig`."""

    def write(self) -> dict[str, Any]:
        """Return the body. Raises `UnsupportedFeature` if the client relies on a feature that Converse lacks."""
        self._check_supported()
        tools = self._write_tools()
        has_calls = self._has_tool_calls()
        forbids_tools = self._forbids_tools()
        calls_as_text = forbids_tools and has_calls
        if calls_as_text:
            self._losses.add("tool_choice", "converted", "earlier tool calls sent as text")
        writer = ContentWriter(self._conversation, self._deployment, self._losses, calls_as_text=calls_as_text)
        system, turns = writer.write()
        if has_calls and not tools and not forbids_tools:
            tools = self._declare_history_tools()
        choice = self._write_tool_choice() if tools else None
        self._write_output_format(system)
        settings = self._write_reasoning(turns, has_forced_tool=choice is not None and "auto" not in choice)
        self._finish_turns(turns, settings)
        limit_mark_blocks([tools, system], turns, self._losses, member="cachePoint")
        body: dict[str, Any] = {"messages": turns}
        if system:
            body["system"] = system
        if tools:
            body["toolConfig"] = {"tools": tools, "toolChoice": choice} if choice is not None else {"tools": tools}
        self._write_other_members(body)
        return body

    def _check_supported(self) -> None:
        sampling = self._conversation.sampling
        if sampling.n > 1:
            raise self._unsupported("n", "returns only one choice. Set n to 1")
        if sampling.logprobs or sampling.top_logprobs:
            raise self._unsupported("logprobs", "does not report log probabilities")
        if unknown := [kind for kind in self._conversation.modalities if kind.lower() != "text"]:
            raise self._unsupported("modalities", f"does not support {unknown[0][:40]} output")

    def _unsupported(self, field: str, reason: str) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} (Bedrock) {reason}.", param=self._losses.name_of(field)
        )

    def _has_tool_calls(self) -> bool:
        return any(
            isinstance(part, ToolCall | ToolResult) for message in self._conversation.messages for part in message.parts
        )

    def _forbids_tools(self) -> bool:
        choice = self._conversation.tool_choice
        return choice is not None and choice.mode == "none"

    def _write_tools(self) -> list[Block]:
        conversation, losses = self._conversation, self._losses
        choice = conversation.tool_choice
        if self._forbids_tools():
            if conversation.tools:
                losses.add("tool_choice", "emulated", "tools left out")
            return []
        tools: list[Block] = []
        for tool in conversation.tools:
            if isinstance(tool, ServerTool):
                losses.add(f"tools[].{tool.kind}", "dropped", "only its vendor runs it")
            elif choice is None or choice.allowed is None or tool.name in choice.allowed:
                tools += self._write_tool(tool)
        if choice is not None and choice.allowed is not None:
            losses.add("tool_choice", "converted", "only the allowed tools are sent")
        if choice is not None and choice.is_parallel is False:
            losses.dropped("is_parallel")
        return tools

    def _write_tool(self, tool: Tool) -> list[Block]:
        spec: dict[str, Any] = {}
        if isinstance(tool, CustomTool):
            self._losses.add("tools", "emulated", f"free text sent as argument {INPUT_ARGUMENT}")
            spec = {"name": tool.name, "inputSchema": {"json": custom_tool_schema(tool)}}
        elif isinstance(tool, FunctionTool):
            schema, is_strict = tool_schema(tool, self._strict_budget, self._losses)
            spec = {"name": tool.name, "inputSchema": {"json": schema}}
            if is_strict:
                spec["strict"] = True
        if isinstance(tool, FunctionTool | CustomTool) and tool.description:
            spec["description"] = tool.description
        if tool.cache is None:
            return [{"toolSpec": spec}]
        if not self._profile.caches_tools:
            self._losses.dropped("cache")
            return [{"toolSpec": spec}]
        return [{"toolSpec": spec}, cache_point(tool.cache, self._profile, self._losses)]

    def _declare_history_tools(self) -> list[Block]:
        """Declare the tools that the history uses, because Converse rejects calls of undeclared tools."""
        names = dict.fromkeys(self._conversation.tool_names().values()) or {"unknown_tool": None}
        self._losses.add("tools", "emulated", "tools of earlier calls are declared")
        return [{"toolSpec": {"name": name, "inputSchema": {"json": _ANY_OBJECT_SCHEMA}}} for name in names]

    def _write_tool_choice(self) -> Block | None:
        choice = self._conversation.tool_choice
        if choice is None:
            return None
        if choice.raw is not None:
            raise self._unsupported("tool_choice", "does not support forcing a tool of another vendor")
        only = choice.allowed[0] if choice.allowed is not None and len(choice.allowed) == 1 else ""
        if choice.mode == "named" or (choice.mode == "required" and only):
            return {"tool": {"name": choice.name or only}}
        return {"any": {}} if choice.mode == "required" else {"auto": {}}

    def _write_output_format(self, system: list[Block]) -> None:
        """Write the schema of the output. For JSON without a schema, add an instruction to the system prompt."""
        output = self._conversation.output
        if output is None or output.kind == "text":
            return
        instruction = _JSON_INSTRUCTION
        if output.kind == "json_schema" and output.schema is not None:
            if (adapted := strict_schema(output.schema)) is not None:
                self._output["textFormat"] = self._write_text_format(output, adapted)
                return
            instruction += " It must match this JSON Schema:\n" + msgspec.json.encode(output.schema).decode()
        system.append({"text": instruction})
        self._losses.add("output", "emulated", "instruction in the system prompt")

    def _write_text_format(self, output: OutputFormat, adapted: dict[str, Any]) -> Block:
        if adapted != output.schema:
            self._losses.add("output.schema", "converted", "objects closed, limits moved to descriptions")
        definition = {"schema": msgspec.json.encode(adapted).decode()}
        if output.name:
            definition["name"] = output_name(output.name, "answer")
        if output.description:
            definition["description"] = output.description
        return {"type": "json_schema", "structure": {"jsonSchema": definition}}

    def _finish_turns(self, turns: list[Block], settings: ReasoningSettings) -> None:
        is_constrained = settings.is_enabled or "textFormat" in self._output
        is_claude = self._profile.reasoning in _ANTHROPIC_CONTROLS
        takes_prefill = self._profile.takes_prefill and not (is_constrained and is_claude)
        finish_turns(turns, self._losses, takes_prefill=takes_prefill)

    def _write_reasoning(self, turns: list[Block], *, has_forced_tool: bool) -> ReasoningSettings:
        """Write the reasoning settings, then the sampling values that are allowed with them."""
        reasoning = self._conversation.reasoning
        settings = ReasoningSettings(max_tokens=0)
        if self._profile.reasoning in _ANTHROPIC_CONTROLS:
            constraints = ReasoningConstraints(has_forced_tool=has_forced_tool, lacks_reasoning=_lacks_reasoning(turns))
            settings = self._write_anthropic_reasoning(constraints)
        elif reasoning is not None:
            self._write_effort(reasoning)
        self._write_sampling(settings)
        return settings

    def _write_anthropic_reasoning(self, constraints: ReasoningConstraints) -> ReasoningSettings:
        reported = LossReport()
        settings = translated_settings(self._conversation, self._profile, constraints, reported)
        for loss in reported.taken():
            if loss.field != "max_output_tokens":  # Bedrock has a default limit
                self._losses.add(loss.field, loss.how, loss.detail)
        if settings.config is not None:
            self._additional_fields["thinking"] = settings.config
        if settings.effort:
            self._output["effort"] = settings.effort
        return settings

    def _write_effort(self, reasoning: ReasoningConfig) -> None:
        control = self._profile.reasoning
        has_amount = reasoning.effort or reasoning.budget_tokens is not None
        is_requested = has_amount or reasoning.is_enabled or reasoning.is_adaptive
        if not is_requested or (is_disabled(reasoning) and control != "effort"):
            return  # with `effort_config`, reasoning is off by default; for all others it cannot be disabled
        level = "low" if is_disabled(reasoning) else _EFFORT_LEVELS.get(reasoning.effort, "medium")
        if control not in {"effort", "effort_config"}:
            self._losses.add("reasoning", "dropped", "reasoning cannot be controlled for this model")
            return
        has_limit = self._conversation.sampling.max_output_tokens is not None
        if control == "effort_config" and level == "high" and has_limit:
            level = "medium"  # `high` is not allowed with a limit, and the client's limit takes precedence
        if level != reasoning.effort:
            self._losses.add("reasoning", "converted" if not reasoning.effort else "clamped", level)
        if control == "effort_config":
            self._additional_fields["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": level}
        else:
            self._additional_fields["reasoning_effort"] = level

    def _write_sampling(self, settings: ReasoningSettings) -> None:
        sampling, losses = self._conversation.sampling, self._losses
        if sampling.max_output_tokens is not None:
            self._config["maxTokens"] = max(1, sampling.max_output_tokens)
        if stop := usable_stops(sampling.stop, losses, takes_blank=False):
            self._config["stopSequences"] = stop
        options = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        requested = {name: value for name, value in options.items() if value is not None}
        values = self._supported_sampling(requested, settings)
        if "temperature" in values:
            self._config["temperature"] = values["temperature"]
        if "top_p" in values:
            self._config["topP"] = values["top_p"]
        if "top_k" in values:
            self._write_top_k(values["top_k"])
        self._write_penalties_and_seed()
        for name, default in _UNSUPPORTED_DEFAULTS.items():
            if (value := getattr(sampling, name)) is not None and value != default:
                losses.dropped(name)

    def _supported_sampling(self, values: dict[str, Any], settings: ReasoningSettings) -> dict[str, Any]:
        """Return the values that this model accepts, on its own and together with reasoning, within its range."""
        losses, profile = self._losses, self._profile
        if values.get("temperature", 0) > 1:
            values["temperature"] = 1
            losses.add("temperature", "clamped", "1")
        supported: dict[str, Any] = {}
        has_highest_effort = self._additional_fields.get("reasoningConfig", {}).get("maxReasoningEffort") == "high"
        for name, value in values.items():
            if not profile.takes_sampling or has_highest_effort:
                losses.add(name, "dropped", "not supported by this model")
            elif settings.is_enabled and not _is_allowed_with_reasoning(name, value):
                losses.add(name, "dropped", "not allowed with reasoning")
            elif name == "top_p" and "temperature" in supported and not profile.takes_temperature_with_top_p:
                losses.add("top_p", "dropped", "not allowed with temperature")
            else:
                supported[name] = value
        return supported

    def _write_top_k(self, top_k: int) -> None:
        path = self._profile.top_k_path
        if not path:
            self._losses.dropped("top_k")
        elif len(path) == 1:
            self._additional_fields[path[0]] = top_k
        else:
            self._additional_fields[path[0]] = {path[1]: top_k}

    def _write_penalties_and_seed(self) -> None:
        sampling, profile = self._conversation.sampling, self._profile
        for name, is_supported in (
            ("presence_penalty", profile.takes_penalties),
            ("frequency_penalty", profile.takes_penalties),
            ("seed", profile.takes_seed),
        ):
            value = getattr(sampling, name)
            if value is None:
                continue
            if is_supported:
                self._additional_fields[name] = value
            elif value != 0 or name == "seed":
                self._losses.dropped(name)

    def _write_other_members(self, body: dict[str, Any]) -> None:
        conversation, losses = self._conversation, self._losses
        members = {
            "inferenceConfig": self._config,
            "additionalModelRequestFields": self._additional_fields,
            "outputConfig": self._output,
        }
        body.update({name: value for name, value in members.items() if value})
        if self._profile.reports_stop_sequence and "stopSequences" in self._config:
            body["additionalModelResponseFieldPaths"] = [_STOP_SEQUENCE_PATH]
        if conversation.service_tier in _TIERS:
            body["serviceTier"] = {"type": conversation.service_tier}
        elif conversation.service_tier not in {"", "auto"}:
            losses.dropped("service_tier")
        if conversation.metadata:
            self._write_metadata(body, conversation.metadata)
        for field in ("user", "cache_key"):
            if getattr(conversation, field):
                losses.dropped(field)

    def _write_metadata(self, body: dict[str, Any], metadata: dict[str, Any]) -> None:
        valid = {
            name: value
            for name, value in metadata.items()
            if isinstance(value, str) and _VALID_METADATA.fullmatch(name) and _VALID_METADATA.fullmatch(value)
        }
        supported = dict(list(valid.items())[:_MAX_METADATA_ENTRIES])
        if supported:
            body["requestMetadata"] = supported
        if len(supported) < len(metadata):
            losses = self._losses
            losses.add(
                "metadata", "clamped" if supported else "dropped", "at most 16 short strings of plain characters"
            )


def _is_allowed_with_reasoning(name: str, value: float) -> bool:
    return (name == "temperature" and value == 1) or (name == "top_p" and value >= _MIN_TOP_P_WITH_REASONING)


def _lacks_reasoning(turns: list[Block]) -> bool:
    """Return whether the last turn has tool results, and the reasoning before the tool calls is missing."""
    if "toolResult" not in turns[-1]["content"][0]:
        return False
    first_turn: Block | None = None
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            first_turn = turn
        elif "toolResult" not in turn["content"][0]:
            break
    return first_turn is not None and "reasoningContent" not in first_turn["content"][0]
