"""Reads `contents` as messages. Function responses become messages of their own, and calls without an id get one."""

from collections import deque
from typing import Any, Final

from intellirouter.core import errors
from intellirouter.dialects.gemini.wire import (
    DIALECT,
    Members,
    json_text,
    read_reasoning,
    read_token,
    standard_base64,
    wrong_type,
    wrong_value,
)
from intellirouter.dialects.ir import (
    Foreign,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Role,
    Source,
    Text,
    ToolCall,
    ToolResult,
)

_ROLES: Final[dict[str, Role]] = {"user": "user", "model": "assistant", "function": "user", "": "user"}
_KINDS: Final[dict[str, Any]] = {"image": "image", "audio": "audio", "video": "video"}
_GOOGLE_FILES: Final = ("https://generativelanguage.googleapis.com/", "files/")
_YOUTUBE: Final = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/", "https://m.youtube.com/")


def media_kind(media_type: str) -> Any:
    """Return the kind of media with this MIME type."""
    return _KINDS.get(media_type.partition("/")[0].lower(), "document")


def is_google_file(uri: str) -> bool:
    """Return whether only Google can read this URI: a file in its Files API, or a video on YouTube."""
    return uri.startswith(_GOOGLE_FILES + _YOUTUBE)


class _CallIds:
    """Matches function responses with the calls of the history by id, or else by name and order."""

    def __init__(self) -> None:
        self._open_calls: dict[int, tuple[str, str]] = {}
        """The id and the name of each call without a response, by its number."""
        self._numbers_by_id: dict[str, deque[int]] = {}
        self._numbers_by_name: dict[str, deque[int]] = {}
        """The numbers of calls in order. Numbers of calls that have a response are skipped."""
        self._call_count = 0
        self._used_ids: set[str] = set()
        self._id_count = 0

    def add_call(self, call_id: str, name: str) -> str:
        """Return the id of a call. A missing id is generated from its position, so it is the same in later requests."""
        call_id = call_id or self._new_id()
        self._used_ids.add(call_id)
        number = self._call_count
        self._call_count += 1
        self._open_calls[number] = (call_id, name)
        self._numbers_by_id.setdefault(call_id, deque()).append(number)
        self._numbers_by_name.setdefault(name, deque()).append(number)
        return call_id

    def take_call(self, call_id: str, name: str) -> str:
        """Return the id of the call for a response, and remove the call."""
        numbers = self._numbers_by_id.get(call_id) if call_id else self._numbers_by_name.get(name)
        while numbers:
            entry = self._open_calls.pop(numbers.popleft(), None)
            if entry is not None:
                return entry[0]
        return call_id or self._new_id()

    def _new_id(self) -> str:
        while (call_id := f"call_{self._id_count}") in self._used_ids:
            self._id_count += 1
        self._id_count += 1
        return call_id


def read_messages(contents: list[Any]) -> list[Message]:
    """Read `contents`. Raises `InvalidRequest`."""
    messages: list[Message] = []
    call_ids = _CallIds()
    turn: _ModelTurn | None = None
    for index, raw in enumerate(contents):
        path = f"contents[{index}]"
        if not isinstance(raw, dict):
            raise wrong_type(path, "an object", raw)
        content = Members(raw, path)
        role = _ROLES.get(content.text("role"))
        if role is None:
            raise wrong_value(content.path_of("role"), "'user', 'model', 'function'")
        if role == "user" and not content.has("parts"):
            raise errors.InvalidRequest(
                f"{content.path_of('parts')} must not be empty.", code="invalid_value", param=content.path_of("parts")
            )
        parts = [part for each in content.each("parts") if (part := _read_part(each, call_ids)) is not None]
        if role == "assistant":
            turn = turn or _ModelTurn()
            turn.add(parts, content.rest())
            continue
        if turn is not None:
            messages.append(turn.message())
            turn = None
        messages += _split_tool_results(role, parts, content.rest())
    if turn is not None:
        messages.append(turn.message())
    return messages


class _ModelTurn:
    """Joins the contents of a model to one message. SDKs store the history of a stream chunk by chunk."""

    def __init__(self) -> None:
        self._message = Message(role="assistant")
        self._groups: list[list[Part]] = []
        """Parts that become one part."""

    def add(self, parts: list[Part], extras: dict[str, Any]) -> None:
        self._message.extras.update(extras)
        is_first = True
        for part in parts:
            if isinstance(part, Text) and not part.text and _are_plain(part):
                continue
            if self._groups and _continues(self._groups[-1], part, is_first=is_first):
                self._groups[-1].append(part)
            else:
                self._groups.append([part])
            is_first = False

    def message(self) -> Message:
        self._message.parts = [_joined(group) for group in self._groups]
        return self._message


def _continues(group: list[Part], part: Part, *, is_first: bool) -> bool:
    """Return whether a part continues the last one: the first text of a content, or any reasoning."""
    last = group[-1]
    if isinstance(part, Text):
        return is_first and isinstance(last, Text) and _are_plain(last, part)
    return isinstance(part, Reasoning) and isinstance(last, Reasoning) and last.token is None and not part.is_redacted


