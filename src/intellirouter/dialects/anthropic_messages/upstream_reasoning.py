"""Translates how much the model should reason.

Effort to budget (models before 4.6): minimal 1024, low 2048, medium 8192, high 16384, xhigh 24576, max 32768 tokens.
Budget to effort (adaptive models): up to 2048 low, up to 8192 medium, up to 24576 high, more max.

A budget is at least 1024 tokens and leaves a quarter of `max_tokens` for the answer. If that is not possible, reasoning
is disabled. It is also disabled if a tool is forced, and in a tool loop whose reasoning the client did not send back,
because the API rejects both. The loss is reported.
"""

from typing import Any, Final

from msgspec import Struct

from intellirouter.core import LossReport, Profile
from intellirouter.dialects.ir import Conversation, ReasoningConfig

DEFAULT_MAX_TOKENS: Final = 8192
"""Sent in addition to the reasoning budget if the client sets no limit, because Anthropic's API requires one."""
_MIN_BUDGET: Final = 1024
_BUDGETS_BY_EFFORT: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
_EFFORTS_BY_BUDGET: Final = ((2048, "low"), (8192, "medium"), (24576, "high"))
_FIELD: Final = "reasoning"


class ReasoningSettings(Struct, kw_only=True):
    """The reasoning settings of an upstream request."""

    config: dict[str, Any] | None = None
    """The value of `thinking`."""
    effort: str = ""
    """The value of `output_config.effort`."""
    max_tokens: int

    @property
    def is_enabled(self) -> bool:
        return self.config is not None and self.config["type"] in {"enabled", "adaptive"}


class ReasoningConstraints(Struct, frozen=True, kw_only=True):
    """Features of a request that the API does not allow together with reasoning."""

    has_forced_tool: bool = False
    lacks_reasoning: bool = False


def same_dialect_settings(conversation: Conversation) -> ReasoningSettings:
    """Return the settings for a client of the same dialect, which are the client's own."""
    reasoning, requested_max = conversation.reasoning, conversation.sampling.max_output_tokens
    settings = ReasoningSettings(max_tokens=DEFAULT_MAX_TOKENS if requested_max is None else requested_max)
    if reasoning is None:
        return settings
    settings.effort = reasoning.effort
    if reasoning.is_enabled is not None:
        kind = "adaptive" if reasoning.is_adaptive else "enabled" if reasoning.is_enabled else "disabled"
        config: dict[str, Any] = {"type": kind}
        if reasoning.budget_tokens is not None:
            config["budget_tokens"] = reasoning.budget_tokens
        if reasoning.is_visible is not None:
            config["display"] = "summarized" if reasoning.is_visible else "omitted"
        settings.config = config | reasoning.extras
    return settings


def translated_settings(
    conversation: Conversation, profile: Profile, constraints: ReasoningConstraints, losses: LossReport
) -> ReasoningSettings:
    """Return the settings for a client of another dialect. Models with an unknown profile get a budget."""
    reasoning, requested_max = conversation.reasoning, conversation.sampling.max_output_tokens
    settings = ReasoningSettings(max_tokens=DEFAULT_MAX_TOKENS if requested_max is None else requested_max)
    if requested_max is None:
        losses.add("max_output_tokens", "converted", str(DEFAULT_MAX_TOKENS))
    if reasoning is None:
        return settings
    if is_disabled(reasoning):
        _disable(settings, profile, losses)
    elif not _is_requested(reasoning):
        pass
    elif profile.reasoning == "none":
        losses.add(_FIELD, "dropped", "reasoning is not supported by this model")
    elif profile.reasoning in {"budget", "unknown"}:
        _set_budget(settings, reasoning, constraints, losses, has_limit=requested_max is not None)
    else:
        _set_adaptive(settings, reasoning, profile, losses)
        if constraints.has_forced_tool and profile.reasoning != "always":
            settings.config = None
            losses.add(_FIELD, "dropped", "not allowed with a forced tool")
    return settings


def is_disabled(reasoning: ReasoningConfig) -> bool:
    return (
        reasoning.is_enabled is False
        or reasoning.effort == "none"
        or (reasoning.budget_tokens == 0 and not reasoning.effort)
    )


def _is_requested(reasoning: ReasoningConfig) -> bool:
    has_amount = reasoning.effort or reasoning.budget_tokens is not None or reasoning.summary
    return bool(has_amount or reasoning.is_enabled or reasoning.is_adaptive or reasoning.is_visible)


def _disable(settings: ReasoningSettings, profile: Profile, losses: LossReport) -> None:
    if profile.reasoning == "always":
        losses.add(_FIELD, "dropped", "reasoning cannot be disabled for this model")
    elif profile.reasons_by_default:
        settings.config = {"type": "disabled"}


def _set_budget(
    settings: ReasoningSettings,
    reasoning: ReasoningConfig,
    constraints: ReasoningConstraints,
    losses: LossReport,
    *,
    has_limit: bool,
) -> None:
    if constraints.has_forced_tool:
        losses.add(_FIELD, "dropped", "not allowed with a forced tool")
        return
    if constraints.lacks_reasoning:
        losses.add(_FIELD, "dropped", "the reasoning before the tool call is missing")
        return
    requested = reasoning.budget_tokens if reasoning.budget_tokens is not None and reasoning.budget_tokens > 0 else None
    budget = requested or _BUDGETS_BY_EFFORT.get(reasoning.effort, _BUDGETS_BY_EFFORT["medium"])
    if has_limit and budget >= settings.max_tokens:
        budget = settings.max_tokens - max(1, settings.max_tokens // 4)
        if budget < _MIN_BUDGET:
            losses.add(_FIELD, "dropped", "max_tokens is too low")
            return
        losses.add(_FIELD, "clamped", "budget_tokens below max_tokens")
    elif budget < _MIN_BUDGET:
        budget = _MIN_BUDGET
        losses.add(_FIELD, "clamped", str(_MIN_BUDGET))
    elif requested is None:
        losses.add(_FIELD, "converted", "budget_tokens")
    if not has_limit:
        settings.max_tokens = DEFAULT_MAX_TOKENS + budget
    settings.config = {"type": "enabled", "budget_tokens": budget}
    if reasoning.is_visible is False:
        settings.config["display"] = "omitted"


def _set_adaptive(
    settings: ReasoningSettings, reasoning: ReasoningConfig, profile: Profile, losses: LossReport
) -> None:
    effort = reasoning.effort
    if not effort and reasoning.budget_tokens is not None and reasoning.budget_tokens > 0:
        effort = next((name for limit, name in _EFFORTS_BY_BUDGET if reasoning.budget_tokens <= limit), "max")
        losses.add(_FIELD, "converted", "effort")
    elif effort == "minimal":
        effort = "low"
        losses.add(_FIELD, "clamped", "low")
    elif effort == "xhigh" and not profile.has_xhigh_effort:
        effort = "high"
        losses.add(_FIELD, "clamped", "high")
    settings.effort = effort
    settings.config = {"type": "adaptive"}
    if reasoning.summary or reasoning.is_visible is not None:
        settings.config["display"] = "summarized" if reasoning.summary or reasoning.is_visible else "omitted"
