"""Writes a conversation as the body of `POST /v1/messages`. The same conversation always gives the same bytes."""

from typing import Any, Final

import msgspec

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.adapt.cache_marks import limit_block_marks
from intellirouter.dialects.adapt.json_merge import Layout
from intellirouter.dialects.adapt.stop_sequences import usable_stops
from intellirouter.dialects.anthropic_messages.client_request import BETA_HEADER
from intellirouter.dialects.anthropic_messages.upstream_blocks import BlockWriter
from intellirouter.dialects.anthropic_messages.upstream_reasoning import (
    ReasoningConstraints,
    ReasoningSettings,
    same_dialect_settings,
    translated_settings,
)
from intellirouter.dialects.anthropic_messages.upstream_schema import strict_schema
from intellirouter.dialects.anthropic_messages.upstream_tools import (
    declare_history_tools,
    forces_tool,
    write_tool_choice,
    write_tools,
)
from intellirouter.dialects.anthropic_messages.upstream_turns import (
    finish_turns,
    has_tool_calls,
    lacks_reasoning,
    write_prompt_and_turns,
)
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.ir import Conversation, OutputFormat

_MAX_TEMPERATURE: Final = 1.0
_MIN_TOP_P_WITH_REASONING: Final = 0.95
_UNSUPPORTED_DEFAULTS: Final[dict[str, Any]] = {
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "repetition_penalty": 1,
    "min_p": 0,
    "logit_bias": {},
    "seed": None,
    "verbosity": "",
}
"""Parameters that Anthropic does not have, with the value that has no effect."""
_SERVICE_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_COUNTED_MEMBERS: Final = (
    "model", "system", "messages", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed",
)  # fmt: skip
_JSON_INSTRUCTION: Final = "Answer with one JSON object and nothing else: no other text, no code fence."


def _as_blocks(value: Any) -> list[Any] | None:
    return [{"type": "text", "text": value}] if isinstance(value, str) else None


LAYOUT: Final = Layout(
    as_list=_as_blocks, synonyms={"output_config": ("output_format",)}, containers=frozenset({"output_config"})
)


