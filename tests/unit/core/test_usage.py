"""Token counts by kind, their sums, and estimates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import NO_USAGE, Usage, estimate_input_tokens, estimate_tokens


def test_totals_are_the_sums_of_disjoint_buckets() -> None:
    usage = Usage(
        input_tokens=1,
        cache_read_tokens=2,
        cache_write_tokens=4,
        input_audio_tokens=8,
        output_tokens=16,
        reasoning_tokens=32,
        output_audio_tokens=64,
        input_image_tokens=128,
        output_image_tokens=256,
        cache_write_1h_tokens=512,
    )
    assert (usage.total_input_tokens, usage.total_output_tokens, usage.total_tokens) == (655, 368, 1023)
    assert usage.plus(usage).total_tokens == 2 * 1023


def test_no_usage_is_zero() -> None:
    assert NO_USAGE.total_tokens == 0
    assert not NO_USAGE.is_estimated


@pytest.mark.parametrize(("size", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_tokens_are_estimated_from_bytes_rounded_up(size: int, tokens: int) -> None:
    assert estimate_tokens(size) == tokens


@given(st.integers(0, 10**12))
def test_estimate_is_rounded_up(size: int) -> None:
    assert 0 <= estimate_tokens(size) * 4 - size < 4


def test_media_in_a_request_are_not_counted_by_their_bytes() -> None:
    text = b'{"text": "' + b"words and words " * 2000 + b'"}'
    unspaced = b'{"text": "' + "汉字".encode() * 8000 + b'"}'
    image = b'{"url": "data:image/png;base64,' + b"iVBORw0K" * 250_000 + b'"}'
    assert estimate_input_tokens(text) == estimate_tokens(len(text))
    assert estimate_input_tokens(unspaced) == estimate_tokens(len(unspaced))
    assert estimate_input_tokens(text + image) < estimate_tokens(len(text)) + 2000
    assert estimate_input_tokens(b"") == 0
