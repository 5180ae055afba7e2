"""A client's `contents` as messages: parts typed, function responses split off, calls given the ids they lack."""

from typing import Any, Final

from intellirouter.core import errors
from intellirouter.dialects.gemini.wire import (
    DIALECT,
    Members,
    json_text,
    read_thought,
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
_LOCAL_FILES: Final = ("https://generativelanguage.googleapis.com/", "files/")
_YOUTUBE: Final = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/", "https://m.youtube.com/")


def kind_of(media_type: str) -> Any:
    """Return the kind of media that a MIME type says."""
    return _KINDS.get(media_type.partition("/")[0].lower(), "document")


def is_googles_own(uri: str) -> bool:
    """Tell whether only Google can read a URI: its Files API, films on YouTube."""
    return uri.startswith(_LOCAL_FILES + _YOUTUBE)


class _Calls:
    """The history's function calls that wait for their response: matched by id, else by name and order."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []
        self._used: set[str] = set()
        self._minted = 0

    def opened(self, call_id: str, name: str) -> str:
        """Return the call's id: its own, or one that its position gives, the same in every request."""
        call_id = call_id or self._mint()
        self._used.add(call_id)
        self._open.append((call_id, name))
        return call_id

    def answered(self, call_id: str, name: str) -> str:
        """Return the id of the call that a response belongs to."""
        for entry in self._open:
            if (entry[0] == call_id) if call_id else (entry[1] == name):
                self._open.remove(entry)
                return entry[0]
        return call_id or self._mint()

    def _mint(self) -> str:
        while (call_id := f"call_{self._minted}") in self._used:
            self._minted += 1
        self._minted += 1
        return call_id


def messages_of(contents: list[Any]) -> list[Message]:
    """Read `contents`. Raises `InvalidRequest`."""
    messages: list[Message] = []
    calls = _Calls()
    for index, raw in enumerate(contents):
        place = f"contents[{index}]"
        if not isinstance(raw, dict):
            raise wrong_type(place, "an object", raw)
        content = Members(raw, place)
        role = _ROLES.get(content.text("role"))
        if role is None:
            raise wrong_value(content.path_of("role"), "'user', 'model', 'function'")
        parts = [part for each in content.each("parts") if (part := _part(each, calls)) is not None]
        if role == "assistant":
            _add_answer(messages, parts, content.rest())
        else:
            messages += _split(role, parts, content.rest())
    return messages


def _add_answer(messages: list[Message], parts: list[Part], extras: dict[str, Any]) -> None:
    """Add a model's content to the turn it belongs to: SDKs keep a stream's history chunk by chunk."""
    parts = [part for part in parts if not (isinstance(part, Text) and not part.text and _is_plain(part))]
    if not messages or messages[-1].role != "assistant":
        messages.append(Message(role="assistant"))
    turn = messages[-1]
    turn.extras = {**turn.extras, **extras}
    last = turn.parts[-1] if turn.parts else None
    if parts and isinstance(last, Text) and isinstance(first := parts[0], Text) and _is_plain(last, first):
        last.text += first.text
        parts = parts[1:]
    for part in parts:
        last = turn.parts[-1] if turn.parts else None
        if isinstance(part, Reasoning) and isinstance(last, Reasoning) and last.token is None and not part.is_redacted:
            part.text, part.extras = last.text + part.text, {**last.extras, **part.extras}
            turn.parts[-1] = part
        else:
            turn.parts.append(part)


def _is_plain(*texts: Text) -> bool:
    return not any(text.token or text.extras for text in texts)


def _split(role: Role, parts: list[Part], extras: dict[str, Any]) -> list[Message]:
    """Put runs of function responses into `tool` messages, in order."""
    if not any(isinstance(part, ToolResult) for part in parts):
        return [Message(role=role, parts=parts, extras=extras)]
    messages: list[Message] = []
    for part in parts:
        its_role: Role = "tool" if isinstance(part, ToolResult) else role
        if not messages or messages[-1].role != its_role:
            messages.append(Message(role=its_role))
        messages[-1].parts.append(part)
    messages[0].extras = extras
    return messages


def system_parts(content: Members) -> list[Part]:
    """Read `systemInstruction`, whose role means nothing."""
    content.take("role")
    parts = [_part(part, _Calls()) for part in content.each("parts")]
    return [part for part in parts if part is not None]


def _part(part: Members, calls: _Calls) -> Part | None:
    """Read one part. An empty one is nothing."""
    signature = part.text("thoughtSignature")
    token = read_token(signature) if signature else None
    is_thought = part.flag("thought") is True
    if part.has("text"):
        text = part.text("text")
        if token is not None and token.dialect != DIALECT:
            return read_thought(text, token)
        if is_thought:
            return Reasoning(text=text, token=token, extras=part.rest())
        return Text(text=text, token=token, extras=part.rest())
    if part.has("functionCall"):
        return _call(part, token, calls)
    if part.has("functionResponse"):
        return _result(part, calls)
    if part.has("inlineData") or part.has("fileData"):
        return _media(part, token)
    return _other(part, token, is_thought=is_thought)


def _other(part: Members, token: Opaque | None, *, is_thought: bool) -> Part | None:
    kind = next((name for name in part.names() if name not in {"videoMetadata", "partMetadata"}), None)
    if kind is None:
        return Reasoning(token=token) if token is not None else None
    raw = dict(part.rest())
    if token is not None and token.dialect == DIALECT:
        raw["thoughtSignature"] = token.value
    if is_thought:
        raw["thought"] = True
    return Foreign(dialect=DIALECT, kind=kind, raw=raw)


def _call(part: Members, token: Opaque | None, calls: _Calls) -> ToolCall:
    call = part.members("functionCall")
    name = call.text("name")
    if not name:
        raise errors.InvalidRequest(
            f"Missing '{call.path_of('name')}': say which function was called.",
            code="missing_required_parameter",
            param=call.path_of("name"),
        )
    call_id = calls.opened(call.text("id"), name)
    arguments = json_text(call.object("args") or {})
    return ToolCall(id=call_id, name=name, arguments=arguments, token=token, extras={**part.rest(), **call.rest()})


def _result(part: Members, calls: _Calls) -> ToolResult:
    result = part.members("functionResponse")
    name = result.text("name")
    call_id = calls.answered(result.text("id"), name)
    response = result.object("response") or {}
    parts: list[Text | Media] = [Text(text=json_text(response))]
    media = (each for each in result.each("parts") if each.has("inlineData") or each.has("fileData"))
    parts.extend(_media(each, None) for each in media)
    return ToolResult(
        call_id=call_id,
        name=name,
        parts=parts,
        is_error="error" in response and len(response) == 1,
        structured=response,
        extras={**part.rest(), **result.rest()},
    )


def _media(part: Members, token: Opaque | None) -> Media:
    if part.has("inlineData"):
        blob = part.members("inlineData")
        source = Source(data=standard_base64(blob.text("data")), media_type=blob.text("mimeType"))
    else:
        blob = part.members("fileData")
        source = _source(blob.text("fileUri"), blob)
    name = blob.text("displayName")
    return Media(kind=_kind(source), source=source, name=name, token=token, extras={**part.rest(), **blob.rest()})


def _source(uri: str, blob: Members) -> Source:
    if not uri:
        raise errors.InvalidRequest(
            f"Missing '{blob.path_of('fileUri')}': say where the file is.",
            code="missing_required_parameter",
            param=blob.path_of("fileUri"),
        )
    media_type = blob.text("mimeType")
    if is_googles_own(uri):
        return Source(file_id=uri, media_type=media_type)
    return Source(url=uri, media_type=media_type)


def _kind(source: Source) -> Any:
    if not source.media_type and source.file_id is not None and source.file_id.startswith(_YOUTUBE):
        return "video"
    return kind_of(source.media_type)
