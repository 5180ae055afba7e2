"""A conversation's turns as `systemInstruction` and `contents`.

Google's rules: roles `user` and `model`; the responses to a turn's function calls come at once in the very next
content, as many as there were calls; a thought signature comes back on the very part it came with, and Gemini 3 refuses
function calls of the current turn without one.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from intellirouter.core import Deployment, LossReport
from intellirouter.dialects.gemini.client_response import arguments_of
from intellirouter.dialects.gemini.upstream_media import media_out
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

BYPASS: Final = "skip_thought_signature_validator"
"""What Google documents for calls that another model made, or whose signature is lost (thought signatures, FAQ)."""
_BLANK: Final = " "
"""Google wants at least one content with a part that is not empty."""


class _Turn(Struct):
    role: str
    parts: list[dict[str, Any]]
    is_result: bool = False


class ContentWriter:
    """Writes one request's turns. `write` returns the parts of `systemInstruction` and the `contents`."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._conversation = conversation
        self._deployment = deployment
        self._profile = deployment.profile
        self._losses = losses
        self._is_native = conversation.dialect == DIALECT
        self._names = conversation.tool_names()
        self._turns: list[_Turn] = []
        self._waiting: list[ToolCall] = []
        """The calls of the last model turn."""
        self._results: dict[str, dict[str, Any]] = {}
        self._after: list[dict[str, Any]] = []
        """What the user says after the calls: it comes after their responses."""

    def write(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        messages = self._conversation.messages
        first = next(
            (at for at, each in enumerate(messages) if each.role not in {"system", "developer"}), len(messages)
        )
        system = [part for message in messages[:first] for part in self._said(message)]
        for message in messages[first:]:
            self._message(message)
        self._flush(is_last=True)
        if not self._turns:
            system = self._without_turns(system)
        if self._profile.wants_call_signatures:
            self._sign()
        return system, [{"role": turn.role, "parts": turn.parts} for turn in self._turns]

    def _without_turns(self, system: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Nobody has said anything: what the system says is said by the user."""
        self._losses.add("messages", "converted", "the system message is said by the user")
        self._turns.append(_Turn("user", system or [{"text": _BLANK}]))
        return []

    def _message(self, message: Message) -> None:
        if message.name:
            self._losses.dropped("messages[].name")
        if message.role == "assistant":
            self._model(message)
        elif message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResult):
                    self._result(part)
                elif isinstance(part, Foreign) and (said := self._foreign(part)) is not None:
                    self._user([said])
        else:
            if message.role != "user":
                self._losses.add("messages[].role", "converted", "a later system message is said by the user")
            self._user(self._said(message))

    def _user(self, parts: list[dict[str, Any]]) -> None:
        if self._waiting:
            self._after += parts
        else:
            self._add("user", parts)

    def _model(self, message: Message) -> None:
        if self._results or self._after:
            self._flush(is_last=False)
        parts = self._said(message)
        self._add("model", parts)
        self._waiting += [part for part in message.parts if isinstance(part, ToolCall)]

    def _add(self, role: str, parts: list[dict[str, Any]]) -> None:
        """Add parts to the last turn when it is the same role's, else as a turn."""
        if not parts:
            return
        last = self._turns[-1] if self._turns else None
        if last is not None and last.role == role and not last.is_result:
            last.parts += parts
        else:
            self._turns.append(_Turn(role, parts))

    def _flush(self, *, is_last: bool) -> None:
        """Write the responses to the last turn's calls, in the calls' order, then what was said after them."""
        if self._waiting and (self._results or self._after or not is_last):
            parts = [self._results.get(call.id) or self._missing(call) for call in self._waiting]
            self._turns.append(_Turn("user", parts, is_result=True))
            self._waiting = []
        after, self._after, self._results = self._after, [], {}
        self._add("user", after)

    def _missing(self, call: ToolCall) -> dict[str, Any]:
        self._losses.add("messages", "emulated", "a tool result that is missing")
        response = {"error": "The tool gave no result."}
        return {"functionResponse": {"id": call.id, "name": call.name, "response": response}}

    def _result(self, result: ToolResult) -> None:
        part = _with_words(result)
        if part is not result:
            self._losses.add("messages[].content[].document", "converted", "text")
        self._note_mark(part)
        is_known = any(call.id == part.call_id for call in self._waiting)
        if not is_known or part.call_id in self._results:
            self._losses.add("messages", "converted", "a tool result without a call is said by the user")
            text = part.text()
            self._user([{"text": text}] if text else [])
            self._user([self._media(each) for each in part.parts if isinstance(each, Media)])
            return
        name = self._names.get(part.call_id) or part.name
        found: dict[str, Any] = {"id": part.call_id, "name": name, "response": response_of(part)}
        media = [each for each in part.parts if isinstance(each, Media)]
        if media and (self._is_native or self._profile.takes_media_in_results):
            found["parts"] = [self._media(each) for each in media]
        elif media:
            self._losses.add("messages[].content[]", "converted", "media of a tool result are said by the user")
            self._after += [self._media(each) for each in media]
        if self._is_native:
            found.update(part.extras)
        self._results[part.call_id] = {"functionResponse": found}

    def _media(self, part: Media) -> dict[str, Any]:
        return media_out(part, self._conversation, self._losses)

    def _token(self, token: Opaque | None) -> str | None:
        return usable_token(token, DIALECT, self._deployment)

    def _said(self, message: Message) -> list[dict[str, Any]]:
        """Write the parts of one message."""
        found: list[dict[str, Any]] = []
        loose: str | None = None  # a signature that travelled without the part it belongs to
        for part in message.parts:
            if isinstance(part, Reasoning):
                thought, loose = self._thought(part, loose)
                found += thought
                continue
            written = self._part(part)
            if written is not None:
                if loose is not None and "thoughtSignature" not in written:
                    written["thoughtSignature"] = loose
                loose = None
                found.append(written)
        if loose is not None:
            found.append({"text": "", "thoughtSignature": loose})
        return found

    def _thought(self, part: Reasoning, loose: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """Write a thought of this endpoint's own; others' mean nothing here. A signature alone waits for its part."""
        signature = self._token(part.token)
        text = part.text or "\n\n".join(part.summary)
        if signature is not None and not text:
            return [], signature
        if not text or not (signature is not None or (self._is_native and part.token is None)):
            self._losses.add("messages[].reasoning", "dropped", "signed by somebody else")
            return [], loose
        found: dict[str, Any] = {"text": text, "thought": True}
        if signature is not None:
            found["thoughtSignature"] = signature
        return [found], loose

    def _part(self, part: Part) -> dict[str, Any] | None:
        match part:
            case Text():
                return self._text(part)
            case Refusal():
                return {"text": part.text} if part.text else None
            case ToolCall():
                return self._call(part)
            case Media():
                self._note_mark(part)
                return self._signed(self._media(part), part.token)
            case Foreign():
                return self._foreign(part)
            case _:
                return None

    def _text(self, part: Text) -> dict[str, Any] | None:
        found = self._signed({"text": part.text}, part.token)
        if self._is_native:
            found.update(part.extras)
        self._note_mark(part)
        if part.citations:
            self._losses.dropped("messages[].content[].citations")
        return found if part.text or "thoughtSignature" in found else None

    def _note_mark(self, part: Text | Media | ToolResult) -> None:
        if part.cache is not None:
            self._losses.dropped("cache")

    def _signed(self, part: dict[str, Any], token: Opaque | None) -> dict[str, Any]:
        signature = self._token(token)
        if signature is not None:
            part["thoughtSignature"] = signature
        return part

    def _call(self, part: ToolCall) -> dict[str, Any]:
        call = {"id": part.id, "name": part.name, "args": arguments_of(part, self._losses)}
        return self._signed({"functionCall": call}, part.token)

    def _foreign(self, part: Foreign) -> dict[str, Any] | None:
        if part.dialect == DIALECT and isinstance(part.raw, dict):
            return dict(part.raw)
        self._losses.dropped(f"messages[].content[].{part.kind}")
        return None

    def _sign(self) -> None:
        """Give the first call of each model turn since the user last spoke a signature, where it has none."""
        begins = 0
        for at, turn in enumerate(self._turns):
            # What is said right after responses (agents put their reminders there) may count as the same turn.
            if turn.role == "user" and not turn.is_result and not (at and self._turns[at - 1].is_result):
                begins = at
        for turn in self._turns[begins:]:
            first = next((part for part in turn.parts if "functionCall" in part), None)
            if first is not None:
                first.setdefault("thoughtSignature", BYPASS)


def _with_words(result: ToolResult) -> ToolResult:
    """Return the result with its text documents as text: a response takes only bytes beside its object."""
    if not any(isinstance(part, Media) and part.source.text is not None for part in result.parts):
        return result
    parts = [
        Text(text=f"{part.name}\n\n{part.source.text}" if part.name else part.source.text)
        if isinstance(part, Media) and part.source.text is not None
        else part
        for part in result.parts
    ]
    return structs.replace(result, parts=parts)


def response_of(part: ToolResult) -> dict[str, Any]:
    """Return a result as the object that the dialect wants."""
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
