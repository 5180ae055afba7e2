"""Legacy completions for an upstream that also serves them. Source: OpenAI API reference, "Create completion"."""

from typing import Final

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
from intellirouter.dialects.openai_chat.relayed_answer import AnswerKind
from intellirouter.dialects.wire import value_ranges
from intellirouter.dialects.wire.request_validation import check_model, decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers

_MAX_CHOICES: Final = 128
_MAX_TOKENS: Final = 2**53
_MAX_BEST_OF: Final = 20
_MAX_LOGPROBS: Final = 5


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
    answer_kind = AnswerKind("text_completion", "cmpl-")

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> ConversationCall:  # noqa: ARG002 - everything is in the body
        request = decode_body(_decode_request, body)
        check_model(request.model)
        _check_values(request)
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


def _check_values(request: CompletionRequest) -> None:
    """Raise `InvalidRequest` for a value out of its range, as for chat completions."""
    bounds = (
        ("n", request.n, 1, _MAX_CHOICES),
        ("best_of", request.best_of, 1, _MAX_BEST_OF),
        ("max_tokens", request.max_tokens, 0, _MAX_TOKENS),
        ("logprobs", request.logprobs, 0, _MAX_LOGPROBS),
    )
    for name, value, low, high in bounds:
        if value is not None:
            value_ranges.check_integer(name, value, low, high)
    value_ranges.check_sampling(request)
    value_ranges.check_penalties(request)
    if request.best_of is not None and request.best_of < (request.n or 1):
        raise errors.InvalidRequest(
            f"Invalid 'best_of': it must be at least `n` ({request.n}), but got {request.best_of} instead.",
            code="invalid_value",
            param="best_of",
        )
