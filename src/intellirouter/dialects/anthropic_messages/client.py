"""The client side: `POST /v1/messages` and `POST /v1/messages/count_tokens`."""

import re
from typing import Final

import msgspec

from intellirouter.core import Call, LossReport, Operation, RequestContext, errors
from intellirouter.dialects.anthropic_messages.client_request import decode_conversation
from intellirouter.dialects.anthropic_messages.client_response import write_message
from intellirouter.dialects.anthropic_messages.client_stream import MessageStream
from intellirouter.dialects.anthropic_messages.wire import (
    BLOCKS_DECODER,
    DIALECT,
    HEAD_DECODER,
    BlockHead,
    MessageHead,
    MessagesCall,
    RequestHead,
    missing_field,
    read_body,
)
from intellirouter.dialects.calls import ConversationCall
from intellirouter.dialects.ir import Conversation, Response
from intellirouter.dialects.wire.duplicates import check_nested
from intellirouter.dialects.wire.request_validation import check_model

_ROLES: Final = frozenset({"user", "assistant", "system"})
_find_file_block: Final = re.compile(rb'"(?:image|document)"').search
_NEEDS_BY_BLOCK: Final = {"image": "vision", "document": "files"}
_MAX_TOKENS: Final = 2**53
"""JSON integers are unbounded, but the integers that count and price tokens are not."""
_NO_NEEDS: Final[frozenset[str]] = frozenset()


class MessagesClient:
    """Implements `protocols.ChatClient`."""

    dialect = DIALECT
    field_names: Final = {
        "max_output_tokens": "max_tokens",
        "stop": "stop_sequences",
        "output": "output_config.format",
        "output.schema": "output_config.format.schema",
        "reasoning": "thinking",
        "user": "metadata.user_id",
        "is_parallel": "tool_choice.disable_parallel_tool_use",
    }
    operation: Operation = "chat"

    def decode_request(self, body: bytes, context: RequestContext) -> ConversationCall:
        head = read_body(HEAD_DECODER, body)
        check_model(head.model)
        _check_messages(head)
        check_nested(body, len(head.messages), _count_texts(head))
        _check_sampling(head)
        self._check_max_tokens(head.max_tokens)
        return MessagesCall(
            operation=self.operation,
            model=str(head.model),
            body=body,
            dialect=DIALECT,
            context=context,
            is_stream=bool(head.stream) and self.operation == "chat",
            wants_usage=True,
            needs=_needs(head),
            max_output_tokens=head.max_tokens,
            is_checked=True,
            source=head,
        )

    def _check_max_tokens(self, max_tokens: int | None) -> None:
        if max_tokens is None:
            raise missing_field("max_tokens")
        if max_tokens < 0:
            raise _invalid_value("max_tokens: Input should be greater than or equal to 0", "max_tokens")
        if max_tokens > _MAX_TOKENS:
            raise _invalid_value(f"max_tokens: Input should be less than or equal to {_MAX_TOKENS}", "max_tokens")

    def decode(self, call: Call) -> Conversation:
        return decode_conversation(call)

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        return write_message(response, call, losses)

    def stream(self, call: Call, losses: LossReport) -> MessageStream:
        return MessageStream(call, losses)


class CountTokensClient(MessagesClient):
    """Decodes requests that only count tokens. They have the same body, in which `max_tokens` is optional."""

    operation = "count_tokens"

    def _check_max_tokens(self, max_tokens: int | None) -> None:
        if max_tokens is not None:
            super()._check_max_tokens(max_tokens)

    def encode_count(self, tokens: int, call: Call) -> bytes:  # noqa: ARG002 - required by the protocol
        return msgspec.json.encode({"input_tokens": tokens})


def _check_messages(head: RequestHead) -> None:
    if not head.messages:
        raise errors.InvalidRequest("messages: at least one message is required", code="empty_array", param="messages")
    has_blocks = False
    for index, message in enumerate(head.messages):
        has_blocks = has_blocks or message.content.__class__ is list
        if message.role not in _ROLES:
            raise errors.InvalidRequest(
                f"messages.{index}.role: Input should be 'user', 'assistant' or 'system'",
                code="invalid_value",
                param=f"messages.{index}.role",
            )
    if has_blocks:
        _check_results(head.messages)


def _count_texts(head: RequestHead) -> int | None:
    """Return how many messages there are if all of them are texts, and there are no tools."""
    is_text = not head.tools and all(message.content.__class__ is str for message in head.messages)
    return len(head.messages) if is_text else None


def _check_results(messages: list[MessageHead]) -> None:
    """Raise `InvalidRequest` if a tool result has no call in an earlier message."""
    called: set[str | None] = set()
    for index, message in enumerate(messages):
        for number, block in enumerate(message.content if message.content.__class__ is list else ()):
            assert isinstance(block, BlockHead)  # noqa: S101 - the only type of items
            if block.type != "tool_result":
                called.add(block.id)
            elif block.tool_use_id is not None and block.tool_use_id not in called:
                raise errors.InvalidRequest(
                    f"messages.{index}.content.{number}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block.tool_use_id[:100]}. Each `tool_result` block must have a corresponding `tool_use` block "
                    "in the previous message.",
                    code="invalid_value",
                    param=f"messages.{index}.content.{number}",
                )


def _check_sampling(head: RequestHead) -> None:
    for name, value in (("temperature", head.temperature), ("top_p", head.top_p)):
        if value is not None and not 0 <= value <= 1:
            bound = "greater than or equal to 0" if value < 0 else "less than or equal to 1"
            raise _invalid_value(f"{name}: Input should be {bound}", name)


def _invalid_value(message: str, param: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(message, code="invalid_value", param=param)


def _needs(head: RequestHead) -> frozenset[str]:
    needs: set[str] = set()
    if head.tools:
        needs.add("tools")
    if head.output_format is not None or (head.output_config is not None and head.output_config.format is not None):
        needs.add("json_schema")
    for message in head.messages:
        if message.content.__class__ is list:
            _add_needs(message.content, needs)
    return frozenset(needs) if needs else _NO_NEEDS


def _add_needs(blocks: list[BlockHead], needs: set[str]) -> None:
    for block in blocks:
        if block.type in _NEEDS_BY_BLOCK:
            needs.add(_NEEDS_BY_BLOCK[block.type])
        elif block.type == "tool_result" and _find_file_block(bytes(block.content)):
            _add_needs(_blocks_in_result(block), needs)


def _blocks_in_result(block: BlockHead) -> list[BlockHead]:
    """Read the blocks of a tool result. Invalid content is reported if the request is translated."""
    try:
        return BLOCKS_DECODER.decode(block.content)
    except msgspec.ValidationError:
        return []
