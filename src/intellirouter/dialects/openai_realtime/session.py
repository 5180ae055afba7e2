"""The events of a realtime session: relayed with the model's name replaced, and their usage added up.

An event is only decoded if a text search indicates that it matters, because most events are audio.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import DEFAULT_LIMITS, SMALL_BYTES, Usage, errors, new_id
from intellirouter.dialects.openai.client_errors import encode_error
from intellirouter.dialects.openai_realtime.named_models import SessionModels, may_name_model, replace_models
from intellirouter.dialects.openai_realtime.usage import decode_realtime_usage
from intellirouter.dialects.protocols import MessageRefused
from intellirouter.dialects.wire.json_limits import check_json

_TYPE_WITHIN: Final = 256
"""The number of characters at the start of an event that contain its type, if it is where OpenAI puts it."""
_DESCRIBES_SESSION: Final = ("session.created", "session.updated")
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

    def __init__(
        self,
        models: SessionModels,
        *,
        names_requested_model: bool = False,
        counts_transcriptions: bool = False,
    ) -> None:
        """`names_requested_model`: events name the model as the client does, not as the upstream does.

        `counts_transcriptions`: the model of the session transcribes, so the usage of transcriptions counts.
        """
        self._names_requested_model = names_requested_model
        self._models = models
        self._reported_model: str | None = None
        self._counts_transcriptions = counts_transcriptions
        self._reported: Usage | None = None
        self._unreported_deltas = 0

    @property
    def usage(self) -> Usage | None:
        """The reported usage of all responses. A response that was cut off is estimated as one token per event."""
        if not self._unreported_deltas:
            return self._reported
        return self._plus(Usage(output_tokens=self._unreported_deltas, is_estimated=True))

    def from_client(self, message: str | bytes) -> str | bytes:
        """Return the event to send to the upstream for a client's event. Raises `MessageRefused`.

        An event that names a model is encoded again, so that the upstream cannot read another name than the gateway
        has, as it could if the event had a member twice.
        """
        if not may_name_model(message):
            return message
        event = _object(message)
        try:
            if not event:
                raise errors.InvalidRequest("The event is not a valid JSON object.", code="invalid_json")
            replace_models(event, self._models, self._reported_model)
        except errors.ClientError as error:
            event_id = event.get("event_id")
            raise MessageRefused(self._error_event(error, event_id if isinstance(event_id, str) else None)) from None
        encoded = msgspec.json.encode(event)
        return encoded if isinstance(message, bytes) else encoded.decode()

    def from_upstream(self, message: str | bytes) -> str | bytes:
        """Return the event to send to the client for an upstream's event."""
        if not isinstance(message, str):
            return message
        head = message[:_TYPE_WITHIN]
        if '.delta"' in head:
            self._unreported_deltas += "transcript" not in head  # Transcripts repeat the audio.
        elif 'response.done"' in message:
            self._count(message, "response.done", "response")
        elif self._counts_transcriptions and 'transcription.completed"' in message:
            self._count(message, "conversation.item.input_audio_transcription.completed", None)
        elif 'session.created"' in message or 'session.updated"' in message:
            return self._described_session(message)
        return message

    def refusal(self, message: str | bytes) -> tuple[int, bytes] | None:
        """Return the HTTP status and error envelope if the upstream's first event refuses the session."""
        if '"error"' not in message if isinstance(message, str) else b'"error"' not in message:
            return None
        event = _object(message)
        error = event.get("error")
        if event.get("type") != "error" or not isinstance(error, dict):
            return None
        status = _STATUS_OF_CODE.get(str(error.get("code"))) or _STATUS_OF_TYPE.get(str(error.get("type")), 500)
        return status, msgspec.json.encode({"error": error})

    def error_event(self, error: errors.GatewayError) -> str:
        """Encode a gateway error as an event of the session."""
        return self._error_event(error, None)

    def _error_event(self, error: errors.GatewayError, client_event_id: str | None) -> str:
        envelope: dict[str, Any] = msgspec.json.decode(encode_error(error))["error"]
        return msgspec.json.encode(
            {"type": "error", "event_id": new_id("event_"), "error": {**envelope, "event_id": client_event_id}}
        ).decode()

    def _described_session(self, message: str) -> str:
        """Return an event that describes the session, with the client's name of the model if it is to be replaced."""
        event = _object(message)
        session = event.get("session")
        if event.get("type") not in _DESCRIBES_SESSION or not isinstance(session, dict) or "model" not in session:
            return message
        reported = session["model"]
        if isinstance(reported, str):
            self._reported_model = reported
        if not self._names_requested_model or reported is None:
            return message
        session["model"] = self._models.requested
        return msgspec.json.encode(event).decode()

    def _count(self, message: str, kind: str, member: str | None) -> None:
        """Add the usage of an event, which is in the event itself or in one of its members."""
        event = _object(message)
        if event.get("type") != kind:
            return
        parent = event if member is None else event.get(member)
        usage = decode_realtime_usage(parent.get("usage")) if isinstance(parent, dict) else None
        if usage is None:
            usage = Usage(output_tokens=self._unreported_deltas, is_estimated=True)
        self._reported = self._plus(usage)
        self._unreported_deltas = 0

    def _plus(self, usage: Usage) -> Usage:
        return usage if self._reported is None else self._reported.plus(usage)


def _object(message: str | bytes) -> dict[str, Any]:
    """Decode an event. Empty if it is invalid or has too many members, which the other side will report."""
    try:
        if len(message) > SMALL_BYTES:
            check_json(message.encode() if isinstance(message, str) else message, DEFAULT_LIMITS)
        event = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError, errors.InvalidRequest):
        return {}
    return event if isinstance(event, dict) else {}
