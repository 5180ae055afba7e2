"""Answers that the upstream was not asked for: other statuses, a byte order mark, a compression."""

import gzip
import zlib

import pytest

from intellirouter.core import errors
from intellirouter.pipeline.answer_bytes import content_encoding, decompress, without_byte_order_mark
from tests.support.pipeline import ANSWER, EVENTS, STREAM_BODY, Response, World

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


async def test_a_compressed_error_is_readable() -> None:
    body = gzip.compress(b'{"error":{"message":"the words"}}')
    world = World(a=Response(body, status=400, headers=GZIP))
    await world.serve()
    assert isinstance(world.reply.error, errors.UpstreamRejected)
    assert world.reply.error.message == "the words"


def test_decompression_is_bounded() -> None:
    assert decompress(gzip.compress(b"x" * 1000), "gzip", 1000) == b"x" * 1000
    assert decompress(gzip.compress(b"x" * 1001), "gzip", 1000) is None
    assert decompress(zlib.compress(b"x"), "deflate", 10) == b"x"
    assert decompress(b"x", "gzip", 10) is None
    assert decompress(b"x", "br", 10) is None


def test_headers_and_marks() -> None:
    assert content_encoding([("content-type", "x"), ("content-encoding", " GZIP")]) == "gzip"
    assert content_encoding([("content-encoding", "identity")]) == content_encoding([]) == ""
    assert without_byte_order_mark(BOM + b"x") == without_byte_order_mark(b"x") == b"x"
