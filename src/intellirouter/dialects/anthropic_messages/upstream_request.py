"""From the intermediate form to the body of `POST /v1/messages`, the same bytes for the same conversation."""

from typing import Any, Final

import msgspec

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.adapt.json_merge import Layout
from intellirouter.dialects.anthropic_messages.client_request import BETA
from intellirouter.dialects.anthropic_messages.upstream_blocks import BlockWriter
from intellirouter.dialects.anthropic_messages.upstream_reasoning import (
    Obstacles,
    Thoughts,
    own_thoughts,
    thoughts_for,
)
from intellirouter.dialects.anthropic_messages.upstream_schema import fitted_schema
from intellirouter.dialects.anthropic_messages.upstream_tools import choice_for, declared, is_forced, tools_for
from intellirouter.dialects.anthropic_messages.upstream_turns import has_calls, lacks_thoughts, prompt_and_turns
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.ir import Conversation, OutputFormat

_MAX_TEMPERATURE: Final = 1.0
_LEAST_TOP_P_WITH_THINKING: Final = 0.95
_NO_EFFECT: Final[dict[str, Any]] = {
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "repetition_penalty": 1,
    "min_p": 0,
    "logit_bias": {},
    "seed": None,
    "verbosity": "",
}
"""Knobs that Anthropic does not have, with the value that says nothing."""
_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_COUNTED: Final = (
    "model", "system", "messages", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed",
)  # fmt: skip
_ONE_OBJECT: Final = "Answer with one JSON object and nothing else: no other text, no code fence."


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
        self._is_own = conversation.dialect == DIALECT
        self.body: dict[str, Any] = {"model": deployment.upstream_model}

    def build(self) -> dict[str, Any]:
        """Raises `UnsupportedFeature` for what the client relies on and the dialect cannot say."""
        self._refuse()
        conversation, losses = self._conversation, self._losses
        writer = BlockWriter(conversation, self._deployment, losses)
        system, turns = prompt_and_turns(conversation, writer, losses)
        tools = tools_for(conversation, losses)
        choice = choice_for(conversation.tool_choice, tools)
        if not tools and not self._is_own and has_calls(turns):
            tools, choice = declared(turns, losses), {"type": "none"}
        obstacles = Obstacles(has_forced_tool=is_forced(choice), lacks_thoughts=lacks_thoughts(turns))
        thoughts = (
            own_thoughts(conversation) if self._is_own else thoughts_for(conversation, self._profile, obstacles, losses)
        )
        output = self._output(system, thoughts)
        body = self.body
        body["max_tokens"] = thoughts.max_tokens
        if system:
            only_text = len(system) == 1 and set(system[0]) == {"type", "text"}
            body["system"] = system[0]["text"] if only_text else system
        body["messages"] = turns
        self._say(tools=tools, tool_choice=choice, thinking=thoughts.config, output_config=output)
        self._sampling(thoughts)
        self._rest()
        return body

    def _say(self, **members: Any) -> None:
        self.body.update({name: value for name, value in members.items() if value})

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
            f"{self._deployment.name} speaks Anthropic's dialect, which {what}.", param=self._losses.name_of(field)
        )

    def _output(self, system: list[dict[str, Any]], thoughts: Thoughts) -> dict[str, Any]:
        """Return `output_config`: native for a schema; otherwise the system prompt asks for JSON."""
        config: dict[str, Any] = {"effort": thoughts.effort} if thoughts.effort else {}
        output = self._conversation.output
        if output is None or output.kind == "text":
            return config
        can_schema = self._deployment.quirks.structured_output == "json_schema"
        if output.kind == "json_schema" and output.schema is not None and can_schema:
            config["format"] = {"type": "json_schema", "schema": self._schema(output)}
            return config
        words = _ONE_OBJECT
        if output.schema is not None:
            words += " It must be valid by this JSON Schema:\n" + msgspec.json.encode(output.schema).decode()
        system.append({"type": "text", "text": words})
        self._losses.add("output", "emulated", "by instruction")
        return config

    def _schema(self, output: OutputFormat) -> dict[str, Any]:
        schema = output.schema or {}
        if self._is_own:
            return schema
        fitted: dict[str, Any] = fitted_schema(schema)
        if fitted != schema:
            self._losses.add("output.schema", "converted", "objects are closed, limits are said in words")
        if output.description and "description" not in fitted:
            return {**fitted, "description": output.description}
        return fitted

    def _sampling(self, thoughts: Thoughts) -> None:
        sampling, losses = self._conversation.sampling, self._losses
        stop = [text for text in sampling.stop if self._is_own or text.strip()]
        if len(stop) < len(sampling.stop):
            losses.add("stop", "dropped", "white space")
        self._say(stop_sequences=stop)
        knobs = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        said = {name: value for name, value in knobs.items() if value is not None}
        if not self._is_own:
            said = self._allowed(said, thoughts)
            for name, nothing in _NO_EFFECT.items():
                if (value := getattr(sampling, name)) is not None and value != nothing:
                    losses.dropped(name)
        self.body.update(said)

    def _allowed(self, said: dict[str, Any], thoughts: Thoughts) -> dict[str, Any]:
        """Keep what this model takes, beside thinking, and in its range."""
        losses = self._losses
        if said.get("top_p") == 1:
            del said["top_p"]  # the default
        if not self._profile.takes_sampling:
            for name, value in said.items():
                if (name, value) != ("temperature", 1):
                    losses.add(name, "dropped", "this model takes none")
            return {}
        limit = self._deployment.quirks.max_temperature or _MAX_TEMPERATURE
        if said.get("temperature", 0) > limit:
            said["temperature"] = limit
            losses.add("temperature", "clamped", str(limit))
        if thoughts.are_on:
            fits = {
                "temperature": said.get("temperature") == 1,
                "top_p": said.get("top_p", 0) >= _LEAST_TOP_P_WITH_THINKING,
                "top_k": False,
            }
            for name in [name for name in said if not fits[name]]:
                del said[name]
                losses.add(name, "dropped", "the model thinks")
        if "temperature" in said and "top_p" in said and not self._profile.takes_temperature_with_top_p:
            del said["top_p"]
            losses.add("top_p", "dropped", "temperature is set")
        return said

    def _rest(self) -> None:
        conversation, losses, body = self._conversation, self._losses, self.body
        if conversation.user:
            body["metadata"] = {"user_id": conversation.user}
        if conversation.metadata:
            losses.dropped("metadata")
        if conversation.cache_key:
            losses.dropped("cache_key")
        if tier := conversation.service_tier:
            if self._is_own or tier in _TIERS:
                body["service_tier"] = tier if self._is_own else _TIERS[tier]
            else:
                losses.dropped("service_tier")
        if self._is_own:
            for name, value in conversation.extras.items():
                if name in {"metadata", "output_config"}:
                    body[name] = {**body.get(name, {}), **value}
                elif name != BETA:
                    body[name] = value
        for name in sorted(self._deployment.quirks.refuses & body.keys()):
            del body[name]
            losses.add(name, "dropped", "refused by this upstream")
        if conversation.is_stream:
            body["stream"] = True


def counted(body: dict[str, Any]) -> dict[str, Any]:
    """Return what of a request its token count depends on; the counting endpoint refuses the rest."""
    return {name: body[name] for name in _COUNTED if name in body}
