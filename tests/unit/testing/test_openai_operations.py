"""MockVendor's other OpenAI operations, tested with OpenAI's SDK: completions, images, audio, files, batches."""

import base64
import io
import json
import wave
import zlib
from typing import Any

import openai
import pytest
from openai import OpenAI

from intellirouter.testing.wires.openai import OpenAiApi
from tests.support.mock_vendor.requests import wire_request

PNG = b"\x89PNG\r\n\x1a\n"


def post(path: str, document: Any, **headers: str) -> tuple[int, Any]:
    reply = OpenAiApi().answer(wire_request(path, document, **headers))
    return reply.status, json.loads(reply.parts[0])


def test_completions_for_all_kinds_of_prompts(client: OpenAI) -> None:
    done = client.completions.create(model="g", prompt=["hello there", "b"], n=2, logprobs=1, echo=True, max_tokens=2)
    assert [choice.text for choice in done.choices] == ["hello thereg: hello", "hello thereg: hello", "bg: b", "bg: b"]
    assert [choice.finish_reason for choice in done.choices] == ["length", "length", "stop", "length"]
    assert done.choices[0].logprobs is not None
    assert done.choices[0].logprobs.text_offset == [0, 11, 13]
    numbers = client.completions.create(model="g", prompt=[[1, 2], [3]])
    assert numbers.usage is not None
    assert numbers.usage.prompt_tokens == 3
    for prompt in (None, [], [{}], 5):
        status, answer = post("/v1/completions", {"model": "g", "prompt": prompt})
        assert (status == 200) is (prompt is None), answer


def test_completions_stream_has_the_same_content(client: OpenAI) -> None:
    ask: dict[str, Any] = {"model": "g", "prompt": ["one two", "three"], "n": 2}
    whole = client.completions.create(**ask)
    *chunks, last = client.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    texts = dict.fromkeys(range(4), "")
    for chunk in chunks:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert list(texts.values()) == [choice.text for choice in whole.choices]
    assert last.usage == whole.usage


def test_moderations_flag_words(client: OpenAI) -> None:
    found = client.moderations.create(input=["I kill", "hello"]).results
    assert [result.flagged for result in found] == [True, False]
    assert found[0].categories.violence
    assert found[0].category_scores.violence > 0.9 > found[0].category_scores.hate
    parts: Any = [{"type": "text", "text": "hate"}, {"type": "image_url", "image_url": {"url": "https://x"}}]
    (mixed,) = client.moderations.create(input=parts).results
    assert mixed.category_applied_input_types.violence == ["text", "image"]
    assert post("/v1/moderations", {"input": []})[0] == 400


def pixel(image: bytes) -> bytes:
    """Return the only pixel of an image after validating its checksums."""
    assert image.startswith(PNG)
    at, data = len(PNG), b""
    while at < len(image):
        size = int.from_bytes(image[at : at + 4], "big")
        chunk = image[at + 4 : at + 8 + size]
        assert zlib.crc32(chunk) == int.from_bytes(image[at + 8 + size : at + 12 + size], "big")
        data += chunk[4:] if chunk.startswith(b"IDAT") else b""
        at += 12 + size
    return zlib.decompress(data)[1:]


def test_images_are_valid_and_depend_on_the_prompt(client: OpenAI) -> None:
    made = client.images.generate(model="gpt-image-1", prompt="cat", n=2)
    again = client.images.generate(model="gpt-image-1", prompt="cat", n=1)
    assert made.data is not None
    assert again.data is not None
    first, second = (base64.b64decode(image.b64_json or "") for image in made.data)
    assert len(pixel(first)) == 3
    assert pixel(first) != pixel(second)
    assert again.data[0] == made.data[0]
    edited = client.images.edit(model="gpt-image-1", prompt="x", image=[("a.png", first), ("b.png", second)])
    assert edited.usage is not None
    assert edited.usage.input_tokens_details.image_tokens == 2 * 272


