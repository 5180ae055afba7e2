"""The passthrough of media endpoints: bytes unchanged except for the model, usage, relayed streams."""

import json
from typing import Any

import pytest

from intellirouter.core import NO_USAGE, Deployment, RequestContext, UpstreamAddress, Usage
from intellirouter.core.errors import InvalidRequest, UpstreamMalformed, UpstreamRateLimited, UpstreamUnavailable
from intellirouter.dialects.openai_media import MEDIA_PASSTHROUGHS
from intellirouter.dialects.protocols import StreamRelay

UP = Deployment(
    name="up",
    provider="p",
    vendor="openai",
    upstream_model="up-1",
    address=UpstreamAddress(base_url="http://localhost/v1"),
)
FORM = RequestContext(headers=(("content-type", "multipart/form-data; boundary=b"),))


def body(**members: Any) -> bytes:
    return json.dumps(members).encode()


def form(**fields: str) -> bytes:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    return "".join(parts).encode() + b"--b--\r\n"


def test_only_the_model_is_replaced() -> None:
    route = MEDIA_PASSTHROUGHS["rerank"]
    sent = b'{ "documents":["a"], "model":"m" , "query":"model","x":1}'
    request = route.encode_request(route.decode_request(sent), UP)
    assert request.path == "/rerank"
    assert request.body == sent.replace(b'"m"', b'"up-1"')


def test_a_request_without_a_model_gets_the_default_model() -> None:
    route = MEDIA_PASSTHROUGHS["openai_moderations"]
    call = route.decode_request(body(input="x"))
    assert call.model == "omni-moderation-latest"
    assert json.loads(route.encode_request(call, UP).body) == {"input": "x", "model": "up-1"}


