"""The states of a stored response object (queued, cancelled, failed), and the members that the store reads. Pure."""

from typing import Any

import msgspec

from intellirouter.core import Call, LossReport, errors, new_id
from intellirouter.dialects.ir import Response
from intellirouter.dialects.openai_responses.response_envelope import write_error
from intellirouter.dialects.protocols import ChatClient


def queued(client: ChatClient, call: Call) -> tuple[str, bytes]:
    """Return the id of a new response, and its object with the status `queued`."""
    response_id = new_id("resp_")
    document: dict[str, Any] = msgspec.json.decode(client.encode(Response(), call, LossReport()))
    document |= {
        "id": response_id,
        "status": "queued",
        "completed_at": None,
        "background": True,
        "output": [],
        "usage": None,
        "incomplete_details": None,
        "error": None,
    }
    return response_id, msgspec.json.encode(document)


def with_id(response: bytes, response_id: str) -> bytes:
    """Return a finished response with the id that the client got for the queued response."""
    document: dict[str, Any] = msgspec.json.decode(response)
    return msgspec.json.encode(document | {"id": response_id, "background": True})


def cancelled(response: msgspec.Raw) -> bytes:
    document: dict[str, Any] = msgspec.json.decode(response)
    return msgspec.json.encode(document | {"status": "cancelled", "completed_at": None})


def failed(response: msgspec.Raw, error: errors.GatewayError) -> bytes:
    document: dict[str, Any] = msgspec.json.decode(response)
    return msgspec.json.encode(document | {"status": "failed", "completed_at": None, "error": write_error(error)})


def id_of(response: bytes) -> str:
    return str(_member(response, "id") or "")


def status_of(response: bytes) -> str:
    return str(_member(response, "status") or "completed")


def is_background(response: bytes) -> bool:
    return _member(response, "background") is True


def _member(response: bytes, name: str) -> Any:
    try:
        document = msgspec.json.decode(response)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return document.get(name) if isinstance(document, dict) else None