def test_images_by_url_can_be_fetched(client: OpenAI) -> None:
    made = client.images.generate(model="dall-e-3", prompt="cat")
    assert made.data is not None
    address = made.data[0].url or ""
    path = "/v1" + address.partition("/v1")[2]
    reply = OpenAiApi().answer(wire_request(path, method="GET"))
    assert (dict(reply.headers)["content-type"], len(pixel(reply.parts[0]))) == ("image/png", 3)
    assert OpenAiApi().answer(wire_request("/v1/images/kept/zz.png", method="GET")).status == 404


@pytest.mark.parametrize("is_edit", [False, True])
def test_image_stream_has_partial_images(client: OpenAI, is_edit: bool) -> None:
    how: dict[str, Any] = {"model": "gpt-image-1", "prompt": "x", "stream": True, "partial_images": 2}
    events = client.images.edit(**how, image=("a.png", PNG)) if is_edit else client.images.generate(**how)
    kind = "image_edit" if is_edit else "image_generation"
    assert [event.type for event in events] == [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"prompt": ""}, "prompt"), ({"n": 11}, "n"), ({"response_format": "url"}, "response_format"),
     ({"model": "dall-e-2", "response_format": "file"}, "response_format"), ({"partial_images": 4}, "partial_images"),
     ({"output_format": "gif"}, "output_format")],
)  # fmt: skip
def test_invalid_image_requests_are_rejected(fields: dict[str, Any], param: str) -> None:
    status, answer = post("/v1/images/generations", {"model": "gpt-image-1", "prompt": "x", **fields})
    assert (status, answer["error"]["param"]) == (400, param)


def test_speech_is_valid_audio(client: OpenAI) -> None:
    def speak(kind: Any) -> bytes:
        return client.audio.speech.create(
            model="tts", voice="alloy", input="hello there you", response_format=kind
        ).content

    with wave.open(io.BytesIO(speak("wav"))) as audio:
        assert (audio.getnframes(), audio.getframerate(), audio.getsampwidth()) == (3 * 2400, 24_000, 2)
    assert len(speak("pcm")) == 3 * 4800
    frames = speak("mp3")
    assert [frames[at : at + 4] for at in range(0, len(frames), 417)] == [b"\xff\xfb\x90\x00"] * 3
    ask = {"model": "tts", "voice": "a", "input": "hi you", "stream_format": "sse"}
    reply = OpenAiApi().answer(wire_request("/v1/audio/speech", ask))
    events = [json.loads(part.removeprefix(b"data: ")) for part in reply.parts]
    assert [event["type"] for event in events] == ["speech.audio.delta"] * 2 + ["speech.audio.done"]
    for wrong in ({"speed": 9}, {"voice": None}, {"input": ""}, {"response_format": "aiff"}, {"input": "x" * 4097}):
        assert post("/v1/audio/speech", {**ask, **wrong})[0] == 400


def test_transcripts_in_every_format(client: OpenAI) -> None:
    audio = ("a.wav", client.audio.speech.create(model="tts", voice="a", input="hi", response_format="wav").content)
    text = "whisper-1: a.wav, 4844 bytes"

    def hear(kind: Any, **fields: Any) -> Any:
        return client.audio.transcriptions.create(model="whisper-1", file=audio, response_format=kind, **fields)

    assert hear("json").text == text
    assert hear("text") == f"{text}\n"
    assert hear("srt").startswith("1\n00:00:00,000 --> 00:00:00,100\n")
    assert hear("vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.100\n")
    detailed = hear("verbose_json")
    assert (detailed.duration, detailed.segments[0].text) == (0.1, f" {text}")
    assert hear("verbose_json", timestamp_granularities=["word"]).words[0].word == "whisper-1:"
    events = list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=audio, stream=True))
    assert "".join(event.delta for event in events[:-1] if event.type == "transcript.text.delta") == (
        "gpt-4o-transcribe: a.wav, 4844 bytes"
    )
    for wrong in ({"file": ("a.txt", b"x")}, {"file": ("a.wav", b"")}, {"response_format": "xml"},
                  {"model": "gpt-4o-transcribe", "response_format": "srt"}):  # fmt: skip
        with pytest.raises(openai.BadRequestError):
            client.audio.transcriptions.create(**{"model": "whisper-1", "file": audio, **wrong})
    assert post("/v1/audio/translations", b"x")[0] == 400


