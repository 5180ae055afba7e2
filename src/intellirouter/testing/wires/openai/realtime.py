"""`/v1/realtime`: opening sessions, and client secrets for browsers."""

from typing import Any, Final

from intellirouter.core import new_id
from intellirouter.fake.openai.fields import read_model
from intellirouter.fake.openai.replies import CHAT_WIRE, OpenAiError, json_reply
from intellirouter.fake.reply import Reply, RequestRejected
from intellirouter.testing.wires.openai.requests import body_of
from intellirouter.testing.wires.realtime import Session, accept_key
from intellirouter.testing.wires.shared.request import WireRequest

SECRET_LIFETIME_S: Final = 600
PATHS: Final = ("/v1/realtime", "/openai/v1/realtime", "/openai/realtime")
"""The paths of WebSocket sessions, including Azure's."""


def client_secrets(request: WireRequest, path: str) -> Reply | None:
    """Answer `POST /v1/realtime/client_secrets`."""
    if path != "/realtime/client_secrets" or request.method != "POST":
        return None
    wanted: Any = (body_of(request) if request.body else {}).get("session") or {}
    session = Session(str(wanted.get("model") or "gpt-realtime"), request.created_s).session | wanted
    expires_s = request.created_s + SECRET_LIFETIME_S
    return json_reply({"value": new_id("ek_"), "expires_at": expires_s, "session": session})


def open_session(request: WireRequest, api_key: str | None) -> tuple[Reply, Session | None]:
    """Answer the handshake: 101 and a session, or an error and None. Never raises."""
    try:
        key = request.headers.get("api-key") or request.key or _subprotocol_key(request)
        if api_key is not None and key != api_key:
            raise OpenAiError(401, "Incorrect API key provided.", code="invalid_api_key")
        query = request.query
        model = query.get("model") or query.get("deployment")
        request.model = model
        name = read_model({"model": model})
    except RequestRejected as error:
        return error.reply(), None
    headers = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", accept_key(request.headers.get("sec-websocket-key", ""))),
    ]
    if "realtime" in _subprotocols(request):
        headers.append(("sec-websocket-protocol", "realtime"))
    reply = Reply(status=101, headers=headers, parts=[], wire=CHAT_WIRE)
    return reply, Session(name, request.created_s)


def _subprotocols(request: WireRequest) -> list[str]:
    return [name.strip() for name in request.headers.get("sec-websocket-protocol", "").split(",")]


def _subprotocol_key(request: WireRequest) -> str:
    """Return the key that browsers send as a subprotocol because they cannot set headers."""
    prefix = "openai-insecure-api-key."
    return next((name.removeprefix(prefix) for name in _subprotocols(request) if name.startswith(prefix)), "")
