"""Requests for Bedrock's Converse and ConverseStream: the intermediate form as their body.

Sources: AWS, Bedrock Runtime API reference ("Converse", "ConverseStream", "CountTokens") and user guide. What Claude
accepts beside thinking is the same as at Anthropic, so its rules are taken from there.
"""

import re
from typing import Any, Final

import msgspec

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT, custom_tool_schema
from intellirouter.dialects.anthropic_messages.upstream_reasoning import Obstacles, Thoughts, is_off, thoughts_for
from intellirouter.dialects.anthropic_messages.upstream_schema import fitted_schema
from intellirouter.dialects.bedrock.upstream_content import Block, ContentWriter, cache_point
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
_LEVELS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_METADATA: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
_MAX_METADATA: Final = 16
_OPEN_SCHEMA: Final = {"type": "object", "properties": {}}
_ONE_OBJECT: Final = "Answer with one JSON object and nothing else."
_AS_ANTHROPIC: Final = frozenset({"none", "budget", "adaptive", "always"})
"""Ways of controlling reasoning that are the same as in Anthropic's dialect."""
_STOP_PATH: Final = "/stop_sequence"
_LEAST_TOP_P_WITH_THINKING: Final = 0.95
_NO_EFFECT: Final = {"min_p": 0, "repetition_penalty": 1, "logit_bias": {}, "verbosity": ""}