def batch_lines(*bodies: dict[str, Any]) -> bytes:
    return b"".join(
        json.dumps({"custom_id": str(at), "method": "POST", "url": "/v1/chat/completions", "body": body}).encode()
        + b"\n"
        for at, body in enumerate(bodies)
    )


def test_files_are_stored_until_they_are_deleted(client: OpenAI) -> None:
    stored = client.files.create(file=("b.jsonl", b"\r\n--x\r\n"), purpose="batch")
    assert (stored.bytes, stored.filename) == (7, "b.jsonl")
    assert client.files.content(stored.id).content == b"\r\n--x\r\n"
    assert stored.id in [file.id for file in client.files.list(purpose="batch")]
    assert list(client.files.list(purpose="vision")) == []
    assert client.files.delete(stored.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(stored.id)
    with pytest.raises(openai.BadRequestError):
        client.files.create(file=b"x", purpose="nothing")  # type: ignore[arg-type]


def test_batch_answers_every_line(client: OpenAI) -> None:
    user = [{"role": "user", "content": "hello"}]
    lines = batch_lines({"model": "g", "messages": user}, {"model": "no-such-x", "messages": user})
    file = client.files.create(file=("b.jsonl", lines), purpose="batch")
    how: dict[str, Any] = {"input_file_id": file.id, "completion_window": "24h", "endpoint": "/v1/chat/completions"}
    batch = client.batches.create(**how, metadata={"mock_polls": "1"})
    assert batch.status == "validating"
    assert [client.batches.retrieve(batch.id).status for _ in range(2)] == ["in_progress", "completed"]
    done = client.batches.retrieve(batch.id)
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 1)
    answer = json.loads(client.files.content(done.output_file_id or "").content)
    assert answer["response"]["body"]["choices"][0]["message"]["content"] == "g: hello"
    refusal = json.loads(client.files.content(done.error_file_id or "").content)
    assert (refusal["custom_id"], refusal["response"]["status_code"]) == ("1", 404)
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)
    other = client.batches.create(**how)
    assert client.batches.cancel(other.id).status == "cancelling"
    assert client.batches.retrieve(other.id).status == "cancelled"
    assert len(client.batches.list(limit=1).data) == 1


@pytest.mark.parametrize(
    ("lines", "code"),
    [(b"", "empty_file"), (b"{", "invalid_json_line"), (b'{"a":1}', "missing_required_parameter"),
     (batch_lines({}) * 2, "duplicate_custom_id"), (batch_lines({}).replace(b"chat/completions", b"x"),
     "mismatched_endpoint"), (batch_lines({}).replace(b"POST", b"GET"), "invalid_method")],
)  # fmt: skip
def test_batch_with_an_invalid_line_fails(client: OpenAI, lines: bytes, code: str) -> None:
    file = client.files.create(file=("b.jsonl", lines), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, completion_window="24h", endpoint="/v1/chat/completions")
    failed = client.batches.retrieve(batch.id)
    assert failed.errors is not None
    assert failed.errors.data is not None
    assert (failed.status, failed.errors.data[0].code) == ("failed", code)


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_rerank_sorts_by_shared_words(path: str) -> None:
    ask = {"model": "rerank", "query": "red cat", "documents": ["blue dog", {"text": "a red cat"}], "top_n": 1}
    status, answer = post(path, ask)
    assert status == 200
    assert [result["index"] for result in answer["results"]] == [1]
    assert 0.5 < answer["results"][0]["relevance_score"] <= 1
    assert answer["meta"]["api_version"]["version"] == path[2]
    jina = post(path, {**ask, "model": "jina-reranker", "top_n": 2})[1]
    assert jina["results"][0]["document"] == {"text": "a red cat"}
    assert jina["usage"]["total_tokens"] > 0
    for wrong in ({"query": ""}, {"documents": []}, {"documents": [1]}, {"top_n": 0}, {"model": ""}):
        status, answer = post(path, {**ask, **wrong})
        assert (status, set(answer)) == (400, {"id", "message"})
    assert post(path, {**ask, "model": "no-such-x"})[0] == 404
