"""OpenAI's usage object, and its vendors' variations, into disjoint buckets.

`prompt_tokens` includes cached and audio tokens, `completion_tokens` includes reasoning and audio tokens.
Source: OpenAI API reference, "The chat completion object"; DeepSeek and Moonshot report cache hits beside it.
"""

from collections.abc import Mapping
from typing import Any

from intellirouter.core import Usage
from intellirouter.dialects.validation import as_int


def decode_usage(raw: Any) -> Usage | None:
    """Return the usage, or None when the vendor sent none (or something that is no object)."""
    if not isinstance(raw, Mapping):
        return None
    prompt, completion = as_int(raw.get("prompt_tokens")), as_int(raw.get("completion_tokens"))
    if not prompt and not completion:
        prompt = as_int(raw.get("total_tokens"))
    details_in = raw.get("prompt_tokens_details")
    details_out = raw.get("completion_tokens_details")
    cached = audio_in = reasoning = audio_out = 0
    if isinstance(details_in, Mapping):
        cached, audio_in = as_int(details_in.get("cached_tokens")), as_int(details_in.get("audio_tokens"))
    if isinstance(details_out, Mapping):
        reasoning = as_int(details_out.get("reasoning_tokens"))
        audio_out = as_int(details_out.get("audio_tokens"))
    cached = cached or as_int(raw.get("prompt_cache_hit_tokens")) or as_int(raw.get("cached_tokens"))
    cached = min(cached, prompt)
    audio_in = min(audio_in, prompt - cached)
    reasoning = min(reasoning, completion)
    audio_out = min(audio_out, completion - reasoning)
    return Usage(
        input_tokens=prompt - cached - audio_in,
        cache_read_tokens=cached,
        output_tokens=completion - reasoning - audio_out,
        reasoning_tokens=reasoning,
        input_audio_tokens=audio_in,
        output_audio_tokens=audio_out,
    )
