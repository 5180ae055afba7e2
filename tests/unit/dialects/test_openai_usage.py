"""Usage is decoded into disjoint counts whose sum is what the vendor reported."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Usage
from intellirouter.dialects.openai.usage import NOT_REPORTED, decode_usage


def read(document: Any) -> Usage | None:
    return decode_usage(msgspec.Raw(msgspec.json.encode(document)))


@pytest.mark.parametrize("raw", [NOT_REPORTED, msgspec.Raw(b"null"), msgspec.Raw(b"[]"), msgspec.Raw(b'"12"')])
def test_usage_that_is_not_an_object_is_none(raw: msgspec.Raw) -> None:
    assert decode_usage(raw) is None


@pytest.mark.parametrize(
    "text", [rb'{"prompt_tokens":1e999}', rb'{"prompt_tokens":"x","y":"\ud800"}', b'{"prompt_tokens":"\xff"}']
)
def test_invalid_usage_is_none(text: bytes) -> None:
    assert decode_usage(msgspec.Raw(text)) is None


def test_usage_with_numbers_out_of_range_is_none() -> None:
    assert decode_usage(msgspec.Raw(rb'{"prompt_tokens":1,"y":"\ud800"}')) is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 5}, Usage(input_tokens=7, output_tokens=5)),
        ({"total_tokens": 9}, Usage(input_tokens=9)),
        ({"prompt_tokens": None, "completion_tokens": None}, Usage()),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 5},
            },
            Usage(
                input_tokens=30,
                cache_read_tokens=60,
                input_audio_tokens=10,
                output_tokens=15,
                reasoning_tokens=30,
                output_audio_tokens=5,
            ),
        ),
        (
            {
                "prompt_tokens": 300,
                "completion_tokens": 1300,
                "prompt_tokens_details": {"text_tokens": 44, "image_tokens": 256, "cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 7, "image_tokens": 1290},
            },
            Usage(
                input_tokens=44, input_image_tokens=256, output_tokens=3, reasoning_tokens=7, output_image_tokens=1290
            ),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 4},
            Usage(input_tokens=6, cache_read_tokens=4, output_tokens=1),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4},
            Usage(input_tokens=6, cache_read_tokens=4, output_tokens=1),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(cache_read_tokens=10, output_tokens=1),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": -8}},
            Usage(input_tokens=3, output_tokens=2),
        ),
        ({"prompt_tokens": -3, "completion_tokens": 2}, Usage(output_tokens=2, is_implausible=True)),
        (
            {"prompt_tokens": 3.0, "completion_tokens": "2", "prompt_tokens_details": {"cached_tokens": 1.5}},
            Usage(input_tokens=2, cache_read_tokens=1),
        ),
        (
            {"prompt_tokens": 3.5, "completion_tokens": True, "prompt_tokens_details": [], "cached_tokens": 2},
            Usage(input_tokens=1, cache_read_tokens=2),
        ),
        (
            {"prompt_tokens": 10**30, "completion_tokens": 1},
            Usage(input_tokens=10**12, output_tokens=1, is_implausible=True),
        ),
        # xAI's reasoning tokens lie outside completion_tokens. The sums decide.
        (
            {
                "prompt_tokens": 10120,
                "completion_tokens": 1499,
                "total_tokens": 14428,
                "prompt_tokens_details": {"cached_tokens": 128},
                "completion_tokens_details": {"reasoning_tokens": 2809},
            },
            Usage(input_tokens=9992, cache_read_tokens=128, output_tokens=1499, reasoning_tokens=2809),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            Usage(input_tokens=10, output_tokens=20, reasoning_tokens=5),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "total_tokens": 30,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(input_tokens=10, reasoning_tokens=20),
        ),
        (
            {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.00123},
            Usage(input_tokens=1, output_tokens=2, provider_cost_microusd=1230),
        ),
        (
            {"prompt_tokens": 1, "completion_tokens": 2, "cost": {"total_cost": 0.5}},
            Usage(input_tokens=1, output_tokens=2, provider_cost_microusd=500_000),
        ),
        (
            {"prompt_tokens": 1, "completion_tokens": 2, "cost_in_usd_ticks": 37_756_000},
            Usage(input_tokens=1, output_tokens=2, provider_cost_microusd=3776),
        ),
        ({"prompt_tokens": 1, "cost": -1}, Usage(input_tokens=1)),
        ({"prompt_tokens": 1, "cost": "free"}, Usage(input_tokens=1)),
    ],
)
def test_counts_are_decoded_from_vendors_usage(document: dict[str, Any], expected: Usage) -> None:
    assert read(document) == expected


odd = st.none() | st.integers(-5, 2000) | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=3)
details = st.fixed_dictionaries({}, optional={"cached_tokens": odd, "audio_tokens": odd, "reasoning_tokens": odd})
documents = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": odd,
        "completion_tokens": odd,
        "total_tokens": odd,
        "prompt_tokens_details": details | odd,
        "completion_tokens_details": details | odd,
        "prompt_cache_hit_tokens": odd,
        "cached_tokens": odd,
        "something_else": odd,
    },
)


def count(value: object) -> int:
    return min(10**12, max(0, int(value))) if isinstance(value, int | float) and not isinstance(value, bool) else 0


@given(documents)
def test_counts_are_never_negative_and_add_up_to_the_totals(document: dict[str, Any]) -> None:
    usage = read(document)
    assert usage is not None
    assert all(getattr(usage, name) >= 0 for name in Usage.__struct_fields__ if name != "provider_cost_microusd")
    prompt, completion = count(document.get("prompt_tokens")), count(document.get("completion_tokens"))
    if not prompt and not completion:
        prompt = count(document.get("total_tokens"))
    assert usage.total_input_tokens == prompt
    assert usage.total_output_tokens in {completion, completion + usage.reasoning_tokens}
    assert not usage.is_estimated
