"""The passthrough of OpenAI chat completions: reads what the gateway needs, and relays everything else unchanged.

Source: OpenAI API reference, "Create chat completion". Unknown members are relayed to the upstream.
"""

from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType

from intellirouter.core import (
    EMPTY_CONTEXT,
    NO_QUIRKS,
    Call,
    Deployment,
    LossReport,
    RequestContext,
    UpstreamRequest,
    errors,
)
from intellirouter.dialects.adapt.repetition import MIN_REPETITION_CHARS
from intellirouter.dialects.adapt.stop_sequences import CHAT_STOPS, has_more_stops, max_chat_stops, usable_stops
from intellirouter.dialects.calls import ConversationCall, narrow_call
from intellirouter.dialects.error_causes import FAILED_FINISHES
from intellirouter.dialects.openai import upstream_errors
from intellirouter.dialects.openai.usage import read_usage
from intellirouter.dialects.openai_chat.passthrough_stream import ChatStreamRelay
from intellirouter.dialects.openai_chat.quirks import FIELD_NAMES, apply_quirks, may_apply
from intellirouter.dialects.openai_chat.relayed_answer import (
    AnswerKind,
    check_texts,
    read_answer,
    with_members,
)
from intellirouter.dialects.protocols import Answer, Route, StreamRelay
from intellirouter.dialects.wire import value_ranges
from intellirouter.dialects.wire.duplicates import check_nested
from intellirouter.dialects.wire.json_edit import append_member, json_string, model_spans, replace, top_level_spans
from intellirouter.dialects.wire.json_encode import encode_document
from intellirouter.dialects.wire.json_reader import missing, wrong_value
from intellirouter.dialects.wire.request_validation import check_model, decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers
from intellirouter.dialects.wire.unique_members import NOT_STREAMED, UniqueDecoder, UniqueModel, UniqueStream

_MAX_TOKENS: Final = 2**53
"""The upper bound, because the integers of JSON are unlimited and those of the ledger are not."""
_ROLES: Final = frozenset({"developer", "system", "user", "assistant", "tool", "function"})
_PART_NEEDS: Final = {"image_url": "vision", "input_audio": "audio", "file": "files", "video_url": "video"}
_USAGE_OPT_IN: Final = b'"stream_options":{"include_usage":true}'


class Part(Struct):
    type: str
    text: str | None = None


class FunctionCall(Struct):
    name: str | None = None
    arguments: str | None = None


class ToolCall(Struct):
    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None


class Message(Struct):
    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    audio: Any = None
    """An earlier answer that was spoken, by its id."""


class Function(Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Struct):
    type: str
    function: Function | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


def wants_usage(options: StreamOptions | UnsetType | None) -> bool:
    """Return whether the client has requested the usage of a stream."""
    return isinstance(options, StreamOptions) and bool(options.include_usage)


class ResponseFormat(Struct):
    type: str


class ChatRequest(ReservedMembers):
    """The members whose types the gateway validates. The order of optional ones follows the reference."""

    model: UniqueModel
    messages: list[Message]
    stream: UniqueStream = NOT_STREAMED
    stream_options: StreamOptions | UnsetType | None = UNSET
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    seed: int | None = None
    user: str | None = None
    tools: list[Tool] | None = None
    functions: Any = None
    """The deprecated form of `tools`. The upstream validates it."""
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    metadata: Any = None
    prompt_cache_key: Any = None
    modalities: Any = None
    """Affinity and pins read the last three. The upstream validates them."""


class ChatCall(ConversationCall, kw_only=True):
    source: ChatRequest


class RequestOptions(Protocol):
    """The members of a request that the passthrough reads."""

    @property
    def n(self) -> int | None: ...

    @property
    def temperature(self) -> float | None: ...

    @property
    def stop(self) -> str | list[str] | None: ...

    @property
    def stream_options(self) -> StreamOptions | UnsetType | None: ...


_decode_request: Final = UniqueDecoder(ChatRequest)
_decode_object: Final = msgspec.json.Decoder(dict[str, Any])


