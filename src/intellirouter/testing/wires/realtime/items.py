"""Validate the items and settings in client events of a realtime session."""

import base64
import binascii
from typing import Any, Final

from intellirouter.core import new_id
from intellirouter.fake.tokens import count_tokens

Document = dict[str, Any]
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "audio": (dict,),
    "instructions": (str,),
    "max_output_tokens": (int, str),
    "output_modalities": (list,),
    "tool_choice": (str, dict),
    "tools": (list,),
}
_PARTS: Final = {
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
    "system": ("input_text",),
}


class EventError(Exception):
    """An invalid event of the client."""

    def __init__(self, message: str, param: str | None = None, code: str = "invalid_value") -> None:
        super().__init__(message)
        self._error = {"type": "invalid_request_error", "code": code, "message": message, "param": param}

    def document(self, event_id: Any) -> Document:
        return {"type": "error", "error": {**self._error, "event_id": event_id}}


def check_item(item: Any) -> Document:
    """Return the item with an id and a status. Raises `EventError`."""
    if not isinstance(item, dict):
        raise EventError("Missing required parameter: 'item'.", "item", "missing_required_parameter")
    kind = item.get("type")
    match kind:
        case "message":
            _check_message(item)
        case "function_call":
            _require(item, "name", "arguments")
        case "function_call_output":
            _require(item, "call_id", "output")
        case _:
            raise EventError(
                f"Invalid value: '{kind}'. Supported values are: 'message', 'function_call', and "
                "'function_call_output'.",
                "item.type",
            )
    return {"id": item.get("id") or new_id("item_"), "object": "realtime.item", "status": "completed", **item}


def _require(item: Document, *names: str) -> None:
    for name in names:
        if not isinstance(item.get(name), str):
            where = f"item.{name}"
            raise EventError(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")


def _check_message(item: Document) -> None:
    allowed = _PARTS.get(str(item.get("role")))
    if allowed is None:
        raise EventError(f"Invalid value: '{item.get('role')}'.", "item.role")
    content = item.get("content")
    if not isinstance(content, list):
        raise EventError("Missing required parameter: 'item.content'.", "item.content", "missing_required_parameter")
    for index, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in allowed:
            supported = ", ".join(f"'{name}'" for name in allowed)
            raise EventError(
                f"Invalid value: '{kind}'. Supported values are: {supported}.", f"item.content[{index}].type"
            )
        if part.get("audio") is not None:
            decode_audio(part["audio"], f"item.content[{index}].audio")


def decode_audio(value: Any, where: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise EventError(f"Invalid '{where}'. Expected base64-encoded audio bytes.", where) from None


def check_settings(wanted: Document, current: Document, where: str) -> Document:
    """Return the members that are not null; `audio` is merged into the current settings. Raises `EventError`."""
    settings = {name: value for name, value in wanted.items() if value is not None}
    for name, kinds in _KINDS.items():
        if name in settings and (not isinstance(settings[name], kinds) or isinstance(settings[name], bool)):
            raise EventError(f"Invalid type for '{where}.{name}'.", f"{where}.{name}", "invalid_type")
    modalities = settings.get("output_modalities")
    if modalities is not None and modalities not in (["text"], ["audio"]):
        raise EventError(
            f"Invalid modalities: {modalities}. Supported combinations are: ['text'] and ['audio'].",
            f"{where}.output_modalities",
        )
    audio = settings.get("audio")
    if audio is not None:
        sides = {side: audio.get(side) or {} for side in ("input", "output")}
        if not all(isinstance(side, dict) for side in sides.values()):
            raise EventError(f"Invalid type for '{where}.audio'.", f"{where}.audio", "invalid_type")
        settings["audio"] = {name: {**current["audio"][name], **side} for name, side in sides.items()}
    return settings


def text_of(item: Document) -> str:
    parts = item.get("content")
    if not isinstance(parts, list):
        return ""
    return "".join(str(part.get("text") or part.get("transcript") or "") for part in parts)


def last_input(items: list[Document]) -> tuple[str, str]:
    """Return the text that the model answers, and the role of the last item."""
    last = items[-1] if items else {"type": "message", "role": "user"}
    if last["type"] == "function_call_output":
        return str(last["output"]), "tool"
    message = next((item for item in reversed(items) if item.get("role") == "user"), {})
    return text_of(message), str(last.get("role", "assistant"))


def tokens_in(items: list[Document]) -> int:
    return sum(
        count_tokens(text_of(item) + str(item.get("arguments", "")) + str(item.get("output", ""))) for item in items
    )