def _joined(group: list[Part]) -> Part:
    last = group[-1]
    if len(group) == 1 or not isinstance(last, Text | Reasoning):
        return last
    last.text = "".join(part.text for part in group if isinstance(part, Text | Reasoning))
    if isinstance(last, Reasoning):
        last.extras = {name: value for part in group for name, value in getattr(part, "extras", {}).items()}
    return last


def _are_plain(*texts: Text) -> bool:
    return not any(text.token or text.extras for text in texts)


def _split_tool_results(role: Role, parts: list[Part], extras: dict[str, Any]) -> list[Message]:
    """Move consecutive function responses into `tool` messages and keep the order."""
    if not any(isinstance(part, ToolResult) for part in parts):
        return [Message(role=role, parts=parts, extras=extras)]
    messages: list[Message] = []
    for part in parts:
        part_role: Role = "tool" if isinstance(part, ToolResult) else role
        if not messages or messages[-1].role != part_role:
            messages.append(Message(role=part_role))
        messages[-1].parts.append(part)
    messages[0].extras = extras
    return messages


def read_system(content: Members) -> list[Part]:
    """Read `systemInstruction` and ignore its role."""
    content.take("role")
    parts = [_read_part(part, _CallIds()) for part in content.each("parts")]
    return [part for part in parts if part is not None]


def _read_part(part: Members, call_ids: _CallIds) -> Part | None:
    """Read one part. None: it is empty."""
    signature = part.text("thoughtSignature")
    token = read_token(signature) if signature else None
    is_reasoning = part.flag("thought") is True
    if part.has("text"):
        text = part.text("text")
        if token is not None and token.dialect != DIALECT:
            return read_reasoning(text, token)
        if is_reasoning:
            return Reasoning(text=text, token=token, extras=part.rest())
        return Text(text=text, token=token, extras=part.rest())
    if part.has("functionCall"):
        return _read_call(part, token, call_ids)
    if part.has("functionResponse"):
        return _read_result(part, call_ids)
    if part.has("inlineData") or part.has("fileData"):
        return _read_media(part, token)
    return _read_other(part, token, is_reasoning=is_reasoning)


def _read_other(part: Members, token: Opaque | None, *, is_reasoning: bool) -> Part | None:
    kind = next((name for name in part.names() if name not in {"videoMetadata", "partMetadata"}), None)
    if kind is None:
        return Reasoning(token=token) if token is not None else None
    raw = dict(part.rest())
    if token is not None and token.dialect == DIALECT:
        raw["thoughtSignature"] = token.value
    if is_reasoning:
        raw["thought"] = True
    return Foreign(dialect=DIALECT, kind=kind, raw=raw)


def _read_call(part: Members, token: Opaque | None, call_ids: _CallIds) -> ToolCall:
    call = part.members("functionCall")
    name = call.text("name")
    if not name:
        raise errors.InvalidRequest(
            f"Missing '{call.path_of('name')}': the name of the function is required.",
            code="missing_required_parameter",
            param=call.path_of("name"),
        )
    call_id = call_ids.add_call(call.text("id"), name)
    arguments = json_text(call.object("args") or {})
    return ToolCall(id=call_id, name=name, arguments=arguments, token=token, extras={**part.rest(), **call.rest()})


def _read_result(part: Members, call_ids: _CallIds) -> ToolResult:
    result = part.members("functionResponse")
    name = result.text("name")
    call_id = call_ids.take_call(result.text("id"), name)
    response = result.object("response") or {}
    parts: list[Text | Media] = [Text(text=json_text(response))]
    media = (each for each in result.each("parts") if each.has("inlineData") or each.has("fileData"))
    parts.extend(_read_media(each, None) for each in media)
    return ToolResult(
        call_id=call_id,
        name=name,
        parts=parts,
        is_error="error" in response and len(response) == 1,
        structured=response,
        extras={**part.rest(), **result.rest()},
    )


def _read_media(part: Members, token: Opaque | None) -> Media:
    if part.has("inlineData"):
        blob = part.members("inlineData")
        source = Source(data=standard_base64(blob.text("data")), media_type=blob.text("mimeType"))
    else:
        blob = part.members("fileData")
        source = _read_source(blob.text("fileUri"), blob)
    name = blob.text("displayName")
    return Media(kind=_find_kind(source), source=source, name=name, token=token, extras={**part.rest(), **blob.rest()})


def _read_source(uri: str, blob: Members) -> Source:
    if not uri:
        raise errors.InvalidRequest(
            f"Missing '{blob.path_of('fileUri')}': the URI of the file is required.",
            code="missing_required_parameter",
            param=blob.path_of("fileUri"),
        )
    media_type = blob.text("mimeType")
    if is_google_file(uri):
        return Source(file_id=uri, media_type=media_type)
    return Source(url=uri, media_type=media_type)


def _find_kind(source: Source) -> Any:
    if not source.media_type and source.file_id is not None and source.file_id.startswith(_YOUTUBE):
        return "video"
    return media_kind(source.media_type)