class OpenAIChatPassthrough(Route):
    """`POST /chat/completions` with the OpenAI dialect on both sides."""

    dialect = "openai_chat"
    is_local = False
    path = "/chat/completions"
    answer_kind = AnswerKind("chat.completion", "chatcmpl-")

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> ConversationCall:  # noqa: ARG002 - everything is in the body
        request = decode_body(_decode_request, body)
        check_nested(body, len(request.messages), _check(request))
        return ChatCall(
            operation="chat",
            model=str(request.model),
            body=body,
            is_stream=bool(request.stream),
            wants_usage=wants_usage(request.stream_options),
            needs=_needs(request),
            wants_json=request.response_format is not None and request.response_format.type == "json_object",
            max_output_tokens=request.max_completion_tokens or request.max_tokens,
            is_checked=True,
            source=request,
        )

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        quirks = deployment.quirks
        if has_more_stops(self.options_of(call).stop, CHAT_STOPS) and max_chat_stops(deployment.vendor) is not None:
            return self._adapted_request(call, deployment)
        if quirks is NO_QUIRKS:
            return UpstreamRequest(path=self.path, body=self.edited(call, deployment.upstream_model))
        if may_apply(call.body, self.options_of(call).temperature, quirks):
            return self._adapted_request(call, deployment)
        body = self.edited(call, deployment.upstream_model, requests_usage=quirks.takes_stream_options)
        return UpstreamRequest(path=self.path, body=body)

    def options_of(self, call: Call) -> RequestOptions:
        return narrow_call(call, ChatCall).source

    def _adapted_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Return the request with the changes that the vendor's quirks require."""
        body = decode_body(_decode_object, call.body)
        body["model"] = deployment.upstream_model
        if call.is_stream:
            options = body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        losses = LossReport(FIELD_NAMES)
        limit = max_chat_stops(deployment.vendor)
        if has_more_stops(body.get("stop"), limit):
            body["stop"] = usable_stops(body["stop"], losses, max_count=limit)
        apply_quirks(body, deployment.quirks, losses)
        return UpstreamRequest(path=self.path, body=encode_document(body), losses=losses.taken())

    def edited(self, call: Call, upstream_model: str, *, requests_usage: bool = True) -> bytes:
        """Return the client's body with the upstream's model and the usage opt-in, and no other change."""
        body = call.body
        if upstream_model != call.model:
            body = replace(body, model_spans(body, call.model, is_unique=call.is_checked), json_string(upstream_model))
        if requests_usage and call.is_stream and not call.wants_usage:
            body = _request_usage(body, self.options_of(call).stream_options is not UNSET)
        return body

    def decode_response(
        self,
        body: bytes,
        call: Call | None = None,  # noqa: ARG002 - required by the protocol
        deployment: Deployment | None = None,  # noqa: ARG002
    ) -> Answer:
        response = read_answer(body)
        if response.error:
            raise upstream_errors.decode_error_in_200(body)
        if not response.choices:
            reported = upstream_errors.error_without_answer(body) if response.choices is None else None
            raise reported or errors.UpstreamMalformed("The upstream returned a chat completion without `choices`.")
        choice = response.choices[0]
        if choice.error:
            raise upstream_errors.decode_error_in_200(msgspec.json.encode({"error": choice.error}))
        if choice.finish_reason in FAILED_FINISHES:
            raise upstream_errors.failed_finish(choice.finish_reason)
        if len(body) >= MIN_REPETITION_CHARS:
            try:
                check_texts(body, response.choices)
            except errors.UpstreamMalformed as error:
                error.usage = read_usage(response.usage)
                raise
        usage = read_usage(response.usage)
        if None in [each.finish_reason for each in response.choices]:
            return Answer(usage, None, with_members(body, self.answer_kind))
        has_types = response.id.__class__ is str and response.object.__class__ is str
        if has_types and response.created.__class__ is int:
            return Answer(usage, choice.finish_reason)
        return Answer(usage, choice.finish_reason, with_members(body, self.answer_kind))

    def relay(self, call: Call, deployment: Deployment | None = None) -> StreamRelay:  # noqa: ARG002
        return ChatStreamRelay(keeps_usage=call.wants_usage)

    decode_error = staticmethod(upstream_errors.decode_error)


