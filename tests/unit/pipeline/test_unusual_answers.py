"""Answers that the upstream was not asked for: other statuses, a byte order mark, a compression."""

import gzip
import zlib

import pytest

from intellirouter.core import RequestContext, errors
from intellirouter.pipeline.answer_bytes import content_encoding, decompress, without_byte_order_mark
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Response, World

GZIP = [("content-encoding", "gzip")]
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("status", [200, 201, 203])
@pytest.mark.parametrize(
    ("body", "headers"),
    [(ANSWER, []), (BOM + ANSWER, []), (gzip.compress(ANSWER), GZIP)],
    ids=["plain", "byte-order-mark", "gzip"],
)
async def test_a_usable_answer_is_served(status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
    world = World(a=Response(body, status=status, headers=headers), b=Response(ANSWER))
    await world.serve()
    assert world.reply.body == ANSWER
    assert world.outcomes == ["ok"]


@pytest.mark.parametrize("prefix", [b"", BOM])
async def test_a_usable_stream_is_served(prefix: bytes) -> None:
    world = World(a=Response(prefix + EVENTS[0], *EVENTS[1:], status=201), b=Response(*EVENTS))
    await world.serve(STREAM_BODY)
    assert world.reply.body.startswith(EVENTS[0])
    assert world.outcomes == ["ok"]


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (b"", 204, []),
        (b'{"status":"queued"}', 202, []),
        (ANSWER, 200, [("content-encoding", "br")]),
        (gzip.compress(ANSWER)[:-4], 200, GZIP),
    ],
)
@pytest.mark.parametrize("request_body", [None, STREAM_BODY], ids=["whole", "stream"])
async def test_an_unusable_answer_is_not_paid_for_again(
    body: bytes, status: int, headers: list[tuple[str, str]], request_body: bytes | None
) -> None:
    if body == ANSWER:
        body = b"\x0b\x02\x80" + body  # as if compressed
    world = World(a=Response(body, status=status, headers=headers), b=Response(ANSWER))
    await (world.serve() if request_body is None else world.serve(request_body))
    assert isinstance(world.reply.error, errors.UpstreamAnswerUnusable)
    assert world.outcomes == ["upstream_answer_unusable"]


TRANSCRIPT = b"1\n00:00:00,000 --> 00:00:01,000\nhello\n"
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
    b'--b\r\nContent-Disposition: form-data; name="response_format"\r\n\r\nsrt\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(TRANSCRIPT), "gzip"),
        (zlib.compress(TRANSCRIPT), "deflate"),
        (zlib.compress(TRANSCRIPT)[2:-4], "deflate"),
        (gzip.compress(TRANSCRIPT[:9]) + gzip.compress(TRANSCRIPT[9:]), "x-gzip"),
        (TRANSCRIPT, "identity"),
    ],
    ids=["gzip", "zlib", "raw-deflate", "members", "plain"],
)
async def test_a_compressed_text_is_served_as_text(body: bytes, encoding: str) -> None:
    world = World(a=Response(body, headers=[("content-encoding", encoding)]))
    context = RequestContext(headers=(("content-type", "multipart/form-data; boundary=b"),))
    await world.serve(FORM, endpoint="openai_transcriptions", context=context)
    assert world.reply.body == TRANSCRIPT
    assert world.outcomes == ["ok"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br"])
async def test_a_text_with_an_unknown_compression_is_refused(encoding: str) -> None:
    world = World(a=Response(b"\x28\xb5\x2f\xfd", headers=[("content-encoding", encoding)]))
    context = RequestContext(headers=(("content-type", "multipart/form-data; boundary=b"),))
    await world.serve(FORM, endpoint="openai_transcriptions", context=context)
    assert isinstance(world.reply.error, errors.UpstreamAnswerUnusable)
    assert f"`{encoding}`" in world.reply.error.message


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_compressed_audio_is_refused_before_anything_is_sent(encoding: str) -> None:
    body = b'{"model":"m","input":"hello","voice":"alloy"}'
    world = World(a=Response(gzip.compress(b"RIFF" * 99), headers=[("content-encoding", encoding)]), b=Response(b"x"))
    await world.serve(body, endpoint="openai_speech")
    assert isinstance(world.reply.error, errors.UpstreamAnswerUnusable)
    assert world.outcomes == ["upstream_answer_unusable"]
    assert world.reply.body == b""


async def test_audio_without_a_compression_is_served() -> None:
    body = b'{"model":"m","input":"hello","voice":"alloy"}'
    world = World(a=Response(b"RIFF", b"more"))
    await world.serve(body, endpoint="openai_speech")
    assert world.reply.body == b"RIFFmore"


async def test_body_that_is_not_compressed_although_its_header_says_so_is_served() -> None:
    world = World(a=Response(ANSWER, headers=GZIP))
    await world.serve()
    assert world.reply.body == ANSWER


@pytest.mark.parametrize("request_body", [BODY, STREAM_BODY], ids=["whole", "stream"])
async def test_a_compressed_error_is_readable(request_body: bytes) -> None:
    body = gzip.compress(b'{"error":{"message":"the words"}}')
    world = World(a=Response(body, status=400, headers=GZIP))
    await world.serve(request_body)
    assert isinstance(world.reply.error, errors.UpstreamRejected)
    assert world.reply.error.message == "the words"


@pytest.mark.parametrize("request_body", [BODY, STREAM_BODY], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize("encoding", ["br", "zstd"])
async def test_an_error_that_cannot_be_decompressed_says_so(encoding: str, status: int, request_body: bytes) -> None:
    body = b"\x28\xb5\x2f\xfd\x00\xff"
    world = World(a=Response(body, status=status, headers=[("content-encoding", encoding)]))
    await world.serve(request_body)
    error = world.reply.error
    assert error is not None
    assert error.message.startswith("a ")
    assert f"compressed the text of the error with `{encoding}`" in error.message
    assert "\ufffd" not in error.message


def test_decompression_is_bounded() -> None:
    assert decompress(gzip.compress(b"x") * 16, "gzip", 16) == b"x" * 16
    assert decompress(gzip.compress(b"x") * 17, "gzip", 99) is None
    assert decompress(gzip.compress(b"x" * 600) * 2, "gzip", 1000) is None
    assert decompress(b"", "gzip", 10) is None
    assert decompress(b"\xff" * 9, "deflate", 10) is None
    assert decompress(gzip.compress(b"x" * 1000), "gzip", 1000) == b"x" * 1000
    assert decompress(gzip.compress(b"x" * 1001), "gzip", 1000) is None
    assert decompress(zlib.compress(b"x"), "deflate", 10) == b"x"
    assert decompress(b"x", "gzip", 10) is None
    assert decompress(b"x", "br", 10) is None


def test_headers_and_marks() -> None:
    assert content_encoding([("content-type", "x"), ("content-encoding", " GZIP")]) == "gzip"
    assert content_encoding([("content-encoding", "identity")]) == content_encoding([]) == ""
    assert without_byte_order_mark(BOM + b"x") == without_byte_order_mark(b"x") == b"x"
