"""Images and documents in the answers of a history, which most vendors accept only in messages of the user.

Models that generate images answer with them, and their clients send them back in the next turn.
"""

from msgspec import structs

from intellirouter.core import LossReport
from intellirouter.dialects.ir import Conversation, Media, Message, Part, Text

_KINDS = frozenset({"image", "document"})


def with_answer_media_of_user(conversation: Conversation, losses: LossReport) -> Conversation:
    """Return the conversation, in which the user sends the images and documents of the answers."""
    if not any(_is_movable(part) for each in conversation.messages if each.role == "assistant" for part in each.parts):
        return conversation
    losses.add("messages[].content[]", "converted", "media of an answer sent as user")
    messages: list[Message] = []
    moved: list[Part] = []
    for message in conversation.messages:
        if message.role == "user" and moved:
            messages.append(structs.replace(message, parts=[*moved, *message.parts]))
            moved = []
        elif message.role == "assistant":
            if moved:
                messages.append(Message(role="user", parts=moved))
            moved = [each for part in message.parts if _is_movable(part) for each in (_label_of(part), part)]
            kept = [part for part in message.parts if not _is_movable(part)]
            messages.append(structs.replace(message, parts=kept) if moved else message)
        else:
            messages.append(message)
    if moved:
        messages.append(Message(role="user", parts=moved))
    return structs.replace(conversation, messages=messages)


def _is_movable(part: Part) -> bool:
    return isinstance(part, Media) and part.kind in _KINDS and part.source.file_id is None


def _label_of(part: Part) -> Text:
    kind = part.kind if isinstance(part, Media) else "file"
    return Text(text=f"The answer of the assistant contained this {kind}:")
