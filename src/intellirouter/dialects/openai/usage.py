"""Decoding of OpenAI's usage object, and other vendors' variants, into disjoint counts.

`prompt_tokens` includes cached and audio tokens, and `completion_tokens` includes reasoning and audio tokens.
Source: OpenAI API reference, "The chat completion object". DeepSeek and Moonshot report cache hits in other members.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import astuple

from intellirouter.core import Usage
from intellirouter.dialects.wire.lenient import MAX_TOKENS, as_int, cost_microusd, has_impossible_count, reported


class _PromptDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    """xAI; the completion's: OpenRouter."""


class _CompletionDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


_Possible = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]


class _Usage(Struct):
    """A usage object with possible counts. Any other one is read leniently."""

    prompt_tokens: _Possible | None = None
    completion_tokens: _Possible | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    cost: Any = None
    """In US dollars (OpenRouter, Perplexity)."""
    cost_in_usd_ticks: Any = None
    """In units of 10⁻¹⁰ US dollars (xAI)."""


NOT_REPORTED: Final = msgspec.Raw()
_NOTHING: Final = (NOT_REPORTED, msgspec.Raw(b"null"))
_NO_IN: Final = _PromptDetails()
_NO_OUT: Final = _CompletionDetails()
_decoder: Final = msgspec.json.Decoder(_Usage)


def decode_usage(raw: msgspec.Raw) -> Usage | None:
    """Return the usage; None if the vendor has sent none, or something other than an object."""
    if raw in _NOTHING:
        return None
    try:
        return _disjoint(_decoder.decode(raw), is_implausible=False)
    except msgspec.ValidationError:
        usage = _lenient(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if usage is None:
        return None
    return _disjoint(usage, is_implausible=has_impossible_count(usage.prompt_tokens, usage.completion_tokens))


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """Return the usage of an answer; None also if all counts are zero."""
    usage = decode_usage(raw)
    return usage if usage is None or usage.input_tokens else reported(usage)


def _lenient(document: msgspec.Raw) -> _Usage | None:
    """Return a usage object with wrong types as far as it can be read. Anything but a number counts as 0."""
    try:
        raw = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not isinstance(raw, Mapping):
        return None

    def counts(value: Any, names: tuple[str, ...]) -> dict[str, int]:
        return {name: as_int(value.get(name)) for name in names} if isinstance(value, Mapping) else {}

    usage = _Usage(
        prompt_tokens_details=_PromptDetails(
            **counts(raw.get("prompt_tokens_details"), _PromptDetails.__struct_fields__)
        ),
        completion_tokens_details=_CompletionDetails(
            **counts(raw.get("completion_tokens_details"), _CompletionDetails.__struct_fields__)
        ),
        **counts(raw, _COUNTS),
    )
    usage.cost, usage.cost_in_usd_ticks = raw.get("cost"), raw.get("cost_in_usd_ticks")
    for name in ("prompt_tokens", "completion_tokens"):
        if isinstance(count := raw.get(name), int | float) and count < 0:
            setattr(usage, name, -1)
    return usage


_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_hit_tokens", "cached_tokens")


def _disjoint(raw: _Usage, *, is_implausible: bool) -> Usage:
    prompt, completion = _within(raw.prompt_tokens, MAX_TOKENS), _within(raw.completion_tokens, MAX_TOKENS)
    has_cost = raw.cost is not None or raw.cost_in_usd_ticks is not None
    provider_cost = _provider_cost(raw) if has_cost else None
    if not prompt and not completion:
        prompt = _within(raw.total_tokens, MAX_TOKENS)
    details_in, details_out = raw.prompt_tokens_details or _NO_IN, raw.completion_tokens_details or _NO_OUT
    if not (any(astuple(details_in)) or any(astuple(details_out)) or raw.prompt_cache_hit_tokens or raw.cached_tokens):
        return Usage(
            input_tokens=prompt,
            output_tokens=completion,
            is_implausible=is_implausible,
            provider_cost_microusd=provider_cost,
        )
    cached = details_in.cached_tokens or raw.prompt_cache_hit_tokens or raw.cached_tokens or 0
    written = details_in.cache_write_tokens or 0
    audio_in, reasoning, audio_out = details_in.audio_tokens, details_out.reasoning_tokens, details_out.audio_tokens
    image_in, image_out = details_in.image_tokens, details_out.image_tokens
    cached = _within(cached, prompt)
    written = _within(written, prompt - cached)
    audio_in = _within(audio_in, prompt - cached - written)
    image_in = _within(image_in, prompt - cached - written - audio_in)
    if is_outside(reasoning, prompt, completion, raw.total_tokens):
        reasoning = _within(reasoning, MAX_TOKENS)
        completion += reasoning
    reasoning = _within(reasoning, completion)
    audio_out = _within(audio_out, completion - reasoning)
    image_out = _within(image_out, completion - reasoning - audio_out)
    return Usage(
        input_tokens=prompt - cached - written - audio_in - image_in,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=completion - reasoning - audio_out - image_out,
        reasoning_tokens=reasoning,
        input_audio_tokens=audio_in,
        output_audio_tokens=audio_out,
        input_image_tokens=image_in,
        output_image_tokens=image_out,
        is_implausible=is_implausible,
        provider_cost_microusd=provider_cost,
    )


def is_outside(reasoning: int | None, prompt: int, completion: int, total: int | None) -> bool:
    """Return whether `completion` does not include the reasoning tokens, as with xAI. The sums decide."""
    if not reasoning or reasoning <= 0:
        return False
    if total == prompt + completion:
        return False
    return total == prompt + completion + reasoning or reasoning > completion > 0


def _provider_cost(raw: _Usage) -> int | None:
    if raw.cost is not None:
        return cost_microusd(raw.cost.get("total_cost") if isinstance(raw.cost, Mapping) else raw.cost)
    return cost_microusd(raw.cost_in_usd_ticks, per_usd=10**10)


def _within(count: int | None, whole: int) -> int:
    """Return the count, limited to the range from 0 to `whole`."""
    return min(max(0, count or 0), whole)
