"""What requests and answers refer to that only its creator knows: conversations, files, containers, reasoning.

Only members that hold such ids are read, so arguments and results of the client's own tools are never among them.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Call
from intellirouter.dialects.anthropic_messages.wire import MessagesCall
from intellirouter.dialects.gemini.client import GeminiCall
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from intellirouter.dialects.openai_chat.passthrough import ChatCall
from intellirouter.dialects.openai_responses.client_request import ResponsesCall

_MAX_IDS: Final = 32
_MEDIA: Final = frozenset({"files", "vision", "audio", "video"})
"""What requests with files need."""
_ITEMS_WITH_IDS: Final = frozenset({"item_reference", "reasoning", "compaction"})
_TOOLS_WITH_IDS: Final = frozenset({"file_search", "code_interpreter"})
_has_file_uri: Final = re.compile(rb'"file_?[uU]ri"').search
_IDS: Final = frozenset({"file_id", "container_id", "fileUri", "file_uri"})
_TOP_LEVEL: Final = ("conversation", "container", "cachedContent", "cached_content", "prompt")
"""They hold an id, or an object with one."""
_INSIDE: Final = frozenset(
    {"input", "messages", "contents", "content", "parts", "source", "file", "fileData", "file_data", "tools", "output"}
)
"""The members that may contain ids. Objects in `input` and `output` are those of the client's tools."""
_ONLY_LISTS: Final = frozenset({"input", "output"})
_CREATED: Final = {
    "openai_chat": re.compile(rb'"audio":\s*\{\s*"id":\s*"([^"\\]{1,256})"'),
    "anthropic_messages": re.compile(rb'"container":\s*\{\s*"id":\s*"([^"\\]{1,256})"'),
}

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class VendorIds(Struct, frozen=True):
    """Ids, the latest one last."""

    objects: tuple[str, ...] = ()
    """Ids of objects at the vendor."""
    tokens: tuple[str, ...] = ()
    """Encrypted reasoning, which a model can do without."""

    def __bool__(self) -> bool:
        return bool(self.objects or self.tokens)


NO_IDS: Final = VendorIds()


def may_have_ids(call: Call) -> bool:
    """Return whether the request may refer to something. It costs much less than reading the request again."""
    if call.operation != "chat":
        return False
    if isinstance(call, ChatCall):
        return "files" in call.needs or any(each.audio is not None for each in call.source.messages)
    if isinstance(call, MessagesCall):
        return call.source.container is not None or (_may_have_files(call) and b'"file_id"' in call.body)
    if isinstance(call, ResponsesCall):
        return _may_have_ids_of_responses(call)
    if isinstance(call, GeminiCall):
        return call.has_cached_content or (bool(call.needs & _MEDIA) and _has_file_uri(call.body) is not None)
    return False


def _may_have_files(call: Call) -> bool:
    return bool(call.needs & _MEDIA) or any("files-api" in value for _, value in call.context.headers)


def _may_have_ids_of_responses(call: ResponsesCall) -> bool:
    request = call.source
    if request.conversation or request.prompt:
        return True
    if any(each.type in _TOOLS_WITH_IDS for each in request.tools or ()):
        return True
    items = request.input if isinstance(request.input, list) else ()
    if any(each.type in _ITEMS_WITH_IDS for each in items):
        return True
    return bool(call.needs & _MEDIA) and b'"file_id"' in call.body


def ids_in_request(call: Call) -> VendorIds:
    """Return what the request refers to. Call it off the event loop if the request is large."""
    try:
        body = _decode(call.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NO_IDS
    objects = [_id_in(body[name]) for name in _TOP_LEVEL if name in body]
    objects += _objects_in(body)
    tokens = [
        each["encrypted_content"]
        for each in _dicts(body.get("input"))
        if isinstance(each.get("encrypted_content"), str)
    ]
    return VendorIds(_usable(objects), _usable(tokens))


def may_create_ids(call: Call) -> bool:
    """Return whether the answer may contain the id of something that a later request refers to."""
    if call.operation != "chat":
        return False
    if isinstance(call, ChatCall):
        return call.source.modalities is not None
    if isinstance(call, MessagesCall):
        tools = call.source.tools or ()
        return call.source.container is not None or any(b"code_execution" in bytes(each) for each in tools)
    return isinstance(call, ResponsesCall)


def ids_in_response(response: bytes, *, is_stored: bool) -> VendorIds:
    """Return what a response of the Responses API has created. `is_stored`: the vendor stores its items, too."""
    try:
        body = _decode(response)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NO_IDS
    items = _dicts(body.get("output"))
    objects: list[Any] = [_id_in(body.get("conversation"))]
    for item in items:
        objects += [item.get("container_id"), item.get("id") if is_stored else None]
    return VendorIds(_usable(objects), _usable([each.get("encrypted_content") for each in items]))


def created_in(data: bytes, dialect: str) -> list[str]:
    """Return the ids in a piece of an answer of another API."""
    pattern = _CREATED.get(dialect)
    return [] if pattern is None else [each.decode("utf-8", "replace") for each in pattern.findall(data)]


def _objects_in(value: Any) -> Iterator[Any]:
    """Yield the ids of objects in a part of a request, in order."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += reversed(one)
        elif isinstance(one, dict):
            yield from _ids_of(one)
            inside = [(name, each) for name, each in one.items() if name in _INSIDE]
            pending += [each for name, each in reversed(inside) if name not in _ONLY_LISTS or isinstance(each, list)]


def _ids_of(one: dict[str, Any]) -> Iterator[Any]:
    yield from [each for name, each in one.items() if name in _IDS]
    if one.get("type") == "item_reference":
        yield one.get("id")
    if isinstance(audio := one.get("audio"), dict):
        yield audio.get("id")
    if isinstance(container := one.get("container"), str) and "type" in one:  # a tool
        yield container
    if isinstance(stores := one.get("vector_store_ids"), list):
        yield from stores


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _id_in(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value


def _usable(ids: list[Any]) -> tuple[str, ...]:
    """Return the last ids, each once, without those that the gateway itself has issued, and without public URLs."""
    found = [
        each
        for each in ids
        if isinstance(each, str) and each and not each.startswith(WRAPPED_PREFIX) and _is_of_vendor(each)
    ]
    return tuple(dict.fromkeys(found))[-_MAX_IDS:]


def _is_of_vendor(name: str) -> bool:
    """Return whether this is not a public URL. Those of Google's files can be read by their owner only."""
    return "://" not in name or "generativelanguage.googleapis.com/" in name
