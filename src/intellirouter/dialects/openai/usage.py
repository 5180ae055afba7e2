"""Decoding of OpenAI's usage object, and other vendors' variants, into disjoint counts.

`prompt_tokens` includes cached and audio tokens, and `completion_tokens` includes reasoning and audio tokens.
Source: OpenAI API reference, "The chat completion object". DeepSeek and Moonshot report cache hits in other members.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Usage
from intellirouter.dialects.wire.lenient import as_int


class _PromptDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


NOT_REPORTED: Final = msgspec.Raw()
_NOTHING: Final = (NOT_REPORTED, msgspec.Raw(b"null"))
_NO_IN: Final = _PromptDetails()
_NO_OUT: Final = _CompletionDetails()
_MAX_TOKENS: Final = 10**12
"""The upper bound, so that the cost fits the integers of the ledger."""
_decoder: Final = msgspec.json.Decoder(_Usage)


def decode_usage(raw: msgspec.Raw) -> Usage | None:
    """Return the usage; None if the vendor has sent none, or something other than an object."""
    if raw in _NOTHING:
        return None
    try:
        usage = _decoder.decode(raw)
    except msgspec.ValidationError:
        found = _lenient(raw)
        if found is None:
            return None
        usage = found
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return _disjoint(usage)


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

    return _Usage(
        prompt_tokens_details=_PromptDetails(
            **counts(raw.get("prompt_tokens_details"), _PromptDetails.__struct_fields__)
        ),
        completion_tokens_details=_CompletionDetails(
            **counts(raw.get("completion_tokens_details"), _CompletionDetails.__struct_fields__)
        ),
        **counts(raw, _COUNTS),
    )


_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_hit_tokens", "cached_tokens")


def _disjoint(raw: _Usage) -> Usage:
    prompt, completion = _within(raw.prompt_tokens, _MAX_TOKENS), _within(raw.completion_tokens, _MAX_TOKENS)
    if not prompt and not completion:
        prompt = _within(raw.total_tokens, _MAX_TOKENS)
    details_in, details_out = raw.prompt_tokens_details or _NO_IN, raw.completion_tokens_details or _NO_OUT
    cached = details_in.cached_tokens or raw.prompt_cache_hit_tokens or raw.cached_tokens or 0
    written = details_in.cache_write_tokens or 0
    audio_in, reasoning, audio_out = details_in.audio_tokens, details_out.reasoning_tokens, details_out.audio_tokens
    if not (cached or written or audio_in or reasoning or audio_out):
        return Usage(input_tokens=prompt, output_tokens=completion)
    cached = _within(cached, prompt)
    written = _within(written, prompt - cached)
    audio_in = _within(audio_in, prompt - cached - written)
    reasoning = _within(reasoning, completion)
    audio_out = _within(audio_out, completion - reasoning)
    return Usage(
        input_tokens=prompt - cached - written - audio_in,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=completion - reasoning - audio_out,
        reasoning_tokens=reasoning,
        input_audio_tokens=audio_in,
        output_audio_tokens=audio_out,
    )


def _within(count: int | None, whole: int) -> int:
    """Return the count, limited to the range from 0 to `whole`."""
    return min(max(0, count or 0), whole)
