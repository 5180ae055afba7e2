"""Realtime sessions: replaced model names, counted usage, refused sessions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Deployment, RequestContext, UpstreamAddress, Usage, errors
from intellirouter.dialects import MessageRefused
from intellirouter.dialects.openai_realtime import REALTIME, RealtimeSession
from intellirouter.dialects.openai_realtime.named_models import SessionModels, may_name_model
from intellirouter.testing import FakeClock
from tests.support.dialects.standard import ENDPOINTS

ENDPOINT = ENDPOINTS["openai_realtime"]
UPSTREAM = Deployment(
    name="d",
    provider="p",
    vendor="v",
    upstream_model="gpt realtime/1",
    address=UpstreamAddress(base_url="http://u.test/v1"),
)


def session(model: str = "voice", upstream: str = "gpt-realtime", **how: Any) -> RealtimeSession:
    may_use = how.pop("may_use", lambda _: True)
    models = SessionModels(requested=model, upstream=upstream, provider="openai", may_use=may_use)
    return RealtimeSession(models, **how)


def refused(one: RealtimeSession, event: Any) -> dict[str, Any]:
    """Return the error of the event with which the session refuses a client's event."""
    with pytest.raises(MessageRefused) as refusal:
        one.from_client(event if isinstance(event, str | bytes) else json.dumps(event))
    reply = json.loads(refusal.value.reply)
    assert (reply["type"], reply["event_id"][:6]) == ("error", "event_")
    error: dict[str, Any] = reply["error"]
    assert error["type"] == "invalid_request_error"
    return error


def done(**usage: Any) -> str:
    return json.dumps({"type": "response.done", "event_id": "e", "response": {"output": [], "usage": usage}})


def test_the_handshake_has_the_upstreams_model_and_the_clients_query() -> None:
    context = RequestContext(model="voice", query="model=voice&intent=transcription&deployment=other&x=a%20b&e=")
    call = ENDPOINT.decode_request(b"", context)
    assert (call.operation, call.model, call.is_stream) == ("realtime", "voice", True)
    request = ENDPOINT.session_route(call, UPSTREAM).encode_request(call, UPSTREAM)
    assert request.method == "GET"
    assert request.path == "/realtime?model=gpt+realtime%2F1&intent=transcription&x=a+b&e="


def test_beta_headers_are_sent_to_the_upstream() -> None:
    context = RequestContext(model="voice", headers=(("openai-beta", "realtime=v1"),))
    call = ENDPOINT.decode_request(b"", context)
    assert ENDPOINT.session_route(call, UPSTREAM).encode_request(call, UPSTREAM).headers == context.headers


def test_a_handshake_without_a_model_is_rejected() -> None:
    with pytest.raises(errors.InvalidRequest, match="model") as rejection:
        ENDPOINT.decode_request(b"", RequestContext())
    assert (rejection.value.param, rejection.value.code) == ("model", "missing_required_parameter")
    assert "/v1/realtime?model=" in rejection.value.hint


def test_upstreams_of_other_dialects_do_not_support_sessions() -> None:
    other = Deployment(
        name="d",
        provider="p",
        vendor="anthropic",
        upstream_model="m",
        address=UpstreamAddress(base_url="http://u.test"),
        dialects=("anthropic_messages",),
    )
    call = ENDPOINT.decode_request(b"", RequestContext(model="voice"))
    with pytest.raises(errors.UnsupportedFeature, match="realtime"):
        ENDPOINT.session_route(call, other)


def test_events_are_relayed_unchanged() -> None:
    one = session()
    for text in (
        '{ "type":"input_audio_buffer.append", "audio":"AAAA" }',
        '{"type":"session.update","session":{"voice":"another"}}',
        "no json about session.update and model",
        '{"type":"x","text":"session.update \\"model\\""}',
    ):
        assert one.from_client(text) is text
    assert (
        one.from_client('{"type":"session.update","session":"model"}') == '{"type":"session.update","session":"model"}'
    )
    assert one.from_client(b"\x00\xff") == b"\x00\xff"
    assert one.from_upstream(b'response.done"') == b'response.done"'
    for text in ('{"type":"x","text":"session.created\\""}', '{"type":"session.created","session":{"model":"other"}}'):
        assert one.from_upstream(text) == text
    assert one.usage is None


@pytest.mark.parametrize("reported", ["gpt-realtime", "gpt-realtime-2025-08-28"])
def test_the_model_name_is_replaced_in_both_directions(reported: str) -> None:
    one = session(names_requested_model=True)
    update = {"type": "session.update", "session": {"type": "realtime", "model": "voice", "speed": 1.5}}
    assert json.loads(one.from_client(json.dumps(update))) == {
        "type": "session.update",
        "session": {"type": "realtime", "model": "gpt-realtime", "speed": 1.5},
    }
    for kind in ("session.created", "session.updated"):
        event = {"type": kind, "event_id": "e", "session": {"model": reported, "instructions": "ü"}}
        assert json.loads(one.from_upstream(json.dumps(event)))["session"] == {"model": "voice", "instructions": "ü"}


