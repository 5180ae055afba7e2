"""The usage that image, audio and rerank endpoints report."""

from typing import Any

from intellirouter.core import Usage
from intellirouter.dialects.wire.lenient import as_int


def decode_media_usage(document: dict[str, Any]) -> Usage | None:
    """Return the usage of a response or of a stream's last event; None if it does not consist of tokens.

    Images and transcriptions report tokens (`input_tokens`, `output_tokens`, `input_token_details`), rankings report
    `total_tokens` (Jina) or `meta.billed_units` (Cohere). Durations and search units are not tokens.
    """
    usage = document.get("usage")
    if not isinstance(usage, dict):
        meta = document.get("meta")
        usage = meta.get("tokens") if isinstance(meta, dict) else None
        if not isinstance(usage, dict):
            return None
    details = usage.get("input_token_details") or usage.get("input_tokens_details")
    audio = as_int(details.get("audio_tokens")) if isinstance(details, dict) else 0
    total_in = as_int(usage.get("input_tokens", usage.get("prompt_tokens")))
    total_out = as_int(usage.get("output_tokens", usage.get("completion_tokens")))
    if not total_in and not total_out:
        total_in = as_int(usage.get("total_tokens"))
        if not total_in:
            return None
    return Usage(
        input_tokens=max(0, total_in - audio), input_audio_tokens=min(audio, total_in), output_tokens=total_out
    )
