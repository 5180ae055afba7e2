"""Encoding of `chat.completion` responses, and of what they share with chunks.

Source: OpenAI API reference, "The chat completion object". `reasoning_content`, `reasoning_details`, `images` and
`extra_content` are not part of it, but clients read them for reasoning, images and signatures of calls.
"""

import time
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from intellirouter.core import Call, LossReport, Usage, new_id
from intellirouter.dialects.adapt.custom_tools import custom_tool_input
from intellirouter.dialects.calls import ConversationCall, narrow_call
from intellirouter.dialects.ir import (
    Choice,
    Citation,
    CustomTool,
    Media,
    Reasoning,
    Refusal,
    Response,
    Stop,
    StopReason,
    Text,
    ToolCall,
    wrap_token,
)
from intellirouter.dialects.openai_chat.media import data_url
from intellirouter.dialects.openai_chat.reasoning import reasoning_entry, visible_text

_FINISH_REASONS: Final[dict[StopReason, str]] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context_length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "malformed_tool_call": "stop",
    "cancelled": "length",
    "error": "length",
}
"""OpenAI has four reasons. For an answer that was not completed, it is `length`."""
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_FOREIGN: Final = "choices[].message.content"
_ANNOTATIONS: Final = "choices[].message.annotations"


class _Functions(Struct):
    functions: Any = None
    tools: Any = None


_decode_functions: Final = msgspec.json.Decoder(_Functions)


def uses_legacy_functions(call: Call) -> bool:
    """Return whether a client uses the deprecated `functions`, so that the answer must have `function_call`."""
    if b'"functions"' not in call.body:
        return False
    request = _decode_functions.decode(call.body)
    return bool(request.functions) and not request.tools


def custom_tool_names(call: Call) -> frozenset[str]:
    """Return the names of the client's custom tools. Upstreams without custom tools call functions of these names."""
    conversation = narrow_call(call, ConversationCall).conversation
    if conversation is None:
        return frozenset()
    return frozenset(tool.name for tool in conversation.tools if isinstance(tool, CustomTool))


def finish_reason(stop: Stop | None, *, has_calls: bool, has_refusal: bool) -> str:
    if stop is None:
        return "stop"
    if stop.reason == "refusal" and has_refusal:
        return "stop"  # The refusal has its own member.
    reason = _FINISH_REASONS[stop.reason]
    return "tool_calls" if has_calls and reason == "stop" and stop.reason != "malformed_tool_call" else reason


def encode_usage(usage: Usage) -> dict[str, Any]:
    """Encode usage in OpenAI's way: cached, audio and image tokens are part of the prompt."""
    prompt: dict[str, int] = {"cached_tokens": usage.cache_read_tokens, "audio_tokens": usage.input_audio_tokens}
    if written := usage.total_cache_write_tokens:
        prompt["cache_write_tokens"] = written
    if usage.input_image_tokens:
        prompt["image_tokens"] = usage.input_image_tokens
    completion = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.output_audio_tokens,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    if usage.output_image_tokens:
        completion["image_tokens"] = usage.output_image_tokens
    return {
        "prompt_tokens": usage.total_input_tokens,
        "completion_tokens": usage.total_output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }


def response_head(response_id: str, created_s: int, model: str, kind: str) -> dict[str, Any]:
    return {
        "id": response_id or new_id("chatcmpl-"),
        "object": kind,
        "created": created_s or int(time.time()),
        "model": model,
    }


def add_serving_details(head: dict[str, Any], service_tier: str, system_fingerprint: str) -> None:
    """Add the upstream's service tier, if OpenAI has it, and its system fingerprint."""
    if service_tier in _TIERS:
        head["service_tier"] = service_tier
    if system_fingerprint:
        head["system_fingerprint"] = system_fingerprint


def encode_response(response: Response, call: Call, losses: LossReport) -> bytes:
    body = response_head(response.id, response.created_s, response.model or call.model, "chat.completion")
    writer = _Writer(is_legacy=uses_legacy_functions(call), custom=custom_tool_names(call), losses=losses)
    body["choices"] = [writer.choice(choice, index) for index, choice in enumerate(response.choices)]
    if response.usage is not None:
        body["usage"] = encode_usage(response.usage)
    add_serving_details(body, response.service_tier, response.system_fingerprint)
    return msgspec.json.encode(body)


