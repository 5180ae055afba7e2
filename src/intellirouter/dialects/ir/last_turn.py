"""Splits a conversation into its last user turn and everything else."""

import msgspec
from msgspec import Struct

from intellirouter.dialects.ir.conversation import Conversation, Message
from intellirouter.dialects.ir.parts import Reasoning, Refusal, Text


class LastTurn(Struct, frozen=True, kw_only=True):
    """The last turn of a conversation that consists of text."""

    text: str
    instructions: str
    """The text of all other turns that are not the model's, including system and developer messages."""
    answers: str
    """The text of the model's turns, with its reasoning."""
    rest: Conversation
    """The conversation with empty texts in the last turn."""


def last_turn_of(conversation: Conversation) -> LastTurn | None:
    """Return the last turn, or None if it is not the user's, or if any turn has parts other than text.

    Reasoning and refusals of the model count as text. Media, tool calls and their results do not.
    """
    if not conversation.messages:
        return None
    *context, last = conversation.messages
    text = _text_of(last)
    if last.role != "user" or text is None:
        return None
    texts: dict[bool, list[str]] = {True: [], False: []}
    for message in context:
        content = _text_of(message)
        if content is None:
            return None
        texts[message.role == "assistant"].append(content)
    emptied = [msgspec.structs.replace(part, text="") for part in last.parts if isinstance(part, Text)]
    messages = [*context, msgspec.structs.replace(last, parts=emptied)]
    return LastTurn(
        text=text,
        instructions="\n".join(texts[False]),
        answers="\n".join(texts[True]),
        rest=msgspec.structs.replace(conversation, messages=messages),
    )


def _text_of(message: Message) -> str | None:
    texts: list[str] = []
    for part in message.parts:
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case Reasoning():
                texts.append(part.text or "\n".join(part.summary))
            case _:
                return None
    return "\n".join(texts)
