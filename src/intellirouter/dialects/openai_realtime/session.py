"""One realtime session's events: relayed as they are but for the model's name, their usage summed.

Events are looked into only where a search of the text says that it may be worth it: most of them are sound.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import Usage, errors, new_id
from intellirouter.dialects.openai.errors import encode_error
from intellirouter.dialects.openai_realtime.usage import decode_realtime_usage

_TYPE_WITHIN: Final = 256
"""Where an event's type stands, if it stands where OpenAI puts it."""
_STATUS_OF_CODE: Final = {
    "invalid_api_key": 401,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "model_not_found": 404,
    "invalid_model": 404,
}
_STATUS_OF_TYPE: Final = {
    "authentication_error": 401,
    "permission_error": 403,
    "rate_limit_error": 429,
    "invalid_request_error": 400,
}


class RealtimeSession:
    """Implements `protocols.SessionRelay`."""

    def __init__(self, model: str, upstream_model: str, *, counts_transcriptions: bool = False) -> None:
        """`counts_transcriptions`: the session's own model transcribes, so what that takes is the session's usage."""
        self._model = model
        self._upstream_model = upstream_model
        self._is_renamed = model != upstream_model
        self._counts_transcriptions = counts_transcriptions
        self._reported: Usage | None = None
        self._unreported_deltas = 0

    @property
    def usage(self) -> Usage | None:
        """What all responses reported; a response that was cut short counts about a token an event."""
        if not self._unreported_deltas:
            return self._reported
        return self._plus(Usage(output_tokens=self._unreported_deltas, is_estimated=True))

    def from_client(self, message: str | bytes) -> str | bytes:
        """Return what the upstream gets for a client's event."""
        if self._is_renamed and isinstance(message, str) and "session.update" in message and '"model"' in message:
            return self._renamed(message, ("session.update",), self._model, self._upstream_model)
        return message

    def from_upstream(self, message: str | bytes) -> str | bytes:
        """Return what the client gets for an upstream's event."""
        if not isinstance(message, str):
            return message
        head = message[:_TYPE_WITHIN]
        if '.delta"' in head:
            self._unreported_deltas += "transcript" not in head  # the words of what is heard anyway
        elif 'response.done"' in message:
            self._count(message, "response.done", "response")
        elif self._counts_transcriptions and 'transcription.completed"' in message:
            self._count(message, "conversation.item.input_audio_transcription.completed", None)
        elif self._is_renamed and ('session.created"' in message or 'session.updated"' in message):
            return self._renamed(message, ("session.created", "session.updated"), self._upstream_model, self._model)
        return message

    def refusal(self, message: str | bytes) -> tuple[int, bytes] | None:
        """Tell whether an upstream's first event is a refusal: the HTTP status it stands for, and its envelope."""
        if '"error"' not in message if isinstance(message, str) else b'"error"' not in message:
            return None
        event = _object(message)
        error = event.get("error")
        if event.get("type") != "error" or not isinstance(error, dict):
            return None
        status = _STATUS_OF_CODE.get(str(error.get("code"))) or _STATUS_OF_TYPE.get(str(error.get("type")), 500)
        return status, msgspec.json.encode({"error": error})

    def error_event(self, error: errors.GatewayError) -> str:
        """Render an error of ours the way sessions tell of theirs."""
        said: dict[str, Any] = msgspec.json.decode(encode_error(error))["error"]
        return msgspec.json.encode(
            {"type": "error", "event_id": new_id("event_"), "error": {**said, "event_id": None}}
        ).decode()

    def _count(self, message: str, kind: str, within: str | None) -> None:
        event = _object(message)
        if event.get("type") != kind:
            return
        holder = event if within is None else event.get(within)
        usage = decode_realtime_usage(holder.get("usage")) if isinstance(holder, dict) else None
        if usage is None:
            usage = Usage(output_tokens=self._unreported_deltas, is_estimated=True)
        self._reported = self._plus(usage)
        self._unreported_deltas = 0

    def _plus(self, usage: Usage) -> Usage:
        return usage if self._reported is None else self._reported.plus(usage)

    def _renamed(self, message: str, kinds: tuple[str, ...], old: str, new: str) -> str:
        event = _object(message)
        session = event.get("session")
        if event.get("type") not in kinds or not isinstance(session, dict) or session.get("model") != old:
            return message
        session["model"] = new
        return msgspec.json.encode(event).decode()


def _object(message: str | bytes) -> dict[str, Any]:
    """Read an event; empty for what is none, which is the other side's business to complain about."""
    try:
        event = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