def test_events_name_the_upstreams_model_by_default() -> None:
    text = '{"type":"session.created","session":{"model":"gpt-realtime"}}'
    assert session().from_upstream(text) is text


@pytest.mark.parametrize("about", [{"model": None}, {}, None])
def test_a_session_without_a_model_gets_none(about: object) -> None:
    text = json.dumps({"type": "session.created", "session": about})
    assert session(names_requested_model=True).from_upstream(text) is text


TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}


@pytest.mark.parametrize(
    ("event", "param"),
    [
        ({"type": "session.update", "session": {"model": "other"}}, "session.model"),
        ({"type": "session.update", "session": {"type": "realtime", "model": "gpt-realtime-pro"}}, "session.model"),
        ({"type": "transcription_session.update", "session": {"model": "other"}}, "session.model"),
        ({"type": "response.create", "response": {"model": "other"}}, "response.model"),
        ({"type": "response.create", "model": "other"}, "model"),
        ({"type": "session.update", "session": {"model": ["other"]}}, "session.model"),
        ('{"type":"session.update","session":{"m\\u006fdel":"other"}}', "session.model"),
        ('{"type":"session.update","session":{"model":"voice","model":"other"}}', "session.model"),
        (b'{"type":"session.update","session":{"model":"other"}}', "session.model"),
        ('{"type":"session.update","session":{"model":"other"},}', None),
        ('\ufeff{"type":"session.update","session":{"model":"other"}}', None),
    ],
)
@pytest.mark.parametrize("upstream", ["voice", "gpt-realtime"])
def test_event_that_names_another_model_of_the_session_is_refused(event: Any, param: str | None, upstream: str) -> None:
    assert refused(session("voice", upstream), event)["param"] == param


def test_refusal_names_the_clients_event() -> None:
    event = {"type": "session.update", "event_id": "evt_7", "session": {"model": "other"}}
    error = refused(session(), event)
    assert (error["event_id"], error["code"]) == ("evt_7", "invalid_value")
    assert "'voice'" in error["message"]


@pytest.mark.parametrize(
    ("event", "param"),
    [
        ({"type": "session.update", "session": TRANSCRIBED}, "session.audio.input.transcription.model"),
        (
            {"type": "session.update", "session": {"input_audio_transcription": {"model": "whisper-1"}}},
            "session.input_audio_transcription.model",
        ),
    ],
)
def test_transcribing_model_must_be_one_that_the_key_may_use(event: dict[str, Any], param: str) -> None:
    error = refused(session(may_use=lambda name: name == "voice"), event)
    assert (error["code"], error["param"]) == ("model_not_found", param)
    for allowed in ("whisper-1", "openai/whisper-1"):
        sent = session(may_use=lambda name, allowed=allowed: name == allowed).from_client(json.dumps(event))
        assert json.loads(sent) == event


def test_transcribing_model_of_a_transcription_session_is_the_upstreams() -> None:
    event = {"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "voice"}}}}}
    sent = json.loads(session(may_use=lambda name: name == "voice").from_client(json.dumps(event)))
    assert sent["session"]["audio"]["input"]["transcription"] == {"model": "gpt-realtime"}


def test_upstream_reads_the_model_that_the_gateway_has_read() -> None:
    twice = '{"type":"session.update","session":{"model":"other"},"session":{"voice":"alloy"}}'
    assert json.loads(session().from_client(twice)) == {"type": "session.update", "session": {"voice": "alloy"}}
    assert "other" not in str(session().from_client(twice))


@pytest.mark.parametrize("reported", ["gpt-realtime", "gpt-realtime-2025-08-28"])
def test_client_may_send_back_the_session_as_the_upstream_has_described_it(reported: str) -> None:
    one = session()
    one.from_upstream(json.dumps({"type": "session.created", "session": {"model": reported}}))
    event = {"type": "session.update", "session": {"model": reported, "speed": 1.5}}
    assert json.loads(one.from_client(json.dumps(event))) == event


def test_model_in_the_content_of_an_event_is_no_models_name() -> None:
    tool = {"type": "function", "name": "car", "parameters": {"properties": {"model": {"type": "string"}}}}
    for event in (
        {"type": "session.update", "session": {"tools": [tool], "model": None}},
        {"type": "conversation.item.create", "item": {"type": "message", "metadata": {"model": "T"}}},
        {"type": "response.create", "response": {"metadata": {"model": "T"}, "input": []}},
    ):
        assert json.loads(session(may_use=lambda _: False).from_client(json.dumps(event))) == event


def test_usage_is_added_up_over_responses_in_disjoint_counts() -> None:
    one = session()
    one.from_upstream(
        done(
            total_tokens=253,
            input_tokens=132,
            output_tokens=121,
            input_token_details={
                "text_tokens": 119,
                "audio_tokens": 13,
                "image_tokens": 9,
                "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 2},
            },
            output_token_details={"text_tokens": 30, "audio_tokens": 91},
        )
    )
    first = Usage(
        input_tokens=52,
        cache_read_tokens=64,
        input_audio_tokens=9,
        input_image_tokens=7,
        output_tokens=30,
        output_audio_tokens=91,
    )
    assert one.usage == first
    assert first.total_tokens == 253
    one.from_upstream(done(input_tokens=1, output_tokens=2))
    assert one.usage == first.plus(Usage(input_tokens=1, output_tokens=2))


def test_the_usage_of_an_incomplete_response_is_estimated() -> None:
    one = session()
    one.from_upstream(done(input_tokens=10, output_tokens=5))
    for _ in range(3):
        one.from_upstream('{"type":"response.output_audio.delta","delta":"AAAA"}')
        one.from_upstream('{"type":"response.output_audio_transcript.delta","delta":"a"}')
    assert one.usage == Usage(input_tokens=10, output_tokens=8, is_estimated=True)


def test_missing_usage_is_estimated() -> None:
    one = session()
    one.from_upstream('{"type":"response.text.delta","delta":"a"}')
    one.from_upstream('{"type":"response.done","response":{"usage":null}}')
    assert one.usage == Usage(output_tokens=1, is_estimated=True)


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": "many", "output_tokens": None},
        {"input_tokens": -4, "output_tokens": -1, "input_token_details": []},
        {"input_tokens": 3, "input_token_details": {"cached_tokens": 9, "audio_tokens": 9}},
        {"output_tokens": 3, "output_token_details": {"audio_tokens": 9, "reasoning_tokens": 9}},
        {"input_tokens": 1e300},
    ],
)
def test_invalid_usage_is_never_negative_nor_more_than_the_total(usage: dict[str, Any]) -> None:
    one = session()
    one.from_upstream(done(**usage))
    counted = one.usage
    assert counted is not None
    assert counted.total_tokens in {0, 3, 10**12}
    assert min(counted.input_tokens, counted.output_tokens, counted.input_audio_tokens) >= 0


