"""The cost of an exchange: usage times price, in integer micro-USD."""

from typing import Final

from msgspec import structs

from intellirouter.core import BYTES_PER_TOKEN, Call, Deployment, Usage

_MAX_CONTEXT: Final = 2_000_000
"""More tokens than the context of any model, if that of the deployment is unknown."""
_OVERHEAD_TOKENS: Final = 32_768
"""What a provider may add to a prompt: its chat template, its system prompt, the descriptions of its tools."""
_REFERENCES: Final = (b"://", b'_id"', b'"id"', b"Uri", b"cachedContent", b"earch", b"code_", b"file", b"url")
"""Marks of requests whose prompt is longer than their body: URLs, files, stored conversations, tools of the vendor."""


def cost_of(deployment: Deployment, usage: Usage | None) -> tuple[int | None, str | None]:
    """Return the cost in micro-USD and the version of the price; (None, None) if usage or price is unknown."""
    if usage is None or deployment.price is None:
        return None, None
    return deployment.price.cost_microusd(usage), deployment.price.version


def cache_saving_of(deployment: Deployment, usage: Usage) -> int:
    """Return in micro-USD what the provider's prompt cache has saved; 0 if the price is unknown."""
    return 0 if deployment.price is None else deployment.price.prompt_cache_saved_microusd(usage)


def estimated_usage(call: Call, output_tokens: int) -> Usage:
    """Estimate usage that the upstream has not reported, for example of an aborted stream: one token per event."""
    return Usage(input_tokens=call.estimated_input_tokens(), output_tokens=output_tokens, is_estimated=True)


def plausible_usage(usage: Usage, call: Call, deployment: Deployment, answer_bytes: int) -> Usage:
    """Return the usage, or what is possible instead of counts that are not, marked as implausible.

    A visible token takes at least one byte. `max_output_tokens` bounds tokens that are not visible; without it, the
    context of the model does. The input is bounded by the bytes of the request, unless it refers to other content.
    """
    body_bytes = len(call.body) + max(0, call.added_tokens) * BYTES_PER_TOKEN
    is_usual = usage.total_output_tokens <= answer_bytes and usage.total_input_tokens <= body_bytes + _OVERHEAD_TOKENS
    if is_usual and not usage.is_implausible:
        return usage
    context = deployment.context_tokens or _MAX_CONTEXT
    requested = call.max_output_tokens or 0
    visible = usage.output_tokens + usage.output_audio_tokens + usage.output_image_tokens
    is_output_possible = usage.reasoning_tokens <= context and (visible <= max(answer_bytes, requested or context))
    refers = any(mark in call.body for mark in _REFERENCES)
    max_input = _MAX_CONTEXT * 10 if refers else body_bytes + _OVERHEAD_TOKENS
    is_input_possible = usage.total_input_tokens <= max_input
    if is_output_possible and is_input_possible and not usage.is_implausible:
        return usage
    estimated = call.estimated_input_tokens()
    bounded = structs.replace(usage, is_implausible=True)
    if not is_input_possible or not usage.total_input_tokens:
        bounded = structs.replace(
            bounded,
            input_tokens=estimated,
            cache_read_tokens=0,
            cache_write_tokens=0,
            cache_write_1h_tokens=0,
            input_audio_tokens=0,
            input_image_tokens=0,
        )
    if not is_output_possible or not usage.total_output_tokens:
        possible = max(requested, answer_bytes) if usage.total_output_tokens else -(-answer_bytes // 4)
        bounded = structs.replace(
            bounded, output_tokens=possible, reasoning_tokens=0, output_audio_tokens=0, output_image_tokens=0
        )
    return bounded
