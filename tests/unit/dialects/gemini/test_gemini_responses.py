"""Responses: written for clients of this dialect, and read from its upstreams."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport, Usage, errors
from intellirouter.dialects.gemini import CLIENT, UPSTREAM
from intellirouter.dialects.gemini.wire import read_token
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Citation,
    Foreign,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Response,
    Source,
    Stop,
    StopReason,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
)
from tests.support.dialects.gemini import call_of, deployment, encode_stream, read_stream

DONE = ChoiceFinished(stop=Stop(reason="stop"))


def encode(response: Response, losses: LossReport | None = None) -> Any:
    return json.loads(CLIENT.encode(response, call_of(), losses or LossReport()))


def response_of(*parts: Any, reason: StopReason = "stop", **members: Any) -> Response:
    return Response(choices=[Choice(parts=list(parts), stop=Stop(reason=reason))], **members)


def test_a_response_names_its_model_or_else_the_requested_one() -> None:
    usage = Usage(input_tokens=3, output_tokens=2)
    found = encode(response_of(Text(text="ok"), id="resp-1", model="claude", usage=usage))
    assert found == {
        "candidates": [{"content": {"parts": [{"text": "ok"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        "modelVersion": "claude",
        "responseId": "resp-1",
    }
    assert encode(response_of(Text(text="ok")))["modelVersion"] == "public"
    assert encode(response_of(Text(text="ok")))["responseId"]


@pytest.mark.parametrize(
    ("reason", "finish_reason", "is_exact"),
    [
        ("stop", "STOP", True),
        ("stop_sequence", "STOP", False),
        ("length", "MAX_TOKENS", True),
        ("context_length", "MAX_TOKENS", False),
        ("tool_calls", "STOP", True),
        ("content_filter", "SAFETY", True),
        ("refusal", "SAFETY", False),
        ("pause", "OTHER", False),
        ("malformed_tool_call", "MALFORMED_FUNCTION_CALL", True),
        ("cancelled", "OTHER", False),
        ("error", "OTHER", False),
    ],
)
def test_finish_reasons(reason: StopReason, finish_reason: str, *, is_exact: bool) -> None:
    losses = LossReport()
    assert encode(response_of(Text(text="x"), reason=reason), losses)["candidates"][0]["finishReason"] == finish_reason
    assert bool(losses.taken()) is not is_exact
    last = encode_stream(StreamStarted(), TextDelta(text="x"), ChoiceFinished(stop=Stop(reason=reason)))[-1]
    assert last["candidates"][0]["finishReason"] == finish_reason


def test_a_filtered_response_without_parts_has_no_content() -> None:
    assert "content" not in encode(response_of(reason="content_filter"))["candidates"][0]
    assert encode(response_of())["candidates"][0]["content"]["parts"] == [{"text": ""}]


def test_usage_is_added_up_as_google_counts() -> None:
    usage = Usage(
        input_tokens=10,
        cache_read_tokens=20,
        cache_write_tokens=5,
        input_audio_tokens=7,
        output_tokens=3,
        reasoning_tokens=4,
        output_audio_tokens=2,
        input_image_tokens=258,
        output_image_tokens=1290,
    )
    assert encode(response_of(Text(text="x"), usage=usage))["usageMetadata"] == {
        "promptTokenCount": 300,
        "cachedContentTokenCount": 20,
        "candidatesTokenCount": 1295,
        "thoughtsTokenCount": 4,
        "totalTokenCount": 1599,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 35},
            {"modality": "AUDIO", "tokenCount": 7},
            {"modality": "IMAGE", "tokenCount": 258},
        ],
        "candidatesTokensDetails": [
            {"modality": "TEXT", "tokenCount": 3},
            {"modality": "AUDIO", "tokenCount": 2},
            {"modality": "IMAGE", "tokenCount": 1290},
        ],
    }


def test_parts_of_other_dialects() -> None:
    losses = LossReport()
    token = Opaque("sig", "abc", "anthropic_messages")
    found = encode(
        response_of(
            Reasoning(summary=["One.", "Two."], token=token),
            Refusal(text="No."),
            ToolCall(id="a", name="f", arguments='{"cut'),
            ToolCall(id="b", name="py", arguments="x=1", kind="custom"),
            Media(kind="audio", source=Source(data="AA==", media_type="audio/wav")),
            Media(kind="image", source=Source(url="https://x/a.png")),
            Media(kind="audio", source=Source(file_id="id"), transcript="words"),
            Media(kind="image", source=Source(file_id="id")),
            Foreign(dialect="anthropic_messages", kind="server_tool_use", raw={}),
        ),
        losses,
    )
    parts = found["candidates"][0]["content"]["parts"]
    assert read_token(parts[0].pop("thoughtSignature")).dialect == "anthropic_messages"
    assert parts == [
        {"text": "One.\n\nTwo.", "thought": True},
        {"text": "No."},
        {"functionCall": {"id": "a", "name": "f", "args": {"arguments": '{"cut'}}},
        {"functionCall": {"id": "b", "name": "py", "args": {"input": "x=1"}}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://x/a.png"}},
        {"text": "words"},
    ]
    assert {loss.field: loss.how for loss in losses.taken()} == {
        "functionCall.args": "converted",
        "audio": "converted",
        "image": "dropped",
        "server_tool_use": "dropped",
    }


def test_offsets_of_citations_count_bytes() -> None:
    citation = Citation(kind="url", url="https://a", title="A", start=2, end=4)
    document = Citation(kind="document", title="B", cited_text="words")
    candidate = encode(response_of(Text(text="üüxy", citations=[citation, citation, document])))["candidates"][0]
    segment = {"startIndex": 4, "endIndex": 6, "text": "xy"}
    assert candidate["groundingMetadata"] == {
        "groundingChunks": [
            {"web": {"uri": "https://a", "title": "A"}},
            {"retrievedContext": {"title": "B", "text": "words"}},
        ],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}] * 2,
    }


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        ({"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}, errors.UpstreamRateLimited),
        ({"status": "UNAVAILABLE"}, errors.UpstreamUnavailable),
        ({"code": 400, "status": "INVALID_ARGUMENT", "message": "m"}, errors.UpstreamRejected),
        ({"message": "?"}, errors.UpstreamUnavailable),
        ("odd", errors.UpstreamUnavailable),
    ],
)
def test_errors_with_status_200_get_the_class_of_their_code(inner: Any, kind: type[errors.UpstreamError]) -> None:
    body = json.dumps({"error": inner}).encode()
    for read in (
        lambda: UPSTREAM.decode(body, deployment()),
        lambda: UPSTREAM.decode(b"[" + body + b"]", deployment()),
        lambda: read_stream(b"data: " + body + b"\n\n"),
        lambda: read_stream(b"[" + body + b"\n]"),
        lambda: read_stream(body),
    ):
        with pytest.raises(kind):
            read()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"1",
        b"null",
        b"{}",
        b'{"candidates": []}',
        b'{"candidates": [{}]}',
        b'{"candidates": 1}',
        b"\xff",
    ],
)
def test_malformed_responses(body: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        UPSTREAM.decode(body, deployment())


ODD_VALUES: list[Any] = [None, 0, -1, 1.5, 10**30, True, "", "x", [], [1], {}, {"a": 1}, [[]], [{}]]


@pytest.mark.parametrize(
    "path",
    [
        ("candidates",),
        ("usageMetadata",),
        ("usageMetadata", "promptTokenCount"),
        ("usageMetadata", "promptTokensDetails"),
        ("promptFeedback",),
        ("responseId",),
        ("createTime",),
        ("candidates", 0),
        ("candidates", 0, "index"),
        ("candidates", 0, "content"),
        ("candidates", 0, "content", "parts"),
        ("candidates", 0, "content", "parts", 0),
        ("candidates", 0, "content", "parts", 0, "text"),
        ("candidates", 0, "content", "parts", 0, "thought"),
        ("candidates", 0, "content", "parts", 0, "thoughtSignature"),
        ("candidates", 0, "content", "parts", 1, "functionCall"),
        ("candidates", 0, "content", "parts", 1, "functionCall", "args"),
        ("candidates", 0, "content", "parts", 2, "inlineData"),
        ("candidates", 0, "content", "parts", 2, "inlineData", "data"),
        ("candidates", 0, "finishReason"),
        ("candidates", 0, "finishMessage"),
        ("candidates", 0, "logprobsResult"),
        ("candidates", 0, "logprobsResult", "chosenCandidates"),
        ("candidates", 0, "groundingMetadata"),
        ("candidates", 0, "groundingMetadata", "groundingChunks"),
        ("candidates", 0, "groundingMetadata", "groundingSupports"),
        ("candidates", 0, "groundingMetadata", "groundingSupports", 0, "segment"),
        ("candidates", 0, "groundingMetadata", "groundingSupports", 0, "segment", "endIndex"),
        ("candidates", 0, "groundingMetadata", "groundingSupports", 0, "groundingChunkIndices"),
        ("candidates", 0, "citationMetadata"),
        ("candidates", 0, "citationMetadata", "citations"),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_odd_types_are_read_or_malformed(path: tuple[Any, ...]) -> None:
    for odd in ODD_VALUES:
        body = json.dumps(_response_with(odd, path)).encode()
        try:
            response = UPSTREAM.decode(body, deployment())
        except errors.UpstreamMalformed:
            continue
        json.loads(CLIENT.encode(response, call_of(), LossReport()))
        assert response.usage is None or min(response.usage.input_tokens, response.usage.output_tokens) >= 0


def _response_with(odd: Any, path: tuple[Any, ...]) -> Any:
    document: Any = {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "a"},
                        {"functionCall": {"name": "f", "args": {}}},
                        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                    ]
                },
                "finishReason": "STOP",
                "logprobsResult": {"chosenCandidates": [{"token": "a"}]},
                "groundingMetadata": {
                    "groundingChunks": [{"web": {"uri": "u"}}],
                    "groundingSupports": [{"segment": {"endIndex": 1}, "groundingChunkIndices": [0]}],
                },
                "citationMetadata": {"citations": [{"uri": "u"}]},
            }
        ],
        "usageMetadata": {"promptTokenCount": 1},
    }
    place = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = odd
    return document


def test_partial_arguments_are_ignored() -> None:
    parts: list[Any] = [
        {"functionCall": {"name": "f", "id": "a", "willContinue": True}},
        {"functionCall": {"partialArgs": [{"jsonPath": "$.x", "numberValue": 1}], "willContinue": True}},
        {"functionCall": {}},
    ]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    found = UPSTREAM.decode(json.dumps(body).encode(), deployment()).choices[0].parts
    assert [part.name for part in found if isinstance(part, ToolCall)] == ["f"]


def test_parts_of_the_same_dialect_are_unchanged() -> None:
    raw = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}
    part = Foreign(dialect="gemini", kind="executableCode", raw=raw)
    assert encode(response_of(part))["candidates"][0]["content"]["parts"] == [raw]


def test_a_signature_without_text_is_a_part() -> None:
    body = {"candidates": [{"content": {"parts": [{"thoughtSignature": "c2ln"}]}, "finishReason": "STOP"}]}
    part = UPSTREAM.decode(json.dumps(body).encode(), deployment()).choices[0].parts[0]
    assert isinstance(part, Text)
    assert (part.text, part.token is not None) == ("", True)


def test_citations_without_text_are_ignored() -> None:
    metadata = {"groundingChunks": [{"web": {"uri": "u"}}]}
    body = {"candidates": [{"finishReason": "STOP", "groundingMetadata": metadata}]}
    assert UPSTREAM.decode(json.dumps(body).encode(), deployment()).choices[0].parts == []


def test_calls_without_ids_get_unique_ids() -> None:
    body = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}] * 2}, "finishReason": "STOP"}]}
    found = UPSTREAM.decode(json.dumps(body).encode(), deployment()).choices[0].parts
    ids = [part.id for part in found if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2
    assert all(each.startswith("call_") for each in ids)
