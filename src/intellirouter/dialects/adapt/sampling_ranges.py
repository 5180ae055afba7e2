"""Sampling parameters of clients whose dialect has wider ranges than the upstream's: limited to its own, and reported.

Ollama accepts any number, and compatible vendors have members of their own. A request of a client with OpenAI's,
Anthropic's or Google's dialect that exceeds the range of its own dialect has been refused before.
"""

from typing import Any, Final

from msgspec import structs

from intellirouter.core import Deployment, LossReport
from intellirouter.dialects.ir import Conversation

_RANGES: Final = (
    ("top_p", 0.0, 1.0),
    ("min_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("repetition_penalty", 0.0, 2.0),
)
_MAX_TEMPERATURE: Final = 2.0
_OPENAI: Final = frozenset({"openai_chat", "openai_responses"})
"""The dialects whose encoders do not limit the temperature themselves."""
_UNLIMITED: Final = "ollama"


def with_fitted_sampling(
    conversation: Conversation, dialect: str, deployment: Deployment, losses: LossReport
) -> Conversation:
    """Return the conversation with its sampling parameters in the ranges of the upstream's dialect."""
    profile = deployment.profile
    if dialect == _UNLIMITED or not (profile.takes_sampling or profile.takes_sampling_without_reasoning):
        return conversation
    sampling = conversation.sampling
    fitted: dict[str, Any] = {}
    if (temperature := sampling.temperature) is not None:
        is_high = temperature > _MAX_TEMPERATURE and dialect in _OPENAI and deployment.quirks.max_temperature is None
        if is_high or temperature < 0:
            fitted["temperature"] = _MAX_TEMPERATURE if is_high else 0.0
    for name, low, high in _RANGES:
        value = getattr(sampling, name)
        if value is not None and not low <= value <= high:
            fitted[name] = min(max(value, low), high)
    for name, value in fitted.items():
        losses.add(name, "clamped", f"{value:g}")
    if sampling.top_k is not None and sampling.top_k < 1:  # which turns the parameter off
        fitted["top_k"] = None
        losses.dropped("top_k")
    return structs.replace(conversation, sampling=structs.replace(sampling, **fitted)) if fitted else conversation
