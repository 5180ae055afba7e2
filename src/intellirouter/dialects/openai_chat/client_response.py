"""Answers in the chat dialect: `chat.completion`, and what its chunks share with it.

Source: OpenAI API reference, "The chat completion object". `reasoning_content`, `reasoning_details`, `images` and
`extra_content` are not OpenAI's, but what clients read where a model thinks, draws or signs its calls.
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
from intellirouter.dialects.openai_chat.reasoning import entry_of, shown

_FINISH: Final[dict[StopReason, str]] = {
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
"""OpenAI knows four reasons; an answer that was not completed counts as cut."""
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_FOREIGN: Final = "choices[].message.content"
_ANNOTATIONS: Final = "choices[].message.annotations"


class _Functions(Struct):
    functions: Any = None
    tools: Any = None


_decode_functions: Final = msgspec.json.Decoder(_Functions)


def knows_functions_only(call: Call) -> bool:
    """Tell whether a client asks in the words from before tools, and wants the answer in them."""
    if b'"functions"' not in call.body:
        return False
    asked = _decode_functions.decode(call.body)
    return bool(asked.functions) and not asked.tools


def free_text_tools(call: Call) -> frozenset[str]:
    """Return the names of the client's custom tools. An upstream without them calls functions of those names."""
    conversation = narrow_call(call, ConversationCall).conversation
    if conversation is None:
        return frozenset()
    return frozenset(tool.name for tool in conversation.tools if isinstance(tool, CustomTool))


def finish_reason(stop: Stop | None, *, has_calls: bool, has_refusal: bool) -> str:
    if stop is None:
        return "stop"
    if stop.reason == "refusal" and has_refusal:
        return "stop"  # the refusal is said in its own field
    word = _FINISH[stop.reason]
    return "tool_calls" if has_calls and word == "stop" and stop.reason != "malformed_tool_call" else word


def encode_usage(usage: Usage) -> dict[str, Any]:
    """Write usage as OpenAI counts: cached and audio tokens are part of the prompt, reasoning of the completion."""
    prompt: dict[str, int] = {"cached_tokens": usage.cache_read_tokens, "audio_tokens": usage.input_audio_tokens}
    if usage.cache_write_tokens:
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.total_input_tokens,
        "completion_tokens": usage.total_output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def head_of(response_id: str, created_s: int, model: str, kind: str) -> dict[str, Any]:
    return {
        "id": response_id or new_id("chatcmpl-"),
        "object": kind,
        "created": created_s or int(time.time()),
        "model": model,
    }


def add_served(head: dict[str, Any], service_tier: str, system_fingerprint: str) -> None:
    """Add what the upstream says of its serving; clients check the tier against OpenAI's words."""
    if service_tier in _TIERS:
        head["service_tier"] = service_tier
    if system_fingerprint:
        head["system_fingerprint"] = system_fingerprint


def encode_answer(response: Response, call: Call, losses: LossReport) -> bytes:
    body = head_of(response.id, response.created_s, call.model, "chat.completion")
    writer = _Writer(is_legacy=knows_functions_only(call), custom=free_text_tools(call), losses=losses)
    body["choices"] = [writer.choice(choice, index) for index, choice in enumerate(response.choices)]
    if response.usage is not None:
        body["usage"] = encode_usage(response.usage)
    add_served(body, response.service_tier, response.system_fingerprint)
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
        said = {"content": logprobs, "refusal": None} if logprobs else None
        return {"index": index, "message": message, "logprobs": said, "finish_reason": reason}

    def _message(self, choice: Choice) -> tuple[dict[str, Any], list[Any]]:
        texts: list[str] = []
        refusals: list[str] = []
        thoughts: list[Reasoning] = []
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
                    thoughts.append(part)
                case ToolCall():
                    added["tool_calls"].append(encode_call(with_text(part, self._custom)))
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
        if thought := shown(thoughts):
            message["reasoning_content"] = thought
        if details := [entry_of(part.token, part) for part in thoughts if part.token is not None]:
            message["reasoning_details"] = details
        message |= {name: values for name, values in added.items() if values}
        if audio is not None:
            message["audio"] = audio
        return message, logprobs


def with_text(call: ToolCall, custom: frozenset[str]) -> ToolCall:
    """Return the call of a custom tool with its text, where the upstream knew the tool as a function of one text."""
    if call.kind == "custom" or call.name not in custom:
        return call
    return structs.replace(call, kind="custom", arguments=custom_tool_input(call.arguments))


def annotations_of(citations: list[Citation], offset: int, length: int, losses: LossReport) -> list[dict[str, Any]]:
    """Write what can be cited by URL. `offset` and `length` say where the text stands in the whole content."""
    found = []
    for citation in citations:
        if not citation.url:
            losses.dropped(_ANNOTATIONS)
            continue
        start = offset + max(citation.start, 0)
        end = offset + (citation.end if citation.end >= 0 else length)
        cited = {"start_index": start, "end_index": end, "title": citation.title, "url": citation.url}
        found.append({"type": "url_citation", "url_citation": cited})
    return found


def complete_logprobs(tokens: Any) -> list[dict[str, Any]]:
    """Return the tokens with every member that OpenAI's have, which not every upstream sends."""
    return [_complete(token) | {"top_logprobs": _tokens_in(token.get("top_logprobs"))} for token in _objects(tokens)]


def _tokens_in(tokens: Any) -> list[dict[str, Any]]:
    return [_complete(token) for token in _objects(tokens)]


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _complete(token: dict[str, Any]) -> dict[str, Any]:
    return token if "bytes" in token else {**token, "bytes": list(str(token.get("token", "")).encode())}


def encode_call(call: ToolCall) -> dict[str, Any]:
    """Write a whole call, or, without arguments, the opening of one."""
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
        # Bare, it would be relayed to whoever answers next, who may refuse it.
        is_bare = call.token.dialect == "gemini" and not call.token.origin
        value = call.token.value if is_bare else wrap_token(call.token)
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
