"""How much the model shall think, in the words that the upstream's model understands.

Effort to budget (models before 4.6): minimal 1024, low 2048, medium 8192, high 16384, xhigh 24576, max 32768 tokens.
Budget to effort (adaptive models): up to 2048 low, up to 8192 medium, up to 24576 high, more max.
A budget is at least 1024 and leaves a quarter of `max_tokens` for the answer; where that cannot be, there is no
thinking. Thinking also gives way to a forced tool, and to a tool loop whose thoughts did not come back: the API
refuses both. What gives way is reported, never the tool.
"""

from typing import Any, Final

from msgspec import Struct

from intellirouter.core import LossReport, Profile
from intellirouter.dialects.ir import Conversation, ReasoningConfig

DEFAULT_MAX_TOKENS: Final = 8192
"""Sent where the client sets no limit, beside the thinking budget: Anthropic's API demands one."""
_MIN_BUDGET: Final = 1024
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
_EFFORTS: Final = ((2048, "low"), (8192, "medium"), (24576, "high"))
_FIELD: Final = "reasoning"


class Thoughts(Struct, kw_only=True):
    """What to send."""

    config: dict[str, Any] | None = None
    """`thinking`."""
    effort: str = ""
    """`output_config.effort`."""
    max_tokens: int

    @property
    def are_on(self) -> bool:
        return self.config is not None and self.config["type"] in {"enabled", "adaptive"}


class Obstacles(Struct, frozen=True, kw_only=True):
    """What the API does not allow beside thinking."""

    has_forced_tool: bool = False
    lacks_thoughts: bool = False


def own_thoughts(conversation: Conversation) -> Thoughts:
    """Say again what a client of this very dialect asked for."""
    ask, asked_max = conversation.reasoning, conversation.sampling.max_output_tokens
    thoughts = Thoughts(max_tokens=DEFAULT_MAX_TOKENS if asked_max is None else asked_max)
    if ask is None:
        return thoughts
    thoughts.effort = ask.effort
    if ask.is_enabled is not None:
        kind = "adaptive" if ask.is_adaptive else "enabled" if ask.is_enabled else "disabled"
        config: dict[str, Any] = {"type": kind}
        if ask.budget_tokens is not None:
            config["budget_tokens"] = ask.budget_tokens
        if ask.is_visible is not None:
            config["display"] = "summarized" if ask.is_visible else "omitted"
        thoughts.config = config | ask.extras
    return thoughts


def thoughts_for(conversation: Conversation, profile: Profile, obstacles: Obstacles, losses: LossReport) -> Thoughts:
    """Translate what a client of another dialect asked for. A model of which nothing is known takes a budget."""
    ask, asked_max = conversation.reasoning, conversation.sampling.max_output_tokens
    thoughts = Thoughts(max_tokens=DEFAULT_MAX_TOKENS if asked_max is None else asked_max)
    if asked_max is None:
        losses.add("max_output_tokens", "converted", str(DEFAULT_MAX_TOKENS))
    if ask is None:
        return thoughts
    if is_off(ask):
        _switch_off(thoughts, profile, losses)
    elif not _is_on(ask):
        pass
    elif profile.reasoning == "none":
        losses.add(_FIELD, "dropped", "this model does not think")
    elif profile.reasoning in {"budget", "unknown"}:
        _with_budget(thoughts, ask, obstacles, losses, has_limit=asked_max is not None)
    else:
        _adaptive(thoughts, ask, profile, losses)
        if obstacles.has_forced_tool and profile.reasoning != "always":
            thoughts.config = None
            losses.add(_FIELD, "dropped", "a tool is forced")
    return thoughts


def is_off(ask: ReasoningConfig) -> bool:
    return ask.is_enabled is False or ask.effort == "none" or (ask.budget_tokens == 0 and not ask.effort)


def _is_on(ask: ReasoningConfig) -> bool:
    says_how = ask.effort or ask.budget_tokens is not None or ask.summary
    return bool(says_how or ask.is_enabled or ask.is_adaptive or ask.is_visible)


def _switch_off(thoughts: Thoughts, profile: Profile, losses: LossReport) -> None:
    if profile.reasoning == "always":
        losses.add(_FIELD, "dropped", "this model always thinks")
    elif profile.reasons_by_default:
        thoughts.config = {"type": "disabled"}


def _with_budget(
    thoughts: Thoughts, ask: ReasoningConfig, obstacles: Obstacles, losses: LossReport, *, has_limit: bool
) -> None:
    if obstacles.has_forced_tool or obstacles.lacks_thoughts:
        why = "a tool is forced" if obstacles.has_forced_tool else "the thoughts before the tool call are missing"
        losses.add(_FIELD, "dropped", why)
        return
    asked = ask.budget_tokens if ask.budget_tokens is not None and ask.budget_tokens > 0 else None
    budget = asked or _BUDGETS.get(ask.effort, _BUDGETS["medium"])
    how = "converted" if asked is None else "clamped"
    if has_limit and budget >= thoughts.max_tokens:
        budget = thoughts.max_tokens - max(1, thoughts.max_tokens // 4)
        if budget < _MIN_BUDGET:
            losses.add(_FIELD, "dropped", "max_tokens leaves no room for it")
            return
        losses.add(_FIELD, "clamped", "budget_tokens below max_tokens")
    elif budget < _MIN_BUDGET:
        budget = _MIN_BUDGET
        losses.add(_FIELD, "clamped", str(_MIN_BUDGET))
    elif how == "converted":
        losses.add(_FIELD, "converted", "budget_tokens")
    if not has_limit:
        thoughts.max_tokens = DEFAULT_MAX_TOKENS + budget
    thoughts.config = {"type": "enabled", "budget_tokens": budget}
    if ask.is_visible is False:
        thoughts.config["display"] = "omitted"


def _adaptive(thoughts: Thoughts, ask: ReasoningConfig, profile: Profile, losses: LossReport) -> None:
    effort = ask.effort
    if not effort and ask.budget_tokens is not None and ask.budget_tokens > 0:
        effort = next((word for most, word in _EFFORTS if ask.budget_tokens <= most), "max")
        losses.add(_FIELD, "converted", "effort")
    elif effort == "minimal":
        effort = "low"
        losses.add(_FIELD, "clamped", "low")
    elif effort == "xhigh" and not profile.has_xhigh_effort:
        effort = "high"
        losses.add(_FIELD, "clamped", "high")
    thoughts.effort = effort
    thoughts.config = {"type": "adaptive"}
    if ask.summary or ask.is_visible is not None:
        thoughts.config["display"] = "summarized" if ask.summary or ask.is_visible else "omitted"
