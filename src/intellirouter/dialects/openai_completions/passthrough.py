"""Legacy completions for an upstream that also serves them. Source: OpenAI API reference, "Create completion"."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from intellirouter.core import EMPTY_CONTEXT, Call, RequestContext, errors
from intellirouter.dialects.calls import ConversationCall, narrow_call
from intellirouter.dialects.openai_chat.passthrough import (
    OpenAIChatPassthrough,
    RequestOptions,
    StreamOptions,
    wants_usage,
)
from intellirouter.dialects.wire.request_validation import check_model, decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers

_MAX_CHOICES: Final = 128


class CompletionRequest(ReservedMembers):
    """The members whose types the gateway validates."""

    model: str
    prompt: str | list[str | int | list[int]] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | UnsetType | None = UNSET
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    user: str | None = None


class CompletionsCall(ConversationCall, kw_only=True):
    source: CompletionRequest


_decode_request: Final = msgspec.json.Decoder(CompletionRequest)


class CompletionsPassthrough(OpenAIChatPassthrough):
    """`POST /completions` with the OpenAI dialect on both sides. Responses are read like those of chat completions."""

    path = "/completions"

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> ConversationCall:  # noqa: ARG002 - everything is in the body
        request = decode_body(_decode_request, body)
        check_model(request.model)
        _check_range("n", request.n, 1, _MAX_CHOICES)
        _check_range("max_tokens", request.max_tokens, 0, 2**53)
        if request.prompt == []:
            raise errors.InvalidRequest(
                "Invalid 'prompt': empty array. Expected an array with minimum length 1.",
                code="empty_array",
                param="prompt",
            )
        return CompletionsCall(
            operation="completions",
            model=request.model,
            body=body,
            is_stream=bool(request.stream),
            wants_usage=wants_usage(request.stream_options),
            max_output_tokens=request.max_tokens,
            source=request,
        )

    def options_of(self, call: Call) -> RequestOptions:
        return source_of(call)


def source_of(call: Call) -> CompletionRequest:
    """Return the request as `decode_request` read it."""
    return narrow_call(call, CompletionsCall).source


def _check_range(name: str, value: Any, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise errors.InvalidRequest(
            f"Invalid '{name}': expected a value between {low} and {high}, but got {value} instead.",
            code="integer_below_min_value" if value < low else "integer_above_max_value",
            param=name,
        )
