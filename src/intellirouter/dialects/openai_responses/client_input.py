"""Reads input items as messages. The assistant's text, reasoning and tool calls of one turn become one message."""

from typing import Any, Final, Literal

from intellirouter.core import errors
from intellirouter.dialects.ir import Foreign, Media, Message, Opaque, Part, Reasoning, Role, Text, ToolCall, ToolResult
from intellirouter.dialects.openai_responses.client_content import read_content
from intellirouter.dialects.openai_responses.client_tools import ToolNames
from intellirouter.dialects.openai_responses.encrypted_content import read_encrypted_content
from intellirouter.dialects.openai_responses.fields import DIALECT, as_object, invalid_value, required_string
from intellirouter.dialects.wire.json_reader import READER, missing, unknown_members, wrong_type

_MESSAGE: Final = frozenset({"type", "role", "content", "id", "status"})
_CALL: Final = frozenset({"type", "id", "call_id", "name", "namespace", "arguments", "input", "status", "created_by"})
_RESULT: Final = frozenset({"type", "id", "call_id", "name", "namespace", "output", "status", "created_by"})
_REASONING: Final = frozenset({"type", "id", "summary", "content", "encrypted_content", "status"})
_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_ROLES_OF_FOREIGN_ITEMS: Final[dict[str, Role]] = {
    "mcp_approval_response": "tool",
    "additional_tools": "developer",
    "configuration_update": "developer",
    "compaction_trigger": "user",
}
"""The roles of items that only this dialect has. Other types have the role `tool` if they end with `_output`, else
`assistant`."""
_ROLES: Final = {"user", "assistant", "system", "developer"}


def item_type(item: dict[str, Any], path: str) -> str:
    """Return the type of an item. Messages and item references may omit it. Raises `InvalidRequest`."""
    kind = READER.text(item, "type", path)
    if kind:
        return kind
    if item.get("role") is not None:
        return "message"
    if isinstance(item.get("id"), str):
        return "item_reference"
    raise missing(f"{path}.type")


def read_input(value: Any, names: ToolNames) -> list[Message]:
    """Read `input`, which is a user message or a list of items. Raises `InvalidRequest`."""
    if value is None:
        return []
    if isinstance(value, str):
        return [Message(role="user", parts=[Text(text=value)])]
    if not isinstance(value, list):
        raise wrong_type("input", "one of a string or an array", value)
    builder = _MessageBuilder(names)
    for index, item in enumerate(value):
        builder.add_item(as_object(item, f"input[{index}]"), f"input[{index}]")
    return builder.build()