class _Writer:
    def __init__(self, *, is_legacy: bool, custom: frozenset[str], losses: LossReport) -> None:
        self._is_legacy = is_legacy
        self._custom = custom
        self._losses = losses

    def choice(self, choice: Choice, index: int) -> dict[str, Any]:
        message, logprobs = self._message(choice)
        calls = message.get("tool_calls")
        reason = finish_reason(choice.stop, has_calls=bool(calls), has_refusal=message["refusal"] is not None)
        if self._is_legacy and calls:
            del message["tool_calls"]
            message["function_call"] = calls[0].get("function")
            reason = "function_call" if reason == "tool_calls" else reason
        encoded = {"content": logprobs, "refusal": None} if logprobs else None
        return {"index": index, "message": message, "logprobs": encoded, "finish_reason": reason}

    def _message(self, choice: Choice) -> tuple[dict[str, Any], list[Any]]:
        texts: list[str] = []
        refusals: list[str] = []
        reasoning: list[Reasoning] = []
        added: dict[str, list[Any]] = {"tool_calls": [], "annotations": [], "images": []}
        logprobs: list[Any] = []
        audio: dict[str, Any] | None = None
        offset = 0
        for part in choice.parts:
            match part:
                case Text():
                    added["annotations"] += annotations_of(part.citations, offset, len(part.text), self._losses)
                    logprobs += complete_logprobs(part.logprobs)
                    texts.append(part.text)
                    offset += len(part.text)
                case Refusal():
                    refusals.append(part.text)
                case Reasoning():
                    reasoning.append(part)
                case ToolCall():
                    added["tool_calls"].append(encode_call(as_custom_call(part, self._custom)))
                case Media(kind="audio"):
                    audio = encode_audio(part)
                case Media(kind="image"):
                    added["images"].append(encode_image(part))
                case _:
                    self._losses.dropped(_FOREIGN)
        is_empty = not (texts or refusals or added["tool_calls"] or audio)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(texts) if texts or is_empty else None,
            "refusal": "".join(refusals) or None,
        }
        if text := visible_text(reasoning):
            message["reasoning_content"] = text
        if details := [reasoning_entry(part.token, part) for part in reasoning if part.token is not None]:
            message["reasoning_details"] = details
        message |= {name: values for name, values in added.items() if values}
        if audio is not None:
            message["audio"] = audio
        return message, logprobs


def as_custom_call(call: ToolCall, custom: frozenset[str]) -> ToolCall:
    """Return the call as one of a custom tool, if the tool was sent to the upstream as a function."""
    if call.kind == "custom" or call.name not in custom:
        return call
    return structs.replace(call, kind="custom", arguments=custom_tool_input(call.arguments))


def annotations_of(citations: list[Citation], offset: int, length: int, losses: LossReport) -> list[dict[str, Any]]:
    """Encode the citations with a URL. `offset` and `length` are the position of the text in the complete content."""
    annotations = []
    for citation in citations:
        if not citation.url:
            losses.dropped(_ANNOTATIONS)
            continue
        start = offset + max(citation.start, 0)
        end = offset + (citation.end if citation.end >= 0 else length)
        cited = {"start_index": start, "end_index": end, "title": citation.title, "url": citation.url}
        annotations.append({"type": "url_citation", "url_citation": cited})
    return annotations


def complete_logprobs(tokens: Any) -> list[dict[str, Any]]:
    """Return the tokens with all members that OpenAI sends. Other upstreams leave some out."""
    return [
        _with_bytes(token) | {"top_logprobs": [_with_bytes(top) for top in _objects(token.get("top_logprobs"))]}
        for token in _objects(tokens)
    ]


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _with_bytes(token: dict[str, Any]) -> dict[str, Any]:
    return token if "bytes" in token else {**token, "bytes": list(str(token.get("token", "")).encode())}


def encode_call(call: ToolCall) -> dict[str, Any]:
    """Encode a complete call, or the start of one, without arguments."""
    if call.kind == "custom":
        encoded: dict[str, Any] = {
            "id": call.id,
            "type": "custom",
            "custom": {"name": call.name, "input": call.arguments},
        }
    else:
        function = {"name": call.name, "arguments": call.arguments}
        encoded = {"id": call.id, "type": "function", "function": function}
    if call.token is not None:
        # Wrapped, because an unwrapped token would be relayed to the next upstream, which may reject it.
        is_unwrapped = call.token.dialect == "gemini" and not call.token.origin
        value = call.token.value if is_unwrapped else wrap_token(call.token)
        encoded["extra_content"] = {"google": {"thought_signature": value}}
    return encoded


def encode_image(image: Media) -> dict[str, Any]:
    url = image.source.url or data_url(image.source, "image/png")
    return {"type": "image_url", "image_url": {"url": url}}


def encode_audio(audio: Media) -> dict[str, Any]:
    return {
        "id": audio.extras.get("id") or new_id("audio_"),
        "data": audio.source.data or "",
        "expires_at": audio.extras.get("expires_at") or 0,
        "transcript": audio.transcript,
    }
