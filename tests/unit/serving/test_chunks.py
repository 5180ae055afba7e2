"""Chunked bodies: every split, limits, and what is refused."""

import pytest

from intellirouter.serving.chunks import ChunkDecoder
from intellirouter.serving.head import BadRequest

BODY = b"4;a=b\r\nWiki\r\n00a\r\npedia in a\r\n0\r\nX: y\r\n\r\nGET /next"


def decode(pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    decoder = ChunkDecoder()
    body = b""
    for at, piece in enumerate(pieces):
        body += b"".join(decoder.feed(piece))
        if decoder.rest is not None:
            return body, decoder.rest + b"".join(pieces[at + 1 :])
    return body, None


def test_body_is_the_same_for_every_split() -> None:
    expected = (b"Wikipedia in a", b"GET /next")
    assert decode([BODY]) == expected
    assert decode([BODY[at : at + 1] for at in range(len(BODY))]) == expected
    for at in range(len(BODY)):
        assert decode([BODY[:at], BODY[at:]]) == expected


def test_incomplete_body_has_no_end() -> None:
    end = BODY.index(b"GET")
    for at in range(end):
        assert decode([BODY[:at]])[1] is None


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na0\r\n",
        b"1;\x00\r\n",
        b"1;a\rb\r\n",
        b"ffffffffffff\r\n",
        b"0" * 17 + b"\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nX: \x7f\r\n\r\n",
        b"1;" + b"a" * 5000 + b"\r\n",
        b"0\r\n" + b"X: y\r\n" * 5000,
        (b"1;" + b"a" * 1000 + b"\r\nb\r\n") * 20,
    ],
)
def test_malformed_body_is_refused_for_every_split(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode([body])
    with pytest.raises(BadRequest):
        decode([body[at : at + 1] for at in range(len(body))])


@pytest.mark.parametrize(("size", "is_accepted"), [(1, False), (2, False), (3, True), (1000, True)])
def test_chunks_that_are_mostly_framing_are_refused(size: int, is_accepted: bool) -> None:
    decoder = ChunkDecoder()
    chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
    data = chunk * (2_000_000 // len(chunk))
    if is_accepted:
        assert b"".join(decoder.feed(data)) == b"x" * (size * (2_000_000 // len(chunk)))
        return
    with pytest.raises(BadRequest, match="too small"):
        decoder.feed(data)


def test_a_short_body_may_consist_of_single_bytes() -> None:
    assert b"".join(ChunkDecoder().feed(b"1\r\nx\r\n" * 50_000)) == b"x" * 50_000
