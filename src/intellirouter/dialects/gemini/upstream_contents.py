"""Writes messages as `systemInstruction` and `contents`.

Google's rules:

- The roles are `user` and `model`, and the first one is `user`.
- The content after function calls contains exactly one response for each call.
- A thought signature must be sent back in the part in which it was received. Gemini 3 rejects function calls of the
  current turn without one.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from intellirouter.core import Deployment, LossReport
from intellirouter.dialects.gemini.client_response import write_arguments
from intellirouter.dialects.gemini.upstream_media import write_media
from intellirouter.dialects.gemini.wire import DIALECT
from intellirouter.dialects.ir import (
    Conversation,
    Foreign,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    usable_token,
)

SKIP_SIGNATURE_CHECK: Final = "skip_thought_signature_validator"
"""The signature that Google documents for calls without a valid one, for example from another model."""
_PLACEHOLDER_TEXT: Final = " "
"""Google requires at least one content with a part that is not empty."""


class _Turn(Struct):
    role: str
    parts: list[dict[str, Any]]
    is_result: bool = False


class ContentWriter:
    """Writes the turns of one request."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._conversation = conversation
        self._deployment = deployment
        self._profile = deployment.profile
        self._losses = losses
        self._is_same_dialect = conversation.dialect == DIALECT
        self._names = conversation.tool_names()
        self._turns: list[_Turn] = []
        self._open_calls: list[ToolCall] = []
        """The calls of the last model turn, if they have no results yet."""
        self._open_ids: set[str] = set()
        self._results: dict[str, dict[str, Any]] = {}
        self._after_results: list[dict[str, Any]] = []
        """User parts after the open calls, which are written after their responses."""

    def write(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the parts of `systemInstruction`, and `contents`. Raises `UnsupportedFeature`."""
        messages = self._conversation.messages
        first = next(
            (index for index, each in enumerate(messages) if each.role not in {"system", "developer"}), len(messages)
        )
        system = [part for message in messages[:first] for part in self._write_parts(message)]
        for message in messages[first:]:
            self._add_message(message)
        self._add_results(is_last=True)
        if not self._turns:
            system = self._move_system_to_user(system)
        elif self._turns[0].role == "model" and not self._is_same_dialect:
            self._losses.add("messages", "converted", "a placeholder user message was added at the start")
            self._turns.insert(0, _Turn("user", [{"text": _PLACEHOLDER_TEXT}]))
        if self._profile.wants_call_signatures:
            self._sign_current_turn()
        return system, [{"role": turn.role, "parts": turn.parts} for turn in self._turns]

    def _move_system_to_user(self, system: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send the system messages as user turn, because there are no other messages."""
        self._losses.add("messages", "converted", "system messages sent as user")
        self._turns.append(_Turn("user", system or [{"text": _PLACEHOLDER_TEXT}]))
        return []

    def _add_message(self, message: Message) -> None:
        if message.name:
            self._losses.dropped("messages[].name")
        if message.role == "assistant":
            self._add_model_turn(message)
        elif message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResult):
                    self._add_result(part)
                elif isinstance(part, Foreign) and (written := self._write_foreign(part)) is not None:
                    self._add_user_parts([written])
        else:
            if message.role != "user":
                self._losses.add("messages[].role", "converted", "later system message sent as user")
            self._add_user_parts(self._write_parts(message))

    def _add_user_parts(self, parts: list[dict[str, Any]]) -> None:
        if self._open_calls:
            self._after_results += parts
        else:
            self._add_turn("user", parts)

    def _add_model_turn(self, message: Message) -> None:
        if self._results or self._after_results:
            self._add_results(is_last=False)
        parts = self._write_parts(message)
        self._add_turn("model", parts)
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        self._open_calls += calls
        self._open_ids.update(call.id for call in calls)

    def _add_turn(self, role: str, parts: list[dict[str, Any]]) -> None:
        """Add parts to the last turn if it has the same role, otherwise as a new turn."""
        if not parts:
            return
        last = self._turns[-1] if self._turns else None
        if last is not None and last.role == role and not last.is_result:
            last.parts += parts
        else:
            self._turns.append(_Turn(role, parts))

    def _add_results(self, *, is_last: bool) -> None:
        """Add the responses of the open calls, in the order of the calls, then the user parts after them."""
        if self._open_calls and (self._results or self._after_results or not is_last):
            parts = [self._results.get(call.id) or self._missing_result(call) for call in self._open_calls]
            self._turns.append(_Turn("user", parts, is_result=True))
            self._open_calls, self._open_ids = [], set()
        parts_after, self._after_results, self._results = self._after_results, [], {}
        self._add_turn("user", parts_after)

    def _missing_result(self, call: ToolCall) -> dict[str, Any]:
        self._losses.add("messages", "emulated", "a missing tool result was added")
        response = {"error": "The tool returned no result."}
        return {"functionResponse": {"id": call.id, "name": call.name, "response": response}}

    def _add_result(self, result: ToolResult) -> None:
        part = _documents_as_text(result)
        if part is not result:
            self._losses.add("messages[].content[].document", "converted", "text")
        if part.call_id not in self._open_ids or part.call_id in self._results:
            self._losses.add("messages", "converted", "tool result without a call sent as user")
            text = part.text()
            self._add_user_parts([{"text": text}] if text else [])
            self._add_user_parts([self._write_media(each) for each in part.parts if isinstance(each, Media)])
            return
        name = self._names.get(part.call_id) or part.name
        members: dict[str, Any] = {"id": part.call_id, "name": name, "response": _write_response(part)}
        media = [each for each in part.parts if isinstance(each, Media)]
        if media and (self._is_same_dialect or self._profile.takes_media_in_results):
            members["parts"] = [self._write_media(each) for each in media]
        elif media:
            self._losses.add("messages[].content[]", "converted", "media of a tool result sent as user")
            self._after_results += [self._write_media(each) for each in media]
        if self._is_same_dialect:
            members.update(part.extras)
        self._results[part.call_id] = {"functionResponse": members}

    def _write_media(self, part: Media) -> dict[str, Any]:
        return write_media(part, self._conversation, self._losses)

    def _usable_signature(self, token: Opaque | None) -> str | None:
        return usable_token(token, DIALECT, self._deployment)

    def _write_parts(self, message: Message) -> list[dict[str, Any]]:
        """Write the parts of one message."""
        members: list[dict[str, Any]] = []
        pending: str | None = None  # a signature without its part
        for part in message.parts:
            if isinstance(part, Reasoning):
                reasoning, pending = self._write_reasoning(part, pending)
                members += reasoning
                continue
            written = self._write_part(part)
            if written is not None:
                if pending is not None and "thoughtSignature" not in written:
                    written["thoughtSignature"] = pending
                pending = None
                members.append(written)
        if pending is not None:
            members.append({"text": "", "thoughtSignature": pending})
        return members

    def _write_reasoning(self, part: Reasoning, pending: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """Write reasoning that this endpoint signed, and return a signature that belongs to the next part, if any."""
        signature = self._usable_signature(part.token)
        text = part.text or "\n\n".join(part.summary)
        if signature is not None and not text:
            return [], signature
        if not text or not (signature is not None or (self._is_same_dialect and part.token is None)):
            self._losses.add("messages[].reasoning", "dropped", "not signed by this upstream")
            return [], pending
        members: dict[str, Any] = {"text": text, "thought": True}
        if signature is not None:
            members["thoughtSignature"] = signature
        return [members], pending

    def _write_part(self, part: Part) -> dict[str, Any] | None:
        match part:
            case Text():
                return self._write_text(part)
            case Refusal():
                return {"text": part.text} if part.text else None
            case ToolCall():
                return self._write_call(part)
            case Media():
                return self._with_signature(self._write_media(part), part.token)
            case Foreign():
                return self._write_foreign(part)
            case _:
                return None

    def _write_text(self, part: Text) -> dict[str, Any] | None:
        members = self._with_signature({"text": part.text}, part.token)
        if self._is_same_dialect:
            members.update(part.extras)
        if part.citations:
            self._losses.dropped("messages[].content[].citations")
        return members if part.text or "thoughtSignature" in members else None

    def _with_signature(self, part: dict[str, Any], token: Opaque | None) -> dict[str, Any]:
        signature = self._usable_signature(token)
        if signature is not None:
            part["thoughtSignature"] = signature
        return part

    def _write_call(self, part: ToolCall) -> dict[str, Any]:
        call = {"id": part.id, "name": part.name, "args": write_arguments(part, self._losses)}
        return self._with_signature({"functionCall": call}, part.token)

    def _write_foreign(self, part: Foreign) -> dict[str, Any] | None:
        if part.dialect == DIALECT and isinstance(part.raw, dict):
            return dict(part.raw)
        self._losses.dropped(f"messages[].content[].{part.kind}")
        return None

    def _sign_current_turn(self) -> None:
        """Add a signature to the first call of each model turn after the last user turn, unless it has one."""
        start = 0
        for index, turn in enumerate(self._turns):
            # User parts right after responses, such as reminders of agents, may belong to the same turn.
            if turn.role == "user" and not turn.is_result and not (index and self._turns[index - 1].is_result):
                start = index
        for turn in self._turns[start:]:
            first = next((part for part in turn.parts if "functionCall" in part), None)
            if first is not None:
                first.setdefault("thoughtSignature", SKIP_SIGNATURE_CHECK)


def _documents_as_text(result: ToolResult) -> ToolResult:
    """Return the result with its text documents as text, because a response supports only media with data."""
    if not any(isinstance(part, Media) and part.source.text is not None for part in result.parts):
        return result
    parts = [
        Text(text=f"{part.name}\n\n{part.source.text}" if part.name else part.source.text)
        if isinstance(part, Media) and part.source.text is not None
        else part
        for part in result.parts
    ]
    return structs.replace(result, parts=parts)


def _write_response(part: ToolResult) -> dict[str, Any]:
    """Return a tool result as an object."""
    if isinstance(part.structured, dict):
        return part.structured
    if part.structured is not None:
        return {"error" if part.is_error else "result": part.structured}
    text = part.text()
    if part.is_error:
        return {"error": text}
    if text[:1] == "{":
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value
    return {"result": text}
