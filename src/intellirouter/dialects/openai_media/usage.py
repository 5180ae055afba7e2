"""The usage that image, audio and rerank endpoints report."""

from typing import Any

from intellirouter.core import Usage
from intellirouter.dialects.wire.lenient import as_int


def decode_media_usage(document: dict[str, Any], *, makes_images: bool = False) -> Usage | None:
    """Return the usage of a response or of a stream's last event; None if it does not consist of tokens.

    `makes_images`: output whose kind is not reported is images.

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
    made = usage.get("output_tokens_details")
    total_in = as_int(usage.get("input_tokens", usage.get("prompt_tokens")))
    total_out = as_int(usage.get("output_tokens", usage.get("completion_tokens")))
    if not total_in and not total_out:
        total_in = as_int(usage.get("total_tokens"))
        if not total_in:
            return None
    audio = min(_count(details, "audio_tokens"), total_in)
    images = min(_count(details, "image_tokens"), total_in - audio)
    made_images = min(_count(made, "image_tokens", total_out if makes_images else 0), total_out)
    return Usage(
        input_tokens=total_in - audio - images,
        input_audio_tokens=audio,
        input_image_tokens=images,
        output_tokens=total_out - made_images,
        output_image_tokens=made_images,
    )


def _count(details: Any, name: str, default: int = 0) -> int:
    return as_int(details[name]) if isinstance(details, dict) and name in details else default
