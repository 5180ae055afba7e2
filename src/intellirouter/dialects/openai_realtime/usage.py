"""The usage of a realtime response: text, audio and image tokens, cached and not.

Source: OpenAI API reference, realtime server events, `response.done`.
"""

from typing import Any, Final

from intellirouter.core import Usage
from intellirouter.dialects.wire.lenient import as_int

_MAX_TOKENS: Final = 10**12
"""The upper bound, so that the cost fits the integers of the ledger."""


def decode_realtime_usage(usage: Any) -> Usage | None:
    """Return the usage in disjoint counts; None if it does not consist of tokens (seconds of a transcription)."""
    if not isinstance(usage, dict) or not ("input_tokens" in usage or "output_tokens" in usage):
        return None
    total_in = min(as_int(usage.get("input_tokens")), _MAX_TOKENS)
    total_out = min(as_int(usage.get("output_tokens")), _MAX_TOKENS)
    details_in, details_out = _object(usage, "input_token_details"), _object(usage, "output_token_details")
    cached = min(as_int(details_in.get("cached_tokens")), total_in)
    details_cached = _object(details_in, "cached_tokens_details")
    cached_audio = min(as_int(details_cached.get("audio_tokens")), cached)
    cached_image = min(as_int(details_cached.get("image_tokens")), cached - cached_audio)
    audio_in = min(max(0, as_int(details_in.get("audio_tokens")) - cached_audio), total_in - cached)
    image_in = min(max(0, as_int(details_in.get("image_tokens")) - cached_image), total_in - cached - audio_in)
    audio_out = min(as_int(details_out.get("audio_tokens")), total_out)
    reasoning = min(as_int(details_out.get("reasoning_tokens")), total_out - audio_out)
    return Usage(
        input_tokens=total_in - cached - audio_in - image_in,
        cache_read_tokens=cached,
        output_tokens=total_out - audio_out - reasoning,
        reasoning_tokens=reasoning,
        input_audio_tokens=audio_in,
        output_audio_tokens=audio_out,
        input_image_tokens=image_in,
    )


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}