def _check(request: ChatRequest) -> int | None:
    """Raise `InvalidRequest`. Returns the number of messages if all of them are plain texts and there are no tools."""
    check_model(request.model)
    if not request.messages:
        raise errors.InvalidRequest(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            code="empty_array",
            param="messages",
        )
    has_results, is_text = False, request.tools is None
    for index, message in enumerate(request.messages):
        if message.role not in _ROLES:
            raise errors.InvalidRequest(
                f"Invalid value: {message.role[:100]!r}. Supported values are: {', '.join(sorted(_ROLES))}.",
                code="invalid_value",
                param=f"messages[{index}].role",
            )
        has_results = has_results or message.role == "tool"
        is_text = is_text and message.content.__class__ is str and not (message.tool_calls or message.name)
    if has_results:
        _check_results(request.messages)
    _check_values(request)
    return len(request.messages) if is_text and not has_results else None


def _check_values(request: ChatRequest) -> None:
    if request.n is not None:
        value_ranges.check_integer("n", request.n, 1, 128)
    if request.max_tokens is not None:
        value_ranges.check_integer("max_tokens", request.max_tokens, 0, _MAX_TOKENS)
    if request.max_completion_tokens is not None:
        value_ranges.check_integer("max_completion_tokens", request.max_completion_tokens, 0, _MAX_TOKENS)
    value_ranges.check_sampling(request)
    value_ranges.check_penalties(request)
    value_ranges.check_top_logprobs(request.top_logprobs)
    output = request.response_format
    if output is not None and not value_ranges.is_output_format(output.type):
        raise wrong_value("response_format.type", output.type, "'json_object', 'json_schema', and 'text'")


def _check_results(messages: list[Message]) -> None:
    """Raise `InvalidRequest` if a tool message answers no earlier call. Some clients leave out the ids."""
    called: set[str | None] = set()
    for index, message in enumerate(messages):
        if message.tool_calls:
            called.update(call.id for call in message.tool_calls)
        elif message.role == "tool":
            if not (called or message.tool_call_id):
                raise missing(f"messages[{index}].tool_call_id")
            has_no_id = not message.tool_call_id or None in called
            if not (message.tool_call_id in called or (called and has_no_id)):
                raise errors.InvalidRequest(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'.",
                    code="invalid_value",
                    param=f"messages[{index}].role",
                )


_NO_NEEDS: Final[frozenset[str]] = frozenset()


def _needs(request: ChatRequest) -> frozenset[str]:
    needs: set[str] = set()
    if request.tools or request.functions:
        needs.add("tools")
    if request.response_format is not None and request.response_format.type == "json_schema":
        needs.add("json_schema")
    for message in request.messages:
        if message.content.__class__ is list:
            needs.update(_PART_NEEDS[part.type] for part in message.content if part.type in _PART_NEEDS)
    return frozenset(needs) if needs else _NO_NEEDS


def _request_usage(body: bytes, has_options: bool) -> bytes:  # noqa: FBT001
    """Return the body with the opt-in for the usage chunk, which the relay removes from the stream."""
    spans = top_level_spans(body, "stream_options") if has_options else []
    if not spans:
        return append_member(body, _USAGE_OPT_IN)
    start, end = spans[-1]
    return replace(body, spans, _with_usage(body[start:end]))


def _with_usage(options: bytes) -> bytes:
    """Return `stream_options`, which is an object or null, with the opt-in and no other change."""
    if spans := top_level_spans(options, "include_usage"):
        return replace(options, spans, b"true")
    if options.strip(b"{} \t\r\n") in {b"", b"null"}:
        return b'{"include_usage":true}'
    return append_member(options, b'"include_usage":true')
