"""Realtime sessions: client events that name other models are refused, and refused handshakes spare credentials."""

import json
import re

import pytest

from intellirouter.core import SocketClosed, SocketRefusal, errors
from intellirouter.governance import Identity
from tests.unit.pipeline.test_sessions import CREATED, End, Stage, build_exchange


@pytest.mark.parametrize("padding", ["", "x" * 40_000])
async def test_refused_event_is_answered_and_the_session_goes_on(padding: str) -> None:
    upstream = End(CREATED)
    stage = Stage(upstream)
    other = {"type": "session.update", "event_id": "e1", "session": {"model": "other", "instructions": padding}}
    stage.client.incoming.put_nowait(json.dumps(other))
    stage.client.incoming.put_nowait('{"type":"response.create"}')
    stage.client.incoming.put_nowait(SocketClosed(1000))
    exchange = await stage.run(build_exchange("a"))
    assert upstream.sent == ['{"type":"response.create"}']
    error = json.loads(stage.client.sent[-1])
    assert (error["type"], error["error"]["event_id"]) == ("error", "e1")
    assert (exchange.error, exchange.finish_reason) == (None, "client_closed")
    assert [each.outcome for each in exchange.attempts] == ["ok"]


@pytest.mark.parametrize(
    ("status", "message", "is_spared"),
    [(403, "Content violates usage guidelines.", True), (403, "Forbidden.", False), (429, "Slow down.", False)],
)
async def test_refused_handshake_that_the_request_has_caused_spares_the_credential(
    status: int, message: str, *, is_spared: bool
) -> None:
    spared: list[int] = []
    body = json.dumps({"error": {"message": message}}).encode()
    stage = Stage(SocketRefusal(status, (), body, lambda: spared.append(1)))
    with pytest.raises(errors.UpstreamError):
        await stage.run(build_exchange("a"))
    assert bool(spared) is is_spared


async def test_session_refuses_models_that_the_key_may_not_use() -> None:
    upstream = End(CREATED)
    stage = Stage(upstream)
    transcription = {"input_audio_transcription": {"model": "whisper-1"}}
    stage.client.incoming.put_nowait(json.dumps({"type": "session.update", "session": transcription}))
    stage.client.incoming.put_nowait(SocketClosed(1000))
    request = build_exchange("a")
    request[0].identity = Identity("t", "k", models=re.compile("voice"))
    await stage.run(request)
    assert upstream.sent == []
    assert json.loads(stage.client.sent[-1])["error"]["code"] == "model_not_found"
