"""Input items become messages: what the assistant said, thought and called in one turn is one message."""

from typing import Any, Final, Literal

from intellirouter.core import errors
from intellirouter.dialects.ir import Foreign, Media, Message, Opaque, Part, Reasoning, Role, Text, ToolCall, ToolResult
from intellirouter.dialects.openai_responses.client_content import decode_content
from intellirouter.dialects.openai_responses.client_tools import ToolNames
from intellirouter.dialects.openai_responses.encrypted_content import carried
from intellirouter.dialects.openai_responses.fields import DIALECT, as_object, bad_value, required_name
from intellirouter.dialects.wire.json_reader import READER, missing, unknown_members, wrong_type

_MESSAGE: Final = frozenset({"type", "role", "content", "id", "status"})
_CALL: Final = frozenset({"type", "id", "call_id", "name", "namespace", "arguments", "input", "status", "created_by"})
_RESULT: Final = frozenset({"type", "id", "call_id", "name", "namespace", "output", "status", "created_by"})
_REASONING: Final = frozenset({"type", "id", "summary", "content", "encrypted_content", "status"})
_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_FROM_CLIENT: Final[dict[str, Role]] = {
    "mcp_approval_response": "tool",
    "additional_tools": "developer",
    "configuration_update": "developer",
    "compaction_trigger": "user",
}
"""Whose turn an item is that only this dialect knows; tool outputs are the tool's, the rest is the assistant's."""
_ROLES: Final = {"user", "assistant", "system", "developer"}


def kind_of(item: dict[str, Any], path: str) -> str:
    """Return an item's type: messages may leave it out, references too."""
    kind = READER.text(item, "type", path)
    if kind:
        return kind
    if item.get("role") is not None:
        return "message"
    if isinstance(item.get("id"), str):
        return "item_reference"
    raise missing(f"{path}.type")


def decode_input(value: Any, names: ToolNames) -> list[Message]:
    """Read `input`: one user message, or a list of items. Raises `InvalidRequest`."""
    if value is None:
        return []
    if isinstance(value, str):
        return [Message(role="user", parts=[Text(text=value)])]
    if not isinstance(value, list):
        raise wrong_type("input", "one of a string or an array", value)
    turns = _Turns(names)
    for index, item in enumerate(value):
        turns.add(as_object(item, f"input[{index}]"), f"input[{index}]")
    return turns.messages()


class _Turns:
    """Puts items together into messages, in order."""

    def __init__(self, names: ToolNames) -> None:
        self._names = names
        self._messages: list[Message] = []
        self._thoughts: list[Reasoning] = []
        """Wait for the item that they led to."""
        self._has_said = False
        """The assistant's message at the end holds a message item already."""
        self._call_tokens: dict[str, Opaque] = {}

    def add(self, item: dict[str, Any], path: str) -> None:
        kind = kind_of(item, path)
        if kind == "message":
            self._say(item, path)
        elif kind in _CALLS:
            self._assistant().parts.append(self._call(item, kind, path))
        elif kind in _RESULTS:
            self._turn("tool").parts.append(self._result(item, kind, path))
        elif kind == "reasoning":
            self._think(item, path)
        else:
            role = _FROM_CLIENT.get(kind, "tool" if kind.endswith("_output") else "assistant")
            message = self._assistant() if role == "assistant" else self._turn(role)
            message.parts.append(Foreign(dialect=DIALECT, kind=kind, raw=item))

    def messages(self) -> list[Message]:
        if self._thoughts:
            self._assistant()
        for message in self._messages if self._call_tokens else ():
            for part in message.parts:
                if isinstance(part, ToolCall):
                    part.token = self._call_tokens.get(part.id)
        return self._messages

    def _turn(self, role: Role) -> Message:
        """Return the message at the end if it is this role's, else a new one."""
        if self._thoughts:
            self._assistant()
        if not self._messages or self._messages[-1].role != role or role != "tool":
            self._messages.append(Message(role=role))
            self._has_said = False
        return self._messages[-1]

    def _assistant(self, *, is_message: bool = False) -> Message:
        last = self._messages[-1] if self._messages else None
        if last is None or last.role != "assistant" or (is_message and self._has_said):
            last = Message(role="assistant")
            self._messages.append(last)
            self._has_said = False
        last.parts += self._thoughts
        self._thoughts = []
        return last

    def _say(self, item: dict[str, Any], path: str) -> None:
        role = required_name(item, "role", path)
        if role not in _ROLES:
            raise bad_value(f"{path}.role", role, "'assistant', 'system', 'developer' and 'user'")
        parts = decode_content(item.get("content"), f"{path}.content")
        is_assistant = role == "assistant"
        message = self._assistant(is_message=True) if is_assistant else self._turn(role)  # type: ignore[arg-type]
        self._has_said = is_assistant
        message.parts += parts
        message.id = READER.text(item, "id", path)
        message.extras = unknown_members(item, _MESSAGE)

    def _call(self, item: dict[str, Any], kind: str, path: str) -> ToolCall:
        member = _CALLS[kind]
        namespace, name = READER.text(item, "namespace", path), required_name(item, "name", path)
        said = READER.text(item, member, path)
        extras = unknown_members(item, _CALL)
        told = self._names.told(namespace, name)
        if namespace and self._names.client(told) != (namespace, name):
            extras["namespace"] = namespace
        is_function = kind == "function_call"
        return ToolCall(
            id=required_name(item, "call_id", path),
            name=told,
            arguments=said or ("{}" if is_function else ""),
            kind="function" if is_function else "custom",
            item_id=READER.text(item, "id", path),
            extras=extras,
        )

    def _result(self, item: dict[str, Any], kind: str, path: str) -> ToolResult:
        if item.get("output") is None:
            raise missing(f"{path}.output")
        namespace, name = READER.text(item, "namespace", path), READER.text(item, "name", path)
        form: Literal["function", "custom"] = "function" if kind == "function_call_output" else "custom"
        return ToolResult(
            call_id=required_name(item, "call_id", path),
            name=self._names.told(namespace, name) if name else "",
            parts=[_result_part(part, f"{path}.output") for part in decode_content(item["output"], f"{path}.output")],
            kind=form,
            extras=unknown_members(item, _RESULT),
        )

    def _think(self, item: dict[str, Any], path: str) -> None:
        summary = _texts(item, "summary", path)
        text = "".join(_texts(item, "content", path))
        part = Reasoning(
            text=text, summary=summary, id=READER.text(item, "id", path), extras=unknown_members(item, _REASONING)
        )
        if value := READER.text(item, "encrypted_content", path):
            found = carried(value)
            if found.call_id:
                self._call_tokens[found.call_id] = found.token
                return
            part.token, part.is_redacted = found.token, found.is_redacted
            if found.token.dialect != DIALECT:
                # Another vendor's signed thought, which we showed as a summary: it goes back as it was signed.
                part.text, part.summary = text or "".join(summary), []
        self._thoughts.append(part)


def _texts(item: dict[str, Any], member: str, path: str) -> list[str]:
    found: list[str] = []
    for index, value in enumerate(READER.array(item, member, path)):
        place = f"{path}.{member}[{index}]"
        found.append(READER.required(as_object(value, place), "text", place))
    return found


def _result_part(part: Part, path: str) -> Text | Media:
    if isinstance(part, Text | Media):
        return part
    raise errors.InvalidRequest(
        f"Invalid value in '{path}': a tool's output holds 'input_text', 'input_image' and 'input_file' only.",
        code="invalid_value",
        param=path,
    )