@pytest.mark.parametrize(
    ("endpoint", "missing"),
    [
        ("openai_moderations", "input"),
        ("openai_images", "prompt"),
        ("openai_speech", "input"),
        ("rerank", "query"),
    ],
)
def test_missing_members_are_named(endpoint: str, missing: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'{missing}'") as refusal:
        MEDIA_PASSTHROUGHS[endpoint].decode_request(body(model="m"))
    assert refusal.value.param == missing


def test_the_model_of_a_form_is_replaced() -> None:
    route = MEDIA_PASSTHROUGHS["openai_transcriptions"]
    call = route.decode_request(form(model="m", file="audio", stream="true"), FORM)
    assert (call.model, call.is_stream, call.operation) == ("m", True, "audio")
    request = route.encode_request(call, UP)
    assert request.body == form(model="up-1", file="audio", stream="true")
    assert request.headers == (("content-type", "multipart/form-data; boundary=b"),)


def test_a_form_without_a_file_is_rejected() -> None:
    with pytest.raises(InvalidRequest, match="'file'"):
        MEDIA_PASSTHROUGHS["openai_transcriptions"].decode_request(form(model="m"), FORM)


@pytest.mark.parametrize(
    ("document", "usage"),
    [
        ({"usage": {"input_tokens": 5, "output_tokens": 7}}, Usage(input_tokens=5, output_tokens=7)),
        (
            {"usage": {"type": "tokens", "input_tokens": 9, "input_token_details": {"audio_tokens": 7}}},
            Usage(input_tokens=2, input_audio_tokens=7),
        ),
        ({"usage": {"total_tokens": 11}}, Usage(input_tokens=11)),
        ({"meta": {"tokens": {"input_tokens": 3}}}, Usage(input_tokens=3)),
    ],
)
def test_reported_usage_is_decoded(document: dict[str, Any], usage: Usage) -> None:
    route = MEDIA_PASSTHROUGHS["rerank"]
    call = route.decode_request(body(model="m", query="q", documents=["d"]))
    answer = route.decode_response(json.dumps(document).encode(), call, UP)
    assert (answer.usage, answer.body) == (usage, None)


@pytest.mark.parametrize(
    ("details", "text", "images"),
    [({}, 0, 1056), ({"output_tokens_details": {"image_tokens": 1000, "text_tokens": 56}}, 56, 1000)],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_tokens_of_images_are_counted_apart(
    details: dict[str, Any], text: int, images: int, *, is_stream: bool
) -> None:
    route = MEDIA_PASSTHROUGHS["openai_images"]
    call = route.decode_request(body(model="m", prompt="A cat.", stream=is_stream))
    counts = {"input_tokens": 300, "input_tokens_details": {"text_tokens": 44, "image_tokens": 256}}
    document = json.dumps({"usage": {**counts, "output_tokens": 1056, **details}}).encode()
    if is_stream:
        relay = route.relay(call, UP)
        relay.feed(b"event: image_generation.completed\ndata: " + document + b"\n\n")
        usage = relay.usage
    else:
        usage = route.decode_response(document, call, UP).usage
    assert usage == Usage(input_tokens=44, input_image_tokens=256, output_tokens=text, output_image_tokens=images)


@pytest.mark.parametrize(
    "document", [{"usage": {"type": "duration", "seconds": 3}}, {"meta": {"billed_units": {}}}, {}]
)
def test_usage_without_tokens_is_estimated(document: dict[str, Any]) -> None:
    route = MEDIA_PASSTHROUGHS["rerank"]
    call = route.decode_request(body(model="m", query="q", documents=["d"]))
    usage = route.decode_response(json.dumps(document).encode(), call, UP).usage
    assert usage is not None
    assert usage.is_estimated


def test_moderations_have_no_usage() -> None:
    route = MEDIA_PASSTHROUGHS["openai_moderations"]
    assert route.decode_response(b'{"results":[]}', route.decode_request(body(input="x")), UP).usage == NO_USAGE


@pytest.mark.parametrize("text", [b"", b"<html>", b"[1]", b'"x"', b'{"a":"\xff"}'])
def test_an_answer_that_is_not_an_object_is_malformed(text: bytes) -> None:
    route = MEDIA_PASSTHROUGHS["openai_images"]
    with pytest.raises(UpstreamMalformed):
        route.decode_response(text, route.decode_request(body(prompt="x")), UP)


def test_an_error_with_status_200_is_raised() -> None:
    route = MEDIA_PASSTHROUGHS["openai_images"]
    with pytest.raises(UpstreamUnavailable, match="it broke"):
        route.decode_response(b'{"error":{"message":"it broke"}}', route.decode_request(body(prompt="x")), UP)


@pytest.mark.parametrize("document", [{"id": "", "message": "it broke"}, {"detail": "it broke"}])
def test_an_error_in_other_words_with_status_200_is_raised(document: dict[str, Any]) -> None:
    route = MEDIA_PASSTHROUGHS["rerank"]
    call = route.decode_request(body(model="m", query="q", documents=["d"]))
    with pytest.raises(UpstreamUnavailable, match="it broke"):
        route.decode_response(json.dumps(document).encode(), call, UP)
    assert route.decode_response(json.dumps({"results": [], **document}).encode(), call, UP).usage is not None


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
def test_a_transcript_may_be_plain_text(response_format: str) -> None:
    route = MEDIA_PASSTHROUGHS["openai_transcriptions"]
    call = route.decode_request(form(model="m", file="x", response_format=response_format), FORM)
    answer = route.decode_response(b"not json", call, UP)
    assert answer.content_type.startswith(b"text/plain")


def test_audio_is_relayed_and_the_last_piece_is_held_back() -> None:
    route = MEDIA_PASSTHROUGHS["openai_speech"]
    call = route.decode_request(body(model="m", input="say", voice="v", response_format="wav"))
    assert (call.is_stream, call.stream_type) == (True, b"audio/wav")
    relay = route.relay(call, UP)
    assert relay.feed(b"RIFF\xff") == b""
    assert relay.has_content
    assert relay.feed(b"\xfe") == b"RIFF\xff"
    assert relay.end() == b"\xfe"
    assert relay.is_finished
    assert relay.usage is not None
    assert relay.usage.is_estimated


def test_an_empty_audio_response_is_malformed() -> None:
    route = MEDIA_PASSTHROUGHS["openai_speech"]
    with pytest.raises(UpstreamMalformed, match="empty"):
        route.relay(route.decode_request(body(model="m", input="x")), UP).end()


def audio_relay(beginning: bytes, response_format: str = "pcm") -> StreamRelay:
    """Return the relay for an audio response that begins with these bytes, as the pipeline selects it."""
    route = MEDIA_PASSTHROUGHS["openai_speech"]
    call = route.decode_request(body(model="m", input="x", response_format=response_format))
    relay = route.relay_whole(call, UP) if beginning.startswith(b"{") else route.relay(call, UP)
    assert relay is not None
    return relay


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_an_error_document_instead_of_audio_is_raised(cut: int) -> None:
    document = b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}'
    relay = audio_relay(document)
    assert relay.feed(document[:cut]) + relay.feed(document[cut:]) == b""
    assert not relay.has_content
    with pytest.raises(UpstreamRateLimited):
        relay.end()


def test_other_json_and_html_pages_instead_of_audio_are_malformed() -> None:
    relay = audio_relay(b"{")
    relay.feed(b'{"status":"ok"}')
    with pytest.raises(UpstreamMalformed, match="JSON instead of audio"):
        relay.end()
    with pytest.raises(UpstreamMalformed, match="HTML page instead of audio"):
        audio_relay(b"<").feed(b"<!DOCTYPE html><html></html>")


@pytest.mark.parametrize("text", [b"{'not': JSON}", b"{" * 70_000])
def test_text_instead_of_an_audio_file_is_malformed(text: bytes) -> None:
    relay = audio_relay(text, "mp3")
    with pytest.raises(UpstreamMalformed, match="text instead of audio"):
        b"".join([relay.feed(text), relay.end()])


@pytest.mark.parametrize("size", [10, 70_000, 140_000])
def test_audio_that_begins_like_json_is_relayed_completely(size: int) -> None:
    audio = b"{\xff" * (size // 2)
    relay = audio_relay(audio)
    out = b"".join([relay.feed(audio[at : at + 5000]) for at in range(0, size, 5000)])
    assert out + relay.end() == audio
    assert relay.has_content
    assert relay.is_finished


def test_events_are_relayed_and_their_usage_is_decoded() -> None:
    route = MEDIA_PASSTHROUGHS["openai_transcriptions"]
    relay = route.relay(route.decode_request(form(model="m", file="x", stream="true"), FORM), UP)
    events = [
        b'data: {"type":"transcript.text.delta","delta":"a"}\n\n',
        b'data: {"type":"transcript.text.done","usage":{"input_tokens":4,"output_tokens":2}}\n\n',
    ]
    assert b"".join([*(relay.feed(event) for event in events), relay.end()]) == b"".join(events)
    assert relay.usage == Usage(input_tokens=4, output_tokens=2)


def test_an_error_event_before_content_is_raised() -> None:
    route = MEDIA_PASSTHROUGHS["openai_transcriptions"]
    relay = route.relay(route.decode_request(form(model="m", file="x", stream="true"), FORM), UP)
    with pytest.raises(UpstreamRateLimited):
        relay.feed(b'data: {"error":{"message":"slow down","code":"rate_limit_exceeded"}}\n\n')
