"""Writes `thinkingConfig`, which defines how much the model should reason.

Source: Google, "Gemini thinking" and "OpenAI compatibility" (reasoning efforts and their levels and budgets).
"""

from typing import Any, Final

from intellirouter.core import LossReport, Profile
from intellirouter.dialects.adapt.reasoning_effort import effort_of
from intellirouter.dialects.gemini.wire import DIALECT
from intellirouter.dialects.ir import Conversation, ReasoningConfig

_BUDGETS_BY_EFFORT: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEVELS_BY_EFFORT: Final = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_LEVEL_ORDER: Final = ("minimal", "low", "medium", "high")
_DYNAMIC_BUDGET: Final = -1
"""The model chooses the budget."""


def thinking_config(conversation: Conversation, profile: Profile, losses: LossReport) -> dict[str, Any]:
    """Return `thinkingConfig`, which is empty if the client requests nothing."""
    reasoning = conversation.reasoning
    if reasoning is None:
        return {}
    config: dict[str, Any] = {}
    if conversation.dialect == DIALECT:
        config = dict(reasoning.extras)
        if reasoning.budget_tokens is not None:
            config["thinkingBudget"] = reasoning.budget_tokens
        if reasoning.effort:
            config["thinkingLevel"] = reasoning.effort.upper()
    elif profile.reasoning == "level":
        config = _write_level(reasoning, profile, losses)
    elif profile.reasoning == "budget":
        config = _write_budget(reasoning, profile, losses)
    elif _is_requested(reasoning):
        losses.dropped("reasoning")
        return {}
    if reasoning.is_visible is not None and _can_include_thoughts(conversation, profile):
        config["includeThoughts"] = reasoning.is_visible
    return config


def _can_include_thoughts(conversation: Conversation, profile: Profile) -> bool:
    return profile.reasoning in {"level", "budget"} or conversation.dialect == DIALECT


def _is_requested(reasoning: ReasoningConfig) -> bool:
    if _is_disabled(reasoning):
        return False
    return bool(reasoning.effort or reasoning.budget_tokens or reasoning.is_enabled or reasoning.is_adaptive)


def _is_disabled(reasoning: ReasoningConfig) -> bool:
    return reasoning.is_enabled is False or reasoning.effort == "none" or reasoning.budget_tokens == 0


def _write_level(reasoning: ReasoningConfig, profile: Profile, losses: LossReport) -> dict[str, Any]:
    if _is_disabled(reasoning):
        level = profile.reasoning_levels[0]
        losses.add("reasoning", "clamped", level)
    elif reasoning.effort:
        level = _level_for_effort(reasoning.effort, profile, losses)
    elif reasoning.budget_tokens is not None and reasoning.budget_tokens > 0:
        level = effort_of(reasoning.budget_tokens)
        losses.add("reasoning", "converted", level)
    else:
        return {}  # the model chooses the level
    return {"thinkingLevel": level.upper()}


def _level_for_effort(effort: str, profile: Profile, losses: LossReport) -> str:
    """Return the level for an effort, or the next higher one that the model has, as Google's OpenAI endpoint does."""
    requested = _LEVEL_ORDER.index(_LEVELS_BY_EFFORT.get(effort, "high"))
    available = profile.reasoning_levels
    level = next((each for each in available if _LEVEL_ORDER.index(each) >= requested), available[-1])
    if level != effort:
        losses.add("reasoning", "clamped", level)
    return level


def _write_budget(reasoning: ReasoningConfig, profile: Profile, losses: LossReport) -> dict[str, Any]:
    if _is_disabled(reasoning):
        requested = 0
    elif reasoning.budget_tokens is not None:
        requested = reasoning.budget_tokens
    elif reasoning.effort:
        requested = _BUDGETS_BY_EFFORT.get(reasoning.effort, _BUDGETS_BY_EFFORT["high"])
        losses.add("reasoning", "converted", str(requested))
    elif reasoning.is_enabled or reasoning.is_adaptive:
        requested = _DYNAMIC_BUDGET
    else:
        return {}
    budget = _clamp_budget(requested, profile)
    if budget != requested:
        losses.add("reasoning", "clamped", str(budget))
    return {"thinkingBudget": budget}


def _clamp_budget(budget: int, profile: Profile) -> int:
    """Return the budget, clamped to the range of the model."""
    if budget < 0:
        return _DYNAMIC_BUDGET
    if budget == 0 and profile.can_stop_reasoning:
        return 0
    budget = max(budget, profile.min_reasoning_tokens)
    return budget if profile.max_reasoning_tokens is None else min(budget, profile.max_reasoning_tokens)
