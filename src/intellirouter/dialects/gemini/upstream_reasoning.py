"""How a request says how much the model shall reason: `thinkingConfig`.

Source: Google, "Gemini thinking" and "OpenAI compatibility" (reasoning efforts and their levels and budgets).
"""

from typing import Any, Final

from intellirouter.core import LossReport, Profile
from intellirouter.dialects.adapt.reasoning_effort import effort_of
from intellirouter.dialects.gemini.wire import DIALECT
from intellirouter.dialects.ir import Conversation, ReasoningConfig

_BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEVELS: Final = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_ORDER: Final = ("minimal", "low", "medium", "high")
_DYNAMIC: Final = -1
"""The model decides."""


def thinking_config(conversation: Conversation, profile: Profile, losses: LossReport) -> dict[str, Any]:
    """Return `thinkingConfig`; empty when the client asks for nothing."""
    ask = conversation.reasoning
    if ask is None:
        return {}
    config: dict[str, Any] = {}
    if conversation.dialect == DIALECT:
        config = dict(ask.extras)
        if ask.budget_tokens is not None:
            config["thinkingBudget"] = ask.budget_tokens
        if ask.effort:
            config["thinkingLevel"] = ask.effort.upper()
    elif profile.reasoning == "level":
        config = _level(ask, profile, losses)
    elif profile.reasoning == "budget":
        config = _budget(ask, profile, losses)
    elif _asks_for_thought(ask):
        losses.dropped("reasoning")
        return {}
    if ask.is_visible is not None and _can_show(conversation, profile):
        config["includeThoughts"] = ask.is_visible
    return config


def _can_show(conversation: Conversation, profile: Profile) -> bool:
    return profile.reasoning in {"level", "budget"} or conversation.dialect == DIALECT


def _asks_for_thought(ask: ReasoningConfig) -> bool:
    if _is_off(ask):
        return False
    return bool(ask.effort or ask.budget_tokens or ask.is_enabled or ask.is_adaptive)


def _is_off(ask: ReasoningConfig) -> bool:
    return ask.is_enabled is False or ask.effort == "none" or ask.budget_tokens == 0


def _level(ask: ReasoningConfig, profile: Profile, losses: LossReport) -> dict[str, Any]:
    if _is_off(ask):
        level = profile.reasoning_levels[0]
        losses.add("reasoning", "clamped", level)
    elif ask.effort:
        level = _level_of_effort(ask.effort, profile, losses)
    elif ask.budget_tokens is not None and ask.budget_tokens > 0:
        level = effort_of(ask.budget_tokens)
        losses.add("reasoning", "converted", level)
    else:
        return {}  # the model decides by itself
    return {"thinkingLevel": level.upper()}


def _level_of_effort(effort: str, profile: Profile, losses: LossReport) -> str:
    """Return the level of an effort. Where the model lacks it, the next higher one, as Google's own layer does."""
    wanted = _ORDER.index(_LEVELS.get(effort, "high"))
    known = profile.reasoning_levels
    level = next((each for each in known if _ORDER.index(each) >= wanted), known[-1])
    if level != effort:
        losses.add("reasoning", "clamped", level)
    return level


def _budget(ask: ReasoningConfig, profile: Profile, losses: LossReport) -> dict[str, Any]:
    if _is_off(ask):
        wanted = 0
    elif ask.budget_tokens is not None:
        wanted = ask.budget_tokens
    elif ask.effort:
        wanted = _BUDGETS.get(ask.effort, _BUDGETS["high"])
        losses.add("reasoning", "converted", str(wanted))
    elif ask.is_enabled or ask.is_adaptive:
        wanted = _DYNAMIC
    else:
        return {}
    budget = _within(wanted, profile)
    if budget != wanted:
        losses.add("reasoning", "clamped", str(budget))
    return {"thinkingBudget": budget}


def _within(budget: int, profile: Profile) -> int:
    """Return the budget within the range that the model takes."""
    if budget < 0:
        return _DYNAMIC
    if budget == 0 and profile.can_stop_reasoning:
        return 0
    budget = max(budget, profile.min_reasoning_tokens)
    return budget if profile.max_reasoning_tokens is None else min(budget, profile.max_reasoning_tokens)
