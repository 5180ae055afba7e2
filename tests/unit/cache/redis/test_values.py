"""How answers are stored: what is damaged, of another version or of another key is not used."""

import msgspec
import pytest

from intellirouter.cache import Claim, StoredAnswer
from intellirouter.cache.redis.values import ClockOffset, decode_value, encode_answer, encode_claim

NOW = ClockOffset(monotonic_s=100.0, epoch_us=5_000_000_000)
ANSWER = StoredAnswer(body=b"hi", content_type=b"text/x", request_id="r", stored_s=90.0, expires_s=150.0)
VALUE = encode_answer("t", b"k", ANSWER, NOW)


def test_times_hold_for_a_process_with_another_monotonic_clock() -> None:
    found = decode_value(VALUE, "t", b"k", ClockOffset(monotonic_s=7.0, epoch_us=5_020_000_000))
    assert isinstance(found, StoredAnswer)
    assert (found.stored_s, found.expires_s) == (pytest.approx(7.0 - 30.0), pytest.approx(7.0 + 30.0))


def test_an_answer_of_a_process_whose_clock_is_ahead_is_not_from_the_future() -> None:
    found = decode_value(VALUE, "t", b"k", ClockOffset(monotonic_s=100.0, epoch_us=4_900_000_000))
    assert isinstance(found, StoredAnswer)
    assert found.stored_s == 100.0


def test_claim() -> None:
    claim = Claim(client_key=b"c", request_id="r")
    assert decode_value(encode_claim("t", b"k", claim), "t", b"k", NOW) == claim


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"hello",
        VALUE[:-1],
        VALUE[:5],
        VALUE + b"x",
        b"IR0\n" + VALUE[4:],
        b"IR1\n" + msgspec.msgpack.encode({"body": b"x"}),
        b"IR1\n" + msgspec.msgpack.encode(["answer", "t", b"k"]),
        b"IR1\n" + msgspec.msgpack.encode(["another", "t", b"k"]),
        encode_answer("u", b"k", ANSWER, NOW),
        encode_answer("t", b"l", ANSWER, NOW),
    ],
)
def test_other_values_are_not_used(value: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        decode_value(value, "t", b"k", NOW)


def test_every_change_of_one_byte_is_noticed_or_harmless() -> None:
    for at in range(4, len(VALUE)):
        damaged = VALUE[:at] + bytes([VALUE[at] ^ 0x55]) + VALUE[at + 1 :]
        try:
            decode_value(damaged, "t", b"k", NOW)
        except ValueError:
            continue
