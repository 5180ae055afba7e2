"""Edited calls: a stage replaces the conversation of a call, and the fields that routing reads are updated."""

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from intellirouter.dialects.calls import ConversationCall
from intellirouter.dialects.ir import Conversation, Media, ToolResult
from intellirouter.dialects.wire.token_estimate import estimate_difference

_SETTINGS: Final = (
    "tools",
    "tool_choice",
    "output",
    "reasoning",
    "sampling",
    "user",
    "metadata",
    "service_tier",
    "cache_key",
    "modalities",
    "extras",
)
_MEDIA_NEEDS: Final = {"image": "vision", "audio": "audio", "video": "video", "document": "files"}


def edited_call(call: ConversationCall, before: Conversation, after: Conversation) -> ConversationCall:
    """Return the call with the conversation `after` instead of `before`; the same call if they are equal.

    The client's request in the call does not change. The model and the settings of the stream cannot be edited.
    """
    after = structs.replace(
        after, dialect=before.dialect, model=before.model, is_stream=before.is_stream, wants_usage=before.wants_usage
    )
    if after == before:
        return call
    old_needs, new_needs = needs_of(before), needs_of(after)
    limit = call.max_output_tokens
    if after.sampling.max_output_tokens != before.sampling.max_output_tokens:
        limit = after.sampling.max_output_tokens
    return structs.replace(
        call,
        edited=after,
        is_edited=True,
        wants_json=after.output is not None and after.output.kind == "json_object",
        needs=(call.needs - (old_needs - new_needs)) | (new_needs - old_needs),
        max_output_tokens=limit,
        added_tokens=call.added_tokens + estimate_difference(before, after),
    )


def only_differences(before: Conversation, after: Conversation) -> tuple[Conversation, Conversation]:
    """Return both conversations without the settings in which they are equal, but with all messages.

    A setting that the encoder rejects then only matters if it has been edited.
    """
    same = [name for name in _SETTINGS if getattr(before, name) == getattr(after, name)]
    if "tools" in same and "tool_choice" not in same:
        same.remove("tools")  # Encoders need the tools to encode the choice.
    defaults = Conversation(dialect=before.dialect, model=before.model)
    reset = {name: getattr(defaults, name) for name in same}
    return structs.replace(before, **reset), structs.replace(after, **reset)


def needs_of(conversation: Conversation) -> frozenset[str]:
    """Return the capabilities that a conversation relies on, as `Call.needs` names them."""
    return frozenset(_needs(conversation))


def _needs(conversation: Conversation) -> Iterator[str]:
    if conversation.tools:
        yield "tools"
    if conversation.output is not None and conversation.output.kind == "json_schema":
        yield "json_schema"
    for message in conversation.messages:
        for part in message.parts:
            for each in part.parts if isinstance(part, ToolResult) else (part,):
                if isinstance(each, Media):
                    yield _MEDIA_NEEDS[each.kind]
