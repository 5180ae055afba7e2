"""The reasoning effort that a model of OpenAI accepts, for clients of other dialects.

OpenAI rejects a request with another effort, and with any effort for a model that does not reason. Clients of OpenAI's
own dialects get its error instead, because their requests are passed through.

Source: OpenAI, guide to reasoning models, and the pages of the models.
"""

from typing import Final

from intellirouter.core import LossReport, Profile
from intellirouter.dialects.ir import ReasoningConfig

_ORDER: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def cannot_reason(config: ReasoningConfig, profile: Profile, losses: LossReport) -> bool:
    """Return whether the model does not reason, and report it if the client asks for reasoning."""
    if profile.reasoning != "none":
        return False
    is_off = config.is_enabled is False or config.budget_tokens == 0 or config.effort == "none"
    if not is_off and (config.effort or config.is_enabled or config.is_adaptive or config.budget_tokens is not None):
        losses.add("reasoning", "dropped", "reasoning is not supported by this model")
    return True


def accepted_effort(effort: str, profile: Profile, losses: LossReport) -> str:
    """Return the effort that the model accepts and that is closest to this one. Empty: its default."""
    if not effort or not profile.efforts or effort in profile.efforts or effort not in _ORDER:
        return effort
    wanted = _ORDER.index(effort)
    closest = min(profile.efforts, key=lambda each: abs(_ORDER.index(each) - wanted))
    losses.add("reasoning", "clamped", closest)
    return closest
