"""Tool results without their call, which Ollama accepts and other vendors reject: they become messages of the user.

Clients that shorten long histories produce them. Those of OpenAI, Anthropic and Google are refused before this.
"""

from msgspec import structs

from intellirouter.core import LossReport
from intellirouter.dialects.ir import Conversation, Message, Part, Text, ToolCall, ToolResult


def with_calls_for_results(conversation: Conversation, losses: LossReport) -> Conversation:
    """Return the conversation, in which each tool result follows its call."""
    if not any(message.role == "tool" for message in conversation.messages):
        return conversation
    called: set[str] = set()
    messages: list[Message] = []
    has_orphans = False
    for message in conversation.messages:
        if message.role == "tool" and any(_is_orphan(part, called) for part in message.parts):
            has_orphans = True
            messages += _split(message, called)
        else:
            called.update(part.id for part in message.parts if isinstance(part, ToolCall))
            messages.append(message)
    if not has_orphans:
        return conversation
    losses.add("messages", "converted", "tool result without its call sent as user")
    return structs.replace(conversation, messages=messages)


def _is_orphan(part: Part, called: set[str]) -> bool:
    return isinstance(part, ToolResult) and part.call_id not in called


def _split(message: Message, called: set[str]) -> list[Message]:
    """Return the results with a call, and after them those without one as a message of the user."""
    answered = [part for part in message.parts if not _is_orphan(part, called)]
    texts: list[Part] = []
    for part in message.parts:
        if isinstance(part, ToolResult) and _is_orphan(part, called):
            kind = "failed with" if part.is_error else "returned"
            texts += [Text(text=f"The tool {part.name} {kind}:" if part.name else f"A tool {kind}:"), *part.parts]
    written = [structs.replace(message, parts=answered)] if answered else []
    return [*written, Message(role="user", parts=texts)]