def test_the_usage_of_transcriptions_counts_in_transcription_sessions() -> None:
    event = {
        "type": "conversation.item.input_audio_transcription.completed",
        "transcript": "hello",
        "usage": {
            "type": "tokens",
            "input_tokens": 14,
            "output_tokens": 4,
            "input_token_details": {"audio_tokens": 14},
        },
    }
    other, own = session(), session(counts_transcriptions=True)
    for one in (other, own):
        one.from_upstream(json.dumps(event))
    assert other.usage is None
    assert own.usage == Usage(input_audio_tokens=14, output_tokens=4)
    call = ENDPOINT.decode_request(b"", RequestContext(model="m", query="intent=transcription"))
    third = REALTIME.session(call, UPSTREAM, lambda _: True)
    third.from_upstream(json.dumps(event))
    assert third.usage == own.usage


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": "insufficient_quota", "message": "no credit"}, errors.UpstreamQuotaExhausted),
        ({"code": "model_not_found", "message": "no such model"}, errors.UpstreamModelMissing),
        ({"code": "rate_limit_exceeded", "message": "slow down"}, errors.UpstreamRateLimited),
        ({"type": "authentication_error", "message": "bad key"}, errors.UpstreamAuthFailed),
        ({"type": "invalid_request_error", "message": "no beta"}, errors.UpstreamRejected),
        ({"type": "server_error", "message": "oops"}, errors.UpstreamUnavailable),
        ({"message": "oops"}, errors.UpstreamUnavailable),
    ],
)
def test_an_error_as_the_first_event_refuses_the_session(
    error: dict[str, Any], expected: type[errors.UpstreamError]
) -> None:
    refusal = session().refusal(json.dumps({"type": "error", "event_id": "e", "error": error}))
    assert refusal is not None
    status, body = refusal
    decoded = REALTIME.decode_error(status, (), body, deployment="d", clock=FakeClock())
    assert type(decoded) is expected
    assert error["message"] in decoded.message


@pytest.mark.parametrize(
    "first",
    [
        '{"type":"session.created","session":{}}',
        '{"type":"error","error":"x"}',
        '["error"]',
        b'"error"',
        '"error',
        b"\xff",
    ],
)
def test_other_first_events_do_not_refuse_the_session(first: str | bytes) -> None:
    assert session().refusal(first) is None


def test_gateway_errors_are_encoded_as_error_events() -> None:
    event = json.loads(session().error_event(errors.UpstreamDisconnected("d ended the session.")))
    assert event["type"] == "error"
    assert event["event_id"].startswith("event_")
    assert event["error"] == {
        "message": "d ended the session.",
        "type": "api_error",
        "param": None,
        "code": "upstream_disconnected",
        "event_id": None,
    }


@given(st.one_of(st.text(), st.binary(), st.from_regex(r'\{"type":"(response\.done|session\.update|error)",.*')))
def test_any_message_can_be_relayed(message: str | bytes) -> None:
    one = session(counts_transcriptions=True)
    try:
        assert one.from_client(message) == message
    except MessageRefused:
        assert may_name_model(message), "only what cannot be read, but may name a model, is refused"
    assert one.from_upstream(message) == message
    one.refusal(message)