class RequestBuilder:
    """Writes one request. `body` is complete after `build`."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._conversation = conversation
        self._deployment = deployment
        self._losses = losses
        self._profile = deployment.profile
        self._is_same_dialect = conversation.dialect == DIALECT
        self.body: dict[str, Any] = {"model": deployment.upstream_model}

    def build(self) -> dict[str, Any]:
        """Return the body. Raises `UnsupportedFeature` if the client relies on a feature that the dialect lacks."""
        self._check_supported()
        conversation, losses = self._conversation, self._losses
        writer = BlockWriter(conversation, self._deployment, losses)
        system, turns = write_prompt_and_turns(conversation, writer, losses)
        tools = write_tools(conversation, losses)
        choice = write_tool_choice(conversation.tool_choice, tools)
        if not tools and not self._is_same_dialect and has_tool_calls(turns):
            tools, choice = declare_history_tools(turns, losses), {"type": "none"}
        constraints = ReasoningConstraints(has_forced_tool=forces_tool(choice), lacks_reasoning=lacks_reasoning(turns))
        settings = (
            same_dialect_settings(conversation)
            if self._is_same_dialect
            else translated_settings(conversation, self._profile, constraints, losses)
        )
        output = self._write_output(system, settings)
        takes_prefill = self._profile.takes_prefill and not settings.is_enabled and "format" not in output
        finish_turns(turns, losses, takes_prefill=takes_prefill or self._is_same_dialect)
        if not self._is_same_dialect:
            limit_block_marks([*tools, *system], turns, losses, member="cache_control")
        body = self.body
        body["max_tokens"] = settings.max_tokens
        if system:
            only_text = len(system) == 1 and set(system[0]) == {"type", "text"}
            body["system"] = system[0]["text"] if only_text else system
        body["messages"] = turns
        self._add_members(tools=tools, tool_choice=choice, thinking=settings.config, output_config=output)
        self._write_sampling(settings)
        self._write_other_members()
        return body

    def _add_members(self, **members: Any) -> None:
        self.body.update({name: value for name, value in members.items() if value})

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
            f"{self._deployment.name} uses Anthropic's API, which {reason}.", param=self._losses.name_of(field)
        )

    def _write_output(self, system: list[dict[str, Any]], settings: ReasoningSettings) -> dict[str, Any]:
        """Return `output_config`. If it cannot hold the output format, the system prompt asks for JSON."""
        config: dict[str, Any] = {"effort": settings.effort} if settings.effort else {}
        output = self._conversation.output
        if output is None or output.kind == "text":
            return config
        supports_schema = self._deployment.quirks.structured_output == "json_schema"
        if output.kind == "json_schema" and output.schema is not None and supports_schema:
            schema = output.schema if self._is_same_dialect else self._strict_schema(output)
            if schema is not None:
                config["format"] = {"type": "json_schema", "schema": schema}
                return config
        instruction = _JSON_INSTRUCTION
        if output.schema is not None:
            instruction += " It must match this JSON Schema:\n" + msgspec.json.encode(output.schema).decode()
        system.append({"type": "text", "text": instruction})
        self._losses.add("output", "emulated", "instruction in the system prompt")
        return config

    def _strict_schema(self, output: OutputFormat) -> dict[str, Any] | None:
        adapted: dict[str, Any] | None = strict_schema(output.schema)
        if adapted is None:
            return None
        if adapted != output.schema:
            self._losses.add("output.schema", "converted", "objects closed, limits moved to descriptions")
        if output.description and "description" not in adapted:
            return {**adapted, "description": output.description}
        return adapted

    def _write_sampling(self, settings: ReasoningSettings) -> None:
        sampling, losses = self._conversation.sampling, self._losses
        stop = sampling.stop if self._is_same_dialect else usable_stops(sampling.stop, losses, takes_blank=False)
        self._add_members(stop_sequences=stop)
        requested = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        values = {name: value for name, value in requested.items() if value is not None}
        if not self._is_same_dialect:
            values = self._supported_sampling(values, settings)
            for name, default in _UNSUPPORTED_DEFAULTS.items():
                if (value := getattr(sampling, name)) is not None and value != default:
                    losses.dropped(name)
        self.body.update(values)

    def _supported_sampling(self, values: dict[str, Any], settings: ReasoningSettings) -> dict[str, Any]:
        """Remove and clamp the values that this model does not accept, on its own or together with reasoning."""
        losses = self._losses
        if values.get("top_p") == 1:
            del values["top_p"]  # the default
        if not self._profile.takes_sampling:
            for name, value in values.items():
                if (name, value) != ("temperature", 1):
                    losses.add(name, "dropped", "not supported by this model")
            return {}
        limit = self._deployment.quirks.max_temperature or _MAX_TEMPERATURE
        if values.get("temperature", 0) > limit:
            values["temperature"] = limit
            losses.add("temperature", "clamped", str(limit))
        if settings.is_enabled:
            is_allowed = {
                "temperature": values.get("temperature") == 1,
                "top_p": values.get("top_p", 0) >= _MIN_TOP_P_WITH_REASONING,
                "top_k": False,
            }
            for name in [name for name in values if not is_allowed[name]]:
                del values[name]
                losses.add(name, "dropped", "not allowed with reasoning")
        if "temperature" in values and "top_p" in values and not self._profile.takes_temperature_with_top_p:
            del values["top_p"]
            losses.add("top_p", "dropped", "not allowed with temperature")
        return values

    def _write_other_members(self) -> None:
        conversation, losses, body = self._conversation, self._losses, self.body
        if conversation.user:
            body["metadata"] = {"user_id": conversation.user}
        if conversation.metadata:
            losses.dropped("metadata")
        if conversation.cache_key:
            losses.dropped("cache_key")
        if tier := conversation.service_tier:
            if self._is_same_dialect or tier in _SERVICE_TIERS:
                body["service_tier"] = tier if self._is_same_dialect else _SERVICE_TIERS[tier]
            else:
                losses.dropped("service_tier")
        if self._is_same_dialect:
            for name, value in conversation.extras.items():
                if name in {"metadata", "output_config"}:
                    body[name] = {**body.get(name, {}), **value}
                elif name != BETA_HEADER:
                    body[name] = value
        for name in sorted(self._deployment.quirks.refuses & body.keys()):
            del body[name]
            losses.add(name, "dropped", "not supported by this upstream")
        if conversation.is_stream:
            body["stream"] = True


def count_body(body: dict[str, Any]) -> dict[str, Any]:
    """Return the members that affect the token count. The counting endpoint rejects all others."""
    return {name: body[name] for name in _COUNTED_MEMBERS if name in body}
