"""The protocol: commands as they are sent, and replies in any pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.cache.redis.resp import ProtocolError, ReplyReader, ServerError, encode_command

WIRE = b"+OK\r\n$3\r\na\r\n\r\n:12\r\n$-1\r\n$0\r\n\r\n*-1\r\n-OOM no memory\r\n:-1\r\n"


def test_command() -> None:
    assert encode_command(b"SET", b"k", b"\r\n") == b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n"


@given(cuts=st.lists(st.integers(0, len(WIRE)), max_size=6))
def test_replies_in_any_pieces(cuts: list[int]) -> None:
    reader, replies = ReplyReader(100), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(WIRE)], strict=True):
        replies += reader.feed(WIRE[start:end])
    assert replies[:6] == [b"OK", b"a\r\n", 12, None, b"", None]
    assert isinstance(replies[6], ServerError)
    assert str(replies[6]) == "OOM no memory"
    assert replies[7:] == [-1]


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"$101\r\n",
        b"$x\r\n",
        b":x\r\n",
        b"*2\r\n",
        b"%1\r\n",
        b"\x16\x03\x01\r\n",
        b"+" + b"x" * 70_000,
    ],
)
def test_what_is_not_a_reply_ends_the_connection(sent: bytes) -> None:
    with pytest.raises(ProtocolError):
        ReplyReader(100).feed(sent)


def test_a_large_value_is_read_in_linear_time() -> None:
    reader, size = ReplyReader(50_000_000), 20_000_000
    assert reader.feed(b"$%d\r\n" % size) == []
    piece = bytes(10_000)
    for _ in range(size // len(piece)):
        assert reader.feed(piece) == []
    assert reader.feed(b"\r\n") == [bytes(size)]
