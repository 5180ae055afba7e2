"""The upstream's side of the responses dialect: `POST /responses`."""

import hashlib
import re
from typing import Any, Final

import msgspec

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.adapt.json_merge import Layout
from intellirouter.dialects.ir import (
    Conversation,
    CustomTool,
    OutputFormat,
    ReasoningConfig,
    Response,
    Text,
    ToolChoice,
    origin_of,
)
from intellirouter.dialects.openai import upstream_errors
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.upstream_input import InputWriter, encode_tools, namespaces_of
from intellirouter.dialects.openai_responses.upstream_response import decode_response
from intellirouter.dialects.openai_responses.upstream_stream import ResponsesStreamDecoder
from intellirouter.dialects.protocols import Splitter, StreamDecoder
from intellirouter.dialects.wire.json_edit import json_string, model_spans, replace
from intellirouter.dialects.wire.sse import EventSplitter

PATH: Final = "/responses"
_UNKNOWN_KNOBS: Final = (
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
"""Smaller limits are refused."""
_MAX_USER_CHARS: Final = 64
_MAX_METADATA: Final = 16
_MAX_METADATA_CHARS: Final = 512
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")
_EFFORT_BY_BUDGET: Final = ((1, "none"), (2049, "low"), (16385, "medium"))
"""Effort for a budget of thinking tokens below the number; `high` for more."""
_INCLUDE_TOKENS: Final = "reasoning.encrypted_content"
_INCLUDE_LOGPROBS: Final = "message.output_text.logprobs"


def _as_items(value: Any) -> list[Any] | None:
    return [{"type": "message", "role": "user", "content": value}] if isinstance(value, str) else None


LAYOUT: Final = Layout(
    containers=frozenset({"text"}),
    as_list=_as_items,
    synonyms={"input": ("instructions",), "user": ("safety_identifier",)},
)


class ResponsesUpstream:
    """Implements `protocols.ChatUpstream`."""

    dialect = DIALECT

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = _body(conversation, deployment, losses)
        for name in deployment.quirks.refuses & body.keys():
            del body[name]
            losses.dropped(name)
        for ours, theirs in deployment.quirks.renames:
            if ours in body:
                body[theirs] = body.pop(ours)
        return UpstreamRequest(path=PATH, body=msgspec.json.encode(body))

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        body, model = call.body, deployment.upstream_model
        if model != call.model:
            body = replace(body, model_spans(body, call.model), json_string(model))
        return UpstreamRequest(path=PATH, body=body)

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        return decode_response(body, origin_of(deployment))

    def stream(self, deployment: Deployment) -> StreamDecoder:
        return ResponsesStreamDecoder(origin_of(deployment))

    def splitter(self) -> Splitter:
        return EventSplitter()

    decode_error = staticmethod(upstream_errors.decode_error)


def _body(conversation: Conversation, deployment: Deployment, losses: LossReport) -> dict[str, Any]:
    if conversation.sampling.n > 1:
        raise errors.UnsupportedFeature(
            f"{deployment.name} gives one answer a request; ask {conversation.sampling.n} times.",
            param=losses.name_of("n"),
        )
    if not set(conversation.modalities) <= {"text"}:
        raise errors.UnsupportedFeature(f"{deployment.name} answers in text only.", param=losses.name_of("modalities"))
    items = InputWriter(conversation, deployment, losses).items(conversation.messages)
    if not items:
        items = [{"type": "message", "role": "user", "content": ""}]
        losses.add("messages", "converted", "an empty message")
    body: dict[str, Any] = {"model": deployment.upstream_model, "input": items, "store": False}
    if conversation.is_stream:
        body["stream"] = True
    _put_tools(body, conversation, losses)
    _put_sampling(body, conversation, deployment, losses)
    _put_reasoning(body, conversation.reasoning, losses)
    _put_output(body, conversation, deployment, losses)
    _put_identity(body, conversation, losses)
    if conversation.dialect == DIALECT:
        _put_extras(body, conversation.extras)
    return body


def _put_tools(body: dict[str, Any], conversation: Conversation, losses: LossReport) -> None:
    tools = encode_tools(conversation, losses)
    choice = conversation.tool_choice
    if tools:
        body["tools"] = tools
    if choice is None:
        return
    if choice.is_parallel is not None and tools:
        body["parallel_tool_calls"] = choice.is_parallel
    value = _choice(choice, conversation)
    is_forced = choice.mode in {"required", "named"}
    if value is None or (is_forced and conversation.tools and not tools):
        raise errors.UnsupportedFeature(
            "The tool that must be called is one that only its own vendor runs.",
            param=losses.name_of("tool_choice"),
        )
    if tools:
        body["tool_choice"] = value


def _choice(choice: ToolChoice, conversation: Conversation) -> str | dict[str, Any] | None:
    """Say the choice; None: it names a tool that this vendor does not run."""
    if choice.raw is not None:
        if conversation.dialect == DIALECT:
            raw: dict[str, Any] = choice.raw
            return raw
        if choice.mode == "named":
            return None
    if choice.mode == "named":
        return _pointer(choice.name, conversation)
    if choice.allowed is not None and choice.mode != "none":
        tools = [_pointer(name, conversation) for name in choice.allowed]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
    return choice.mode


def _pointer(name: str, conversation: Conversation) -> dict[str, Any]:
    is_custom = any(isinstance(tool, CustomTool) and tool.name == name for tool in conversation.tools)
    pointer = {"type": "custom" if is_custom else "function", "name": name}
    namespaces = namespaces_of(conversation) if conversation.dialect == DIALECT else {}
    if name in namespaces:
        pointer["namespace"] = namespaces[name][0]
    return pointer


def _put_sampling(body: dict[str, Any], conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
    knobs = conversation.sampling
    for name in _UNKNOWN_KNOBS:
        if getattr(knobs, name) not in (None, []):
            losses.dropped(name)
    for name in ("max_output_tokens", "temperature", "top_p", "top_logprobs"):
        if (value := getattr(knobs, name)) is not None:
            body[name] = value
    if knobs.max_output_tokens is not None and knobs.max_output_tokens < _MIN_OUTPUT_TOKENS:
        body["max_output_tokens"] = _MIN_OUTPUT_TOKENS
        losses.add("max_output_tokens", "clamped", str(_MIN_OUTPUT_TOKENS))
    highest = deployment.quirks.max_temperature
    if highest is not None and knobs.temperature is not None and knobs.temperature > highest:
        body["temperature"] = highest
        losses.add("temperature", "clamped", str(highest))
    if knobs.verbosity:
        body.setdefault("text", {})["verbosity"] = knobs.verbosity
    if knobs.logprobs:
        body.setdefault("include", []).append(_INCLUDE_LOGPROBS)


def _put_reasoning(body: dict[str, Any], asked: ReasoningConfig | None, losses: LossReport) -> None:
    if asked is None:
        return
    effort = "none" if asked.is_enabled is False else asked.effort
    if not effort and asked.budget_tokens is not None and asked.budget_tokens >= 0:
        effort = next((word for below, word in _EFFORT_BY_BUDGET if asked.budget_tokens < below), "high")
        losses.add("reasoning.budget_tokens", "converted", effort)
    said: dict[str, Any] = {"effort": effort} if effort else {}
    summary = asked.summary or ("auto" if asked.is_visible else "")
    if summary and effort != "none":
        said["summary"] = summary
    if not effort and (asked.is_enabled or asked.is_adaptive or asked.budget_tokens is not None):
        losses.add("reasoning", "converted", "the model decides")
    if not said and not asked.is_adaptive and not asked.is_enabled and asked.budget_tokens is None:
        return
    if said:
        body["reasoning"] = said
    if effort != "none":
        body.setdefault("include", []).append(_INCLUDE_TOKENS)


def _put_output(body: dict[str, Any], conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
    asked = conversation.output
    if asked is None or asked.kind == "text":
        return
    known = deployment.quirks.structured_output
    if known == "none" or (asked.kind == "json_schema" and known != "json_schema"):
        raise errors.UnsupportedFeature(
            f"{deployment.name} does not keep to an output format.", param=losses.name_of("output")
        )
    body.setdefault("text", {})["format"] = _format(asked)
    if asked.kind == "json_object" and not _says_json(conversation):
        # The API refuses JSON mode unless the input speaks of JSON.
        body["input"].append({"type": "message", "role": "system", "content": "Answer with one JSON object."})
        losses.add("output", "converted", "an instruction was added")


def _format(asked: OutputFormat) -> dict[str, Any]:
    if asked.kind == "json_object":
        return {"type": "json_object"}
    name = _NOT_IN_NAMES.sub("_", asked.name)[:_MAX_USER_CHARS] or "answer"
    form: dict[str, Any] = {"type": "json_schema", "name": name, "schema": asked.schema or {}}
    if asked.description:
        form["description"] = asked.description
    if asked.is_strict is not None:
        form["strict"] = asked.is_strict
    return form


def _says_json(conversation: Conversation) -> bool:
    return any(
        isinstance(part, Text) and "json" in part.text.lower()
        for message in conversation.messages
        for part in message.parts
    )


def _put_identity(body: dict[str, Any], conversation: Conversation, losses: LossReport) -> None:
    if conversation.user:
        body["user"] = _short("user", conversation.user, losses)
    if conversation.cache_key:
        body["prompt_cache_key"] = _short("cache_key", conversation.cache_key, losses)
    if conversation.service_tier:
        if conversation.service_tier in _TIERS or conversation.dialect == DIALECT:
            body["service_tier"] = conversation.service_tier
        else:
            losses.dropped("service_tier")
    if conversation.metadata:
        kept = {
            name: value
            for name, value in conversation.metadata.items()
            if isinstance(value, str) and len(value) <= _MAX_METADATA_CHARS and len(name) <= _MAX_USER_CHARS
        }
        kept = dict(list(kept.items())[:_MAX_METADATA])
        if kept:
            body["metadata"] = kept
        if len(kept) < len(conversation.metadata):
            losses.add("metadata", "clamped", "16 short texts")


def _short(field: str, value: str, losses: LossReport) -> str:
    if len(value) <= _MAX_USER_CHARS:
        return value
    losses.add(field, "converted", "hashed")
    return hashlib.sha256(value.encode()).hexdigest()


def _put_extras(body: dict[str, Any], extras: dict[str, Any]) -> None:
    """Send what only this dialect knows; `text.x` and `reasoning.x` go where they came from."""
    for name, value in extras.items():
        outer, dot, inner = name.partition(".")
        if dot and outer in {"text", "reasoning", "stream_options"}:
            body.setdefault(outer, {})[inner] = value
        elif name == "include" and isinstance(value, list):
            body["include"] = [*body.get("include", []), *value]
        else:
            body[name] = value