class RequestWriter:
    """Writes one request. Read-only on the conversation."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._conversation = conversation
        self._deployment = deployment
        self._losses = losses
        self._profile = deployment.profile
        self._additional: dict[str, Any] = {}
        """`additionalModelRequestFields`."""
        self._config: dict[str, Any] = {}
        """`inferenceConfig`."""
        self._output: dict[str, Any] = {}
        """`outputConfig`."""

    def body(self) -> dict[str, Any]:
        self._refuse()
        tools = self._tools()
        has_history = self._has_calls()
        forbids = self._forbids_calls()
        if forbids and has_history:
            self._losses.add("tool_choice", "converted", "the history's tool calls are told as text")
        writer = ContentWriter(self._conversation, self._deployment, self._losses, tells_calls=forbids and has_history)
        system, turns = writer.prompt_and_turns()
        if has_history and not tools and not forbids:
            tools = self._declared()
        choice = self._choice() if tools else None
        self._say_output(system)
        self._think(turns, has_forced_tool=choice is not None and "auto" not in choice)
        body: dict[str, Any] = {"messages": turns}
        if system:
            body["system"] = system
        if tools:
            body["toolConfig"] = {"tools": tools, "toolChoice": choice} if choice is not None else {"tools": tools}
        self._rest(body)
        return body

    def _refuse(self) -> None:
        sampling = self._conversation.sampling
        if sampling.n > 1:
            raise self._unsupported("n", "answers once; ask with n = 1")
        if sampling.logprobs or sampling.top_logprobs:
            raise self._unsupported("logprobs", "does not report log probabilities")
        if unknown := [kind for kind in self._conversation.modalities if kind.lower() != "text"]:
            raise self._unsupported("modalities", f"answers in text, not in {unknown[0][:40]}")

    def _unsupported(self, field: str, what: str) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} (Bedrock) {what}.", param=self._losses.name_of(field)
        )

    def _has_calls(self) -> bool:
        return any(
            isinstance(part, ToolCall | ToolResult) for message in self._conversation.messages for part in message.parts
        )

    def _forbids_calls(self) -> bool:
        choice = self._conversation.tool_choice
        return choice is not None and choice.mode == "none"

    def _tools(self) -> list[Block]:
        conversation, losses = self._conversation, self._losses
        choice = conversation.tool_choice
        if self._forbids_calls():
            if conversation.tools:
                losses.add("tool_choice", "emulated", "tools left out")
            return []
        tools: list[Block] = []
        for tool in conversation.tools:
            if isinstance(tool, ServerTool):
                losses.add(f"tools[].{tool.kind}", "dropped", "only its vendor runs it")
            elif choice is None or choice.allowed is None or tool.name in choice.allowed:
                tools += self._tool(tool)
        if choice is not None and choice.allowed is not None:
            losses.add("tool_choice", "converted", "only the allowed tools are declared")
        if choice is not None and choice.is_parallel is False:
            losses.dropped("is_parallel")
        return tools

    def _tool(self, tool: Tool) -> list[Block]:
        spec: dict[str, Any] = {}
        if isinstance(tool, CustomTool):
            self._losses.add("tools", "emulated", f"free text is the argument {INPUT_ARGUMENT}")
            spec = {"name": tool.name, "inputSchema": {"json": custom_tool_schema(tool)}}
        elif isinstance(tool, FunctionTool):
            parameters = tool.parameters or _OPEN_SCHEMA
            schema = parameters if "type" in parameters else {"type": "object", **parameters}
            spec = {"name": tool.name, "inputSchema": {"json": schema}}
            if tool.is_strict:
                spec["strict"] = True
        if isinstance(tool, FunctionTool | CustomTool) and tool.description:
            spec["description"] = tool.description
        if tool.cache is None:
            return [{"toolSpec": spec}]
        if not self._profile.caches_tools:
            self._losses.dropped("cache")
            return [{"toolSpec": spec}]
        return [{"toolSpec": spec}, cache_point(tool.cache)]

    def _declared(self) -> list[Block]:
        """Declare the tools of the history: Converse refuses calls without declarations."""
        names = dict.fromkeys(self._conversation.tool_names().values()) or {"unknown_tool": None}
        self._losses.add("tools", "emulated", "the history's tools are declared")
        return [{"toolSpec": {"name": name, "inputSchema": {"json": _OPEN_SCHEMA}}} for name in names]

    def _choice(self) -> Block | None:
        choice = self._conversation.tool_choice
        if choice is None:
            return None
        if choice.raw is not None:
            raise self._unsupported("tool_choice", "cannot be forced to use another vendor's tool")
        only = choice.allowed[0] if choice.allowed is not None and len(choice.allowed) == 1 else ""
        if choice.mode == "named" or (choice.mode == "required" and only):
            return {"tool": {"name": choice.name or only}}
        return {"any": {}} if choice.mode == "required" else {"auto": {}}

    def _say_output(self, system: list[Block]) -> None:
        """A schema is said natively; a mere object is asked for in words."""
        output = self._conversation.output
        if output is None or output.kind == "text":
            return
        if output.kind == "json_schema" and output.schema is not None:
            self._output["textFormat"] = self._text_format(output, output.schema)
            return
        system.append({"text": _ONE_OBJECT})
        self._losses.add("output", "emulated", "by instruction")

    def _text_format(self, output: OutputFormat, schema: dict[str, Any]) -> Block:
        fitted = fitted_schema(schema)  # Bedrock takes what Anthropic takes
        if fitted != schema:
            self._losses.add("output.schema", "converted", "objects closed, limits in words")
        definition = {"schema": msgspec.json.encode(fitted).decode()}
        if output.name:
            definition["name"] = output.name
        if output.description:
            definition["description"] = output.description
        return {"type": "json_schema", "structure": {"jsonSchema": definition}}

    def _think(self, turns: list[Block], *, has_forced_tool: bool) -> None:
        """Say how much to think, then the sampling that goes with it."""
        ask = self._conversation.reasoning
        thoughts = Thoughts(max_tokens=0)
        if self._profile.reasoning in _AS_ANTHROPIC:
            obstacles = Obstacles(has_forced_tool=has_forced_tool, lacks_thoughts=_lacks_thoughts(turns))
            thoughts = self._anthropic_thoughts(obstacles)
        elif ask is not None:
            self._other_thoughts(ask)
        self._sampling(thoughts)

    def _anthropic_thoughts(self, obstacles: Obstacles) -> Thoughts:
        noted = LossReport()
        thoughts = thoughts_for(self._conversation, self._profile, obstacles, noted)
        for loss in noted.taken():
            if loss.field != "max_output_tokens":  # Bedrock has a limit of its own where none is said
                self._losses.add(loss.field, loss.how, loss.detail)
        if thoughts.config is not None:
            self._additional["thinking"] = thoughts.config
        if thoughts.effort:
            self._output["effort"] = thoughts.effort
        return thoughts

    def _other_thoughts(self, ask: ReasoningConfig) -> None:
        control = self._profile.reasoning
        is_on = ask.effort or ask.budget_tokens is not None or ask.is_enabled or ask.is_adaptive
        if not is_on or (is_off(ask) and control != "effort"):
            return  # with `effort_config`, a model reasons only when asked; the others cannot be stopped
        level = "low" if is_off(ask) else _LEVELS.get(ask.effort, "medium")
        if control not in {"effort", "effort_config"}:
            self._losses.add("reasoning", "dropped", "this model cannot be told")
            return
        has_limit = self._conversation.sampling.max_output_tokens is not None
        if control == "effort_config" and level == "high" and has_limit:
            level = "medium"  # `high` excludes a limit, and the client's limit counts more
        if level != ask.effort:
            self._losses.add("reasoning", "converted" if not ask.effort else "clamped", level)
        if control == "effort_config":
            self._additional["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": level}
        else:
            self._additional["reasoning_effort"] = level

    def _sampling(self, thoughts: Thoughts) -> None:
        sampling, losses = self._conversation.sampling, self._losses
        if sampling.max_output_tokens is not None:
            self._config["maxTokens"] = max(1, sampling.max_output_tokens)
        if stop := [text for text in sampling.stop if text.strip()]:
            self._config["stopSequences"] = stop
        if len(stop) < len(sampling.stop):
            losses.add("stop", "dropped", "white space")
        knobs = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        said = self._allowed({name: value for name, value in knobs.items() if value is not None}, thoughts)
        if "temperature" in said:
            self._config["temperature"] = said["temperature"]
        if "top_p" in said:
            self._config["topP"] = said["top_p"]
        if "top_k" in said:
            self._say_top_k(said["top_k"])
        self._say_rare()
        for name, nothing in _NO_EFFECT.items():
            if (value := getattr(sampling, name)) is not None and value != nothing:
                losses.dropped(name)

    def _allowed(self, said: dict[str, Any], thoughts: Thoughts) -> dict[str, Any]:
        """Keep what this model takes, beside thinking, and in its range."""
        losses, profile = self._losses, self._profile
        if said.get("temperature", 0) > 1:
            said["temperature"] = 1
            losses.add("temperature", "clamped", "1")
        kept: dict[str, Any] = {}
        is_highest = self._additional.get("reasoningConfig", {}).get("maxReasoningEffort") == "high"
        for name, value in said.items():
            if not profile.takes_sampling or is_highest:
                losses.add(name, "dropped", "this model takes none")
            elif thoughts.are_on and not _fits_thinking(name, value):
                losses.add(name, "dropped", "the model thinks")
            elif name == "top_p" and "temperature" in kept and not profile.takes_temperature_with_top_p:
                losses.add("top_p", "dropped", "temperature is set")
            else:
                kept[name] = value
        return kept

    def _say_top_k(self, top_k: int) -> None:
        path = self._profile.top_k_path
        if not path:
            self._losses.dropped("top_k")
        elif len(path) == 1:
            self._additional[path[0]] = top_k
        else:
            self._additional[path[0]] = {path[1]: top_k}

    def _say_rare(self) -> None:
        sampling, profile = self._conversation.sampling, self._profile
        for name, is_known in (
            ("presence_penalty", profile.takes_penalties),
            ("frequency_penalty", profile.takes_penalties),
            ("seed", profile.takes_seed),
        ):
            value = getattr(sampling, name)
            if value is None:
                continue
            if is_known:
                self._additional[name] = value
            elif value != 0 or name == "seed":
                self._losses.dropped(name)

    def _rest(self, body: dict[str, Any]) -> None:
        conversation, losses = self._conversation, self._losses
        members = {
            "inferenceConfig": self._config,
            "additionalModelRequestFields": self._additional,
            "outputConfig": self._output,
        }
        body.update({name: value for name, value in members.items() if value})
        if self._profile.reports_stop_sequence and "stopSequences" in self._config:
            body["additionalModelResponseFieldPaths"] = [_STOP_PATH]
        if conversation.service_tier in _TIERS:
            body["serviceTier"] = {"type": conversation.service_tier}
        elif conversation.service_tier not in {"", "auto"}:
            losses.dropped("service_tier")
        if conversation.metadata:
            self._say_metadata(body, conversation.metadata)
        for field in ("user", "cache_key"):
            if getattr(conversation, field):
                losses.dropped(field)

    def _say_metadata(self, body: dict[str, Any], metadata: dict[str, Any]) -> None:
        fitting = {
            name: value
            for name, value in metadata.items()
            if isinstance(value, str) and _METADATA.fullmatch(name) and _METADATA.fullmatch(value)
        }
        kept = dict(list(fitting.items())[:_MAX_METADATA])
        if kept:
            body["requestMetadata"] = kept
        if len(kept) < len(metadata):
            losses = self._losses
            losses.add("metadata", "clamped" if kept else "dropped", "16 short texts of plain characters")


def _fits_thinking(name: str, value: float) -> bool:
    return (name == "temperature" and value == 1) or (name == "top_p" and value >= _LEAST_TOP_P_WITH_THINKING)


def _lacks_thoughts(turns: list[Block]) -> bool:
    """Whether tool results end the conversation, and the turn that called the tools does not begin with thoughts."""
    if "toolResult" not in turns[-1]["content"][0]:
        return False
    first: Block | None = None
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            first = turn
        elif "toolResult" not in turn["content"][0]:
            break
    return first is not None and "reasoningContent" not in first["content"][0]
