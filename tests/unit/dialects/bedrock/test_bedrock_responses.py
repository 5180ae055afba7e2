"""Responses of Bedrock that are not in the fixtures: invalid ones, exceptions in streams, token counts."""

import json

import pytest

from intellirouter.core import errors
from intellirouter.dialects.bedrock import UPSTREAM
from intellirouter.dialects.bedrock.event_stream import encode_message
from intellirouter.dialects.ir import ToolCallStarted
from intellirouter.dialects.wire.sse import EventSplitter
from tests.support.dialects.deployments import build_deployment
from tests.support.dialects.raising import RaisingDecoder

DEPLOYMENT = build_deployment(
    "bedrock",
    "bedrock",
    "anthropic.claude-sonnet-4-6",
    "https://bedrock-runtime.us-east-1.amazonaws.com",
    name="aws/claude",
    provider="aws",
)


def event(kind, document) -> bytes:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return encode_message({":message-type": "event", ":event-type": kind}, payload)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"output":{}}',
        b'{"output":{"message":[]}}',
        b'{"output":{"message":{"content":{}}}}',
        b'{"output":{"message":{"content":["x"]}}}',
        b'{"output":{"message":{"content":[{"text":3}]}}}',
        b'{"output":{"message":{"content":[{"toolUse":[]}]}}}',
        b'{"output":{"message":{"content":[{"toolUse":{"toolUseId":"x"}}]}}}',
        b'{"output":{"message":{"content":[{"toolUse":{"name":3}}]}}}',
        b'{"output":{"message":{"content":[{"reasoningContent":{}}]}}}',
        b'{"output":{"message":{"content":[{"reasoningContent":{"redactedContent":5}}]}}}',
        b'{"output":{"message":{"content":[{"citationsContent":{"content":[3]}}]}}}',
        b'{"output":{"message":{"content":[{"citationsContent":{"citations":[3]}}]}}}',
        b'{"output":{"message":{"content":[{"image":{"source":{}}}]}}}',
        b'{"output":{"message":{"content":[{"image":3}]}}}',
        b'{"output":{"message":{"content":[{"text":"\\ud800"}]}}}',
        b'{"output":{"message":{"content":[{"text":"\xff"}]}}}',
        b'{"output":{"message":{"content":[]}},"usage":[]}',
        b'{"output":{"message":{"content":[]}},"stopReason":5}',
        b'{"output":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_an_invalid_response_is_malformed(body):
    with pytest.raises(errors.UpstreamMalformed):
        UPSTREAM.decode(body, DEPLOYMENT)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("messageStart", b""),
        ("messageStart", b"[]"),
        ("contentBlockDelta", b"{"),
        ("contentBlockDelta", b'{"delta":{"text":"\xff"}}'),
        ("contentBlockDelta", {"delta": []}),
        ("contentBlockDelta", {"delta": {"text": 3}}),
        ("contentBlockDelta", {"contentBlockIndex": "x"}),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": "x"}}}),
        ("contentBlockDelta", {"delta": {"reasoningContent": {"text": 3}}}),
        ("contentBlockDelta", {"delta": {"reasoningContent": "x"}}),
        ("contentBlockDelta", {"delta": {"citation": "x"}}),
        ("contentBlockDelta", {"delta": {"image": "x"}}),
        ("contentBlockStart", {"start": {"toolUse": "x"}}),
        ("contentBlockStart", {"start": {"toolUse": {"toolUseId": "x"}}}),
        ("contentBlockStart", {"start": {"toolUse": {"toolUseId": 5, "name": "a"}}}),
        ("messageStop", {"stopReason": 3}),
        ("metadata", {"usage": "x"}),
    ],
)
def test_an_invalid_event_is_malformed(kind, document):
    with pytest.raises(errors.UpstreamMalformed):
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(event(kind, document))


def test_invalid_base64_in_pieces_is_malformed():
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    for piece in ("YQ", "Y"):
        decoder.feed(event("contentBlockDelta", {"delta": {"reasoningContent": {"redactedContent": piece}}}))
    with pytest.raises(errors.UpstreamMalformed, match="base64"):
        decoder.feed(event("contentBlockStop", {}))


def test_a_response_that_is_not_a_stream_is_malformed():
    with pytest.raises(errors.UpstreamMalformed, match="did not return an AWS event stream"):
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(b'{"message":"something else"}')


def test_a_tool_call_without_an_id_gets_one():
    events = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(
        event("contentBlockStart", {"start": {"toolUse": {"name": "a"}}})
    )
    began = next(each for each in events if isinstance(each, ToolCallStarted))
    assert began.id.startswith("call_")


def test_nothing_is_read_after_the_end():
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed(event("messageStop", {"stopReason": "end_turn"}) + event("metadata", {}))
    assert decoder.feed(event("contentBlockDelta", {"delta": {"text": "late"}})) == []
    assert decoder.end() == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("internalServerException", errors.UpstreamUnavailable),
        ("modelStreamErrorException", errors.UpstreamUnavailable),
        ("serviceUnavailableException", errors.UpstreamUnavailable),
        ("throttlingException", errors.UpstreamRateLimited),
        ("modelTimeoutException", errors.UpstreamTimeout),
        ("accessDeniedException", errors.UpstreamAuthFailed),
        ("validationException", errors.UpstreamRejected),
        ("novelException", errors.UpstreamUnavailable),
    ],
)
def test_exceptions_in_a_stream(kind, expected):
    headers = {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}
    with pytest.raises(expected, match="out of breath") as caught:
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(encode_message(headers, b'{"message":"out of breath"}'))
    assert type(caught.value) is expected


def test_an_exception_that_a_proxy_writes_as_an_event():
    with pytest.raises(errors.UpstreamRateLimited, match="out of breath"):
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(event("throttlingException", {"message": "out of breath"}))


def test_errors_in_a_stream():
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "went wrong"}
    with pytest.raises(errors.UpstreamUnavailable, match=r"InternalFailure.*went wrong"):
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(encode_message(headers, b""))


def test_token_counts():
    assert UPSTREAM.decode_count(b'{"inputTokens":17}') == 17
    for body in (b"", b"{}", b'{"inputTokens":"x"}', b"[]"):
        with pytest.raises(errors.UpstreamMalformed):
            UPSTREAM.decode_count(body)


def test_there_is_a_splitter():
    assert isinstance(UPSTREAM.splitter(), EventSplitter)
