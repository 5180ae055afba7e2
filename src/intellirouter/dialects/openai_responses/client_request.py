"""Reads the members of a request that routing needs. The other members are read only to translate or edit it.

Source: OpenAI API reference, "Create a model response". Unknown members are not checked.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import EMPTY_CONTEXT, Call, RequestContext, errors
from intellirouter.dialects.calls import ConversationCall, narrow_call
from intellirouter.dialects.openai_responses.fields import DIALECT, invalid_value
from intellirouter.dialects.wire import value_ranges
from intellirouter.dialects.wire.duplicates import check_nested
from intellirouter.dialects.wire.json_reader import missing
from intellirouter.dialects.wire.request_validation import check_model, decode_body
from intellirouter.dialects.wire.reserved_members import ReservedMembers

_MAX_TOKENS: Final = 2**53
"""Larger numbers would not fit the integers that count and price tokens."""
_ROLES: Final = frozenset({"user", "assistant", "system", "developer"})
_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
_RESULTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_TOOL_CHOICES: Final = frozenset({"none", "auto", "required"})
_INCLUDE_ENCRYPTED_CONTENT: Final = "reasoning.encrypted_content"


class Item(Struct):
    """One item of the input. Without `type`, it is a message."""

    type: str | None = None
    role: str | None = None
    call_id: str | None = None
    content: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()


class Tool(Struct):
    type: str


class TextConfig(Struct):
    format: dict[str, Any] | None = None
    verbosity: str | None = None


class ReasoningConfig(Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class ResponsesRequest(ReservedMembers):
    """The members whose types are validated. The order is that of the reference."""

    model: str
    input: str | list[Item] | None = None
    stream: bool | None = None
    instructions: str | None = None
    include: list[str] | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    background: bool | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    reasoning: ReasoningConfig | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream_options: dict[str, Any] | None = None
    temperature: float | None = None
    text: TextConfig | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[Tool] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    truncation: str | None = None
    user: str | None = None

    @property
    def wants_encrypted_content(self) -> bool:
        """Whether the response contains encrypted reasoning: on request, or because it is stored for the next turn."""
        return self.store is not False or _INCLUDE_ENCRYPTED_CONTENT in (self.include or ())

    @property
    def wants_summary(self) -> bool:
        reasoning = self.reasoning
        return reasoning is not None and bool(reasoning.summary or reasoning.generate_summary)


class ResponsesCall(ConversationCall, kw_only=True):
    source: ResponsesRequest


_decoder: Final = msgspec.json.Decoder(ResponsesRequest)


def decode_request(body: bytes, context: RequestContext = EMPTY_CONTEXT) -> ResponsesCall:
    """Validate and read the members that routing needs. Raises `InvalidRequest`."""
    request = decode_body(_decoder, body)
    _check_request(request)
    if isinstance(request.input, list):
        check_nested(body, sum([item.role is not None for item in request.input]))
    output_format = request.text.format if request.text is not None else None
    return ResponsesCall(
        operation="chat",
        model=request.model,
        body=body,
        dialect=DIALECT,
        context=context,
        is_stream=bool(request.stream),
        wants_usage=True,
        needs=_needs(request, body),
        wants_json=output_format is not None and output_format.get("type") == "json_object",
        max_output_tokens=request.max_output_tokens,
        source=request,
    )


def source_of(call: Call) -> ResponsesRequest:
    """Return the members that `decode_request` has read."""
    return narrow_call(call, ResponsesCall).source


def _check_request(request: ResponsesRequest) -> None:
    check_model(request.model)
    has_other_input = request.previous_response_id or request.conversation or request.prompt
    if not request.input and not has_other_input:
        if request.input is None:
            raise missing("input")
        raise errors.InvalidRequest(
            "One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided.",
            code="missing_required_parameter",
            param="input",
        )
    for index, item in enumerate(request.input if isinstance(request.input, list) else ()):
        if item.type in {None, "message"} and not (item.type is None and item.role is None):
            if item.role is None:
                raise missing(f"input[{index}].role")
            if item.role not in _ROLES:
                raise invalid_value(f"input[{index}].role", item.role, "'assistant', 'system', 'developer' and 'user'")
    if isinstance(request.tool_choice, str) and request.tool_choice not in _TOOL_CHOICES:
        raise invalid_value("tool_choice", request.tool_choice, "'none', 'auto' and 'required'")
    if isinstance(request.input, list) and not has_other_input:
        _check_results(request.input)
    if request.max_output_tokens is not None:
        value_ranges.check_integer("max_output_tokens", request.max_output_tokens, 1, _MAX_TOKENS)
    value_ranges.check_sampling(request)
    value_ranges.check_top_logprobs(request.top_logprobs)
    output = request.text.format if request.text is not None else None
    if output is not None and isinstance(kind := output.get("type"), str) and not value_ranges.is_output_format(kind):
        raise invalid_value("text.format.type", kind, "'text', 'json_schema' and 'json_object'")


def _check_results(items: list[Item]) -> None:
    """Raise `InvalidRequest` if the result of a call has no call before it."""
    calls: set[str | None] = set()
    for item in items:
        if item.type in _CALLS:
            calls.add(item.call_id)
        elif item.type == "item_reference":
            return  # It may be the call.
        elif item.type in _RESULTS and item.call_id is not None and item.call_id not in calls:
            raise errors.InvalidRequest(
                f"No tool call found for function call output with call_id {item.call_id[:100]}.",
                code="invalid_value",
                param="input",
            )


_NO_NEEDS: Final[frozenset[str]] = frozenset()
_MEDIA_NEEDS: Final = {b'"input_image"': "vision", b'"input_file"': "files", b'"input_audio"': "audio"}


def _needs(request: ResponsesRequest, body: bytes) -> frozenset[str]:
    needs: set[str] = set()
    if request.tools:
        needs.add("tools")
    output_format = request.text.format if request.text is not None else None
    if output_format is not None and output_format.get("type") == "json_schema":
        needs.add("json_schema")
    # The bytes include the quotes, so they are a complete JSON string. The items are searched only if the body has one.
    for mark, need in _MEDIA_NEEDS.items():
        if mark in body and isinstance(request.input, list) and _contains(request.input, mark):
            needs.add(need)
    return frozenset(needs) if needs else _NO_NEEDS


def _contains(items: list[Item], mark: bytes) -> bool:
    return any(mark in bytes(item.content) or mark in bytes(item.output) for item in items)