class _MessageBuilder:
    """Groups items into messages, in order."""

    def __init__(self, names: ToolNames) -> None:
        self._names = names
        self._messages: list[Message] = []
        self._pending_reasoning: list[Reasoning] = []
        """Reasoning that belongs to the assistant's next item."""
        self._has_message_item = False
        """Whether the last message is the assistant's and contains a message item."""
        self._call_tokens: dict[str, Opaque] = {}
        """Tokens of tool calls, by call id."""

    def add_item(self, item: dict[str, Any], path: str) -> None:
        kind = item_type(item, path)
        if kind == "message":
            self._add_message(item, path)
        elif kind in _CALLS:
            self._assistant_message().parts.append(self._read_call(item, kind, path))
        elif kind in _RESULTS:
            self._message_of("tool").parts.append(self._read_result(item, kind, path))
        elif kind == "reasoning":
            self._add_reasoning(item, path)
        else:
            role = _ROLES_OF_FOREIGN_ITEMS.get(kind, "tool" if kind.endswith("_output") else "assistant")
            message = self._assistant_message() if role == "assistant" else self._message_of(role)
            message.parts.append(Foreign(dialect=DIALECT, kind=kind, raw=item))

    def build(self) -> list[Message]:
        """Return the messages once all items have been added."""
        if self._pending_reasoning:
            self._assistant_message()
        for message in self._messages if self._call_tokens else ():
            for part in message.parts:
                if isinstance(part, ToolCall):
                    part.token = self._call_tokens.get(part.id)
        return self._messages

    def _message_of(self, role: Role) -> Message:
        """Return the message for an item of another role than the assistant's. Consecutive tool results share one."""
        if self._pending_reasoning:
            self._assistant_message()
        if not self._messages or self._messages[-1].role != role or role != "tool":
            self._messages.append(Message(role=role))
            self._has_message_item = False
        return self._messages[-1]

    def _assistant_message(self, *, for_message_item: bool = False) -> Message:
        """Return the assistant's message that the next item belongs to. A message has at most one message item."""
        last = self._messages[-1] if self._messages else None
        if last is None or last.role != "assistant" or (for_message_item and self._has_message_item):
            last = Message(role="assistant")
            self._messages.append(last)
            self._has_message_item = False
        last.parts += self._pending_reasoning
        self._pending_reasoning = []
        return last

    def _add_message(self, item: dict[str, Any], path: str) -> None:
        role = required_string(item, "role", path)
        if role not in _ROLES:
            raise invalid_value(f"{path}.role", role, "'assistant', 'system', 'developer' and 'user'")
        parts = read_content(item.get("content"), f"{path}.content")
        is_assistant = role == "assistant"
        message = self._assistant_message(for_message_item=True) if is_assistant else self._message_of(role)  # type: ignore[arg-type]
        self._has_message_item = is_assistant
        message.parts += parts
        message.id = READER.text(item, "id", path)
        message.extras = unknown_members(item, _MESSAGE)

    def _read_call(self, item: dict[str, Any], kind: str, path: str) -> ToolCall:
        member = _CALLS[kind]
        namespace, name = READER.text(item, "namespace", path), required_string(item, "name", path)
        arguments = READER.text(item, member, path)
        extras = unknown_members(item, _CALL)
        flat_name = self._names.flat_name(namespace, name)
        if namespace and self._names.client_name(flat_name) != (namespace, name):
            extras["namespace"] = namespace
        is_function = kind == "function_call"
        return ToolCall(
            id=required_string(item, "call_id", path),
            name=flat_name,
            arguments=arguments or ("{}" if is_function else ""),
            kind="function" if is_function else "custom",
            item_id=READER.text(item, "id", path),
            extras=extras,
        )

    def _read_result(self, item: dict[str, Any], kind: str, path: str) -> ToolResult:
        if item.get("output") is None:
            raise missing(f"{path}.output")
        namespace, name = READER.text(item, "namespace", path), READER.text(item, "name", path)
        result_kind: Literal["function", "custom"] = "function" if kind == "function_call_output" else "custom"
        return ToolResult(
            call_id=required_string(item, "call_id", path),
            name=self._names.flat_name(namespace, name) if name else "",
            parts=[
                _require_text_or_media(part, f"{path}.output")
                for part in read_content(item["output"], f"{path}.output")
            ],
            kind=result_kind,
            extras=unknown_members(item, _RESULT),
        )

    def _add_reasoning(self, item: dict[str, Any], path: str) -> None:
        summary = _read_texts(item, "summary", path)
        text = "".join(_read_texts(item, "content", path))
        part = Reasoning(
            text=text, summary=summary, id=READER.text(item, "id", path), extras=unknown_members(item, _REASONING)
        )
        if value := READER.text(item, "encrypted_content", path):
            content = read_encrypted_content(value)
            if content.call_id:
                self._call_tokens[content.call_id] = content.token
                if not text and not summary:
                    return
            else:
                part.token, part.is_redacted = content.token, content.is_redacted
            if content.token.dialect != DIALECT:
                # Another vendor signed the text. A client that requested summaries got this text as a summary.
                part.text, part.summary = text or "".join(summary), []
        self._pending_reasoning.append(part)


def _read_texts(item: dict[str, Any], member: str, path: str) -> list[str]:
    texts: list[str] = []
    for index, value in enumerate(READER.array(item, member, path)):
        place = f"{path}.{member}[{index}]"
        texts.append(READER.required(as_object(value, place), "text", place))
    return texts


def _require_text_or_media(part: Part, path: str) -> Text | Media:
    if isinstance(part, Text | Media):
        return part
    raise errors.InvalidRequest(
        f"Invalid value for '{path}': a tool's output can contain only 'input_text', 'input_image' and 'input_file'.",
        code="invalid_value",
        param=path,
    )
