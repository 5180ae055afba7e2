"""One realtime session: events in, events out. It does not know about sockets."""

from collections.abc import Callable
from typing import Any, Final

from intellirouter.core import new_id
from intellirouter.fake.completion import Completion, CompletionRequest, Tool
from intellirouter.fake.models import ECHO, find_behavior
from intellirouter.fake.planner import plan_completion
from intellirouter.fake.reply import json_object
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.realtime.items import (
    Document,
    EventError,
    check_item,
    check_settings,
    decode_audio,
    last_input,
    tokens_in,
)
from intellirouter.testing.wires.realtime.response import response_events

LIFETIME_S: Final = 3600
MAX_ITEMS: Final = 1000
MAX_AUDIO_BYTES: Final = 15 * 1024 * 1024
MIN_COMMIT_BYTES: Final = 4800
"""100 ms of 16-bit audio at 24 kHz."""
_SESSION_MEMBERS: Final = frozenset(
    {
        "type", "audio", "include", "instructions", "max_output_tokens", "model", "output_modalities",
        "parallel_tool_calls", "prompt", "reasoning", "tool_choice", "tools", "tracing", "truncation",
    }
)  # fmt: skip


class Session:
    """The session of one client. Every answer is a list of events."""

    def __init__(self, model: str, created_s: int) -> None:
        self._created_s = created_s
        self._items: list[Document] = []
        self._audio = bytearray()
        self._conversation = new_id("conv_")
        self._session: Document = {
            "type": "realtime",
            "object": "realtime.session",
            "id": new_id("sess_"),
            "model": model,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": created_s + LIFETIME_S,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": None,
                },
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
            },
            "include": None,
        }
        self._actions: dict[str, Callable[[Document], list[Document]]] = {
            "session.update": self._update,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "input_audio_buffer.append": self._append_audio,
            "input_audio_buffer.commit": self._commit_audio,
            "input_audio_buffer.clear": self._clear_audio,
            "output_audio_buffer.clear": lambda _: [{"type": "output_audio_buffer.cleared"}],
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    @property
    def session(self) -> Document:
        return self._session

    def opening(self) -> list[Document]:
        return _with_event_ids([{"type": "session.created", "session": dict(self._session)}])

    def take(self, text: str) -> list[Document]:
        """Return the answer to one event of the client. The session continues after an invalid event."""
        document = json_object(text.encode(errors="replace"))
        event_id = document.get("event_id") if document is not None else None
        try:
            return _with_event_ids(self._perform(document))
        except EventError as error:
            return _with_event_ids([error.document(event_id)])

    def _perform(self, document: Document | None) -> list[Document]:
        if document is None:
            raise EventError("The server could not parse the event: it is not a JSON object.", code="invalid_json")
        kind = document.get("type")
        action = self._actions.get(kind) if isinstance(kind, str) else None
        if action is None:
            supported = ", ".join(f"'{name}'" for name in self._actions)
            raise EventError(f"Invalid value: '{kind}'. Supported values are: {supported}.", param="type")
        return action(document)

    def _update(self, event: Document) -> list[Document]:
        wanted = event.get("session")
        if not isinstance(wanted, dict):
            raise EventError("Missing required parameter: 'session'.", "session", "missing_required_parameter")
        if wanted.get("type") not in ("realtime", "transcription"):
            raise EventError(
                "Missing required parameter: 'session.type'.", "session.type", "missing_required_parameter"
            )
        for name in wanted:
            if name not in _SESSION_MEMBERS:
                raise EventError(f"Unknown parameter: 'session.{name}'.", f"session.{name}", "unknown_parameter")
        if wanted.get("model") not in (None, self._session["model"]):
            raise EventError("Cannot update a conversation's model.", "session.model")
        self._session |= check_settings(wanted, self._session, "session")
        return [{"type": "session.updated", "session": dict(self._session)}]

    def _add(self, item: Document) -> list[Document]:
        before = self._items[-1]["id"] if self._items else None
        self._items.append(item)
        del self._items[:-MAX_ITEMS]
        place = {"previous_item_id": before, "item": item}
        return [{"type": "conversation.item.added", **place}, {"type": "conversation.item.done", **place}]

    def _create_item(self, event: Document) -> list[Document]:
        return self._add(check_item(event.get("item")))

    def _find(self, event: Document) -> Document:
        name = event.get("item_id")
        found = next((item for item in self._items if item["id"] == name), None)
        if found is None:
            raise EventError(f"Item with item_id not found: {name}", "item_id", "item_not_found")
        return found

    def _retrieve_item(self, event: Document) -> list[Document]:
        return [{"type": "conversation.item.retrieved", "item": self._find(event)}]

    def _delete_item(self, event: Document) -> list[Document]:
        self._items.remove(self._find(event))
        return [{"type": "conversation.item.deleted", "item_id": event["item_id"]}]

    def _truncate_item(self, event: Document) -> list[Document]:
        self._find(event)
        members = {name: event.get(name, 0) for name in ("item_id", "content_index", "audio_end_ms")}
        return [{"type": "conversation.item.truncated", **members}]

    def _append_audio(self, event: Document) -> list[Document]:
        self._audio += decode_audio(event.get("audio"), "audio")
        if len(self._audio) > MAX_AUDIO_BYTES:
            self._audio.clear()
            raise EventError("The input audio buffer is full: commit or clear it.", "audio")
        return []

    def _commit_audio(self, _event: Document) -> list[Document]:
        size = len(self._audio)
        if size < MIN_COMMIT_BYTES:
            raise EventError(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer "
                f"only has {size / 48:.2f}ms of audio.",
                None,
                "input_audio_buffer_commit_empty",
            )
        self._audio.clear()
        before = self._items[-1]["id"] if self._items else None
        part = {"type": "input_audio", "transcript": f"{size} bytes of audio"}
        item = check_item({"type": "message", "role": "user", "content": [part]})
        committed = {"type": "input_audio_buffer.committed", "previous_item_id": before, "item_id": item["id"]}
        return [committed, *self._add(item)]

    def _clear_audio(self, _event: Document) -> list[Document]:
        self._audio.clear()
        return [{"type": "input_audio_buffer.cleared"}]

    def _cancel(self, _event: Document) -> list[Document]:
        # A response is complete before the next event of the client is read.
        raise EventError("Cancellation failed: no active response found", None, "response_cancel_not_active")

    def _respond(self, event: Document) -> list[Document]:
        wanted = event.get("response") or {}
        if not isinstance(wanted, dict):
            raise EventError("Invalid type for 'response': expected an object.", "response", "invalid_type")
        settings = {**self._session, **check_settings(wanted, self._session, "response")}
        given = settings.get("input")
        items = [check_item(item) for item in given] if isinstance(given, list) else self._items
        completion = self._plan(settings, items)
        events, output = response_events(completion, settings, self._conversation)
        if settings.get("conversation") != "none":
            for item in output:
                self._items.append(item)
        return events

    def _plan(self, settings: Document, items: list[Document]) -> Completion:
        input_text, last_role = last_input(items)
        limit = settings["max_output_tokens"]
        tools = [_tool(entry, index) for index, entry in enumerate(settings["tools"] or [])]
        choice = settings["tool_choice"]
        request = CompletionRequest(
            model=str(self._session["model"]),
            input_text=input_text,
            last_role=last_role,
            prompt_tokens=tokens_in(items)
            + count_tokens(str(settings["instructions"]))
            + sum(count_tokens(tool.name + str(tool.parameters)) for tool in tools),
            max_tokens=limit if isinstance(limit, int) and limit > 0 else None,
            tools=tools,
            tool_choice=f"={choice.get('name')}" if isinstance(choice, dict) else str(choice),
        )
        return plan_completion(request, find_behavior(request.model) or ECHO, created_s=self._created_s)


def _tool(entry: Any, index: int) -> Tool:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        where = f"session.tools[{index}].name"
        raise EventError(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    parameters = entry.get("parameters")
    return Tool(name, parameters if isinstance(parameters, dict) else {})


def _with_event_ids(events: list[Document]) -> list[Document]:
    return [{"type": event["type"], "event_id": new_id("event_"), **event} for event in events]
