"""What Google documents about its models by name: generations, and how each is told how much to think.

Source: Google, "Gemini thinking" and "OpenAI compatibility" (reasoning efforts and their levels and budgets),
"Gemini 3 developer guide" (thought signatures, function responses with media, structured output beside functions).
"""

import re
from typing import Any, Final

from msgspec import Struct

from intellirouter.core import Deployment, LossReport
from intellirouter.dialects.adapt.reasoning_effort import effort_of
from intellirouter.dialects.gemini.wire import DIALECT
from intellirouter.dialects.ir import Conversation, ReasoningAsk

_NUMBER: Final = re.compile(r"gemini-(\d{1,3})(?:\.(\d{1,3}))?")
_LATEST: Final = re.compile(r"gemini-(?:[a-z-]+-)?latest")
_THINKS_BY_LEVEL: Final = (3, 0)
_THINKS_BY_BUDGET: Final = (2, 5)

_BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEVELS: Final = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_DYNAMIC: Final = -1


class ModelFacts(Struct, frozen=True):
    """Facts of one upstream model."""

    version: tuple[int, int] = (0, 0)
    """(0, 0): no Gemini model, or none that we know."""
    is_pro: bool = False
    is_lite: bool = False

    @property
    def thinks_by_level(self) -> bool:
        return self.version >= _THINKS_BY_LEVEL

    @property
    def thinks_by_budget(self) -> bool:
        return _THINKS_BY_BUDGET <= self.version < _THINKS_BY_LEVEL

    @property
    def wants_signatures(self) -> bool:
        """Function calls of the current turn must carry a thought signature."""
        return self.version >= _THINKS_BY_LEVEL

    @property
    def takes_media_in_results(self) -> bool:
        return self.version >= _THINKS_BY_LEVEL

    @property
    def lacks_json_beside_tools(self) -> bool:
        """Refuses a JSON answer and function declarations in one request."""
        return (0, 0) < self.version < _THINKS_BY_LEVEL


def context_of(model: str) -> ModelFacts:
    """Read what a model's name says."""
    name = model.rpartition("/")[2].lower()
    found = _NUMBER.match(name)
    if found is not None:
        version = (int(found[1]), int(found[2] or 0))
    elif _LATEST.match(name):
        version = _THINKS_BY_LEVEL  # aliases of the newest models
    else:
        return ModelFacts()
    return ModelFacts(version, "-pro" in name, "-lite" in name)


def resource_of(model: str) -> str:
    """Return the model's resource name below the API's root: `models/NAME`, `tunedModels/NAME`."""
    if "/models/" in model:
        model = model.rpartition("/models/")[2]
    name = model.removeprefix("models/")
    return name if name.startswith("tunedModels/") else f"models/{name}"


def is_vertex(deployment: Deployment) -> bool:
    """Tell whether this is Vertex AI, where some requests have another form."""
    url = deployment.address.base_url
    return "aiplatform.googleapis.com" in url or "/publishers/" in url


def thinking_config(conversation: Conversation, facts: ModelFacts, losses: LossReport) -> dict[str, Any]:
    """Write `thinkingConfig`; empty = not said."""
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
    elif facts.thinks_by_level:
        config = _level(ask, facts, losses)
    elif facts.thinks_by_budget:
        config = _budget(ask, facts, losses)
    elif _asks_for_thought(ask):
        losses.dropped("reasoning")
        return {}
    if ask.shows_thoughts is not None and _can_show(conversation, facts):
        config["includeThoughts"] = ask.shows_thoughts
    return config


def _can_show(conversation: Conversation, facts: ModelFacts) -> bool:
    return facts.thinks_by_level or facts.thinks_by_budget or conversation.dialect == DIALECT


def _asks_for_thought(ask: ReasoningAsk) -> bool:
    if _is_off(ask):
        return False
    return bool(ask.effort or ask.budget_tokens or ask.is_enabled or ask.is_adaptive)


def _is_off(ask: ReasoningAsk) -> bool:
    return ask.is_enabled is False or ask.effort == "none" or ask.budget_tokens == 0


def _level(ask: ReasoningAsk, facts: ModelFacts, losses: LossReport) -> dict[str, Any]:
    if _is_off(ask):
        level = "low" if facts.is_pro else "minimal"
        losses.add("reasoning", "clamped", level)
    elif ask.effort:
        level = _level_of_effort(ask.effort, facts, losses)
    elif ask.budget_tokens is not None and ask.budget_tokens > 0:
        level = effort_of(ask.budget_tokens)
        losses.add("reasoning", "converted", level)
    else:
        return {}  # the model decides by itself
    return {"thinkingLevel": level.upper()}


def _level_of_effort(effort: str, facts: ModelFacts, losses: LossReport) -> str:
    level = _LEVELS.get(effort, "high")
    if facts.is_pro and level == "minimal":
        level = "low"
    elif facts.is_pro and facts.version == _THINKS_BY_LEVEL and level == "medium":
        level = "high"  # as Google's own compatibility layer does: the model knows low and high
    if level != effort:
        losses.add("reasoning", "clamped", level)
    return level


def _budget(ask: ReasoningAsk, facts: ModelFacts, losses: LossReport) -> dict[str, Any]:
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
    budget = _within(wanted, facts)
    if budget != wanted:
        losses.add("reasoning", "clamped", str(budget))
    return {"thinkingBudget": budget}


def _within(budget: int, facts: ModelFacts) -> int:
    """Keep to the documented ranges: Pro 128 to 32768, Flash 0 to 24576, Flash-Lite 0 or 512 to 24576; -1 = dynamic."""
    if budget < 0:
        return _DYNAMIC
    if facts.is_pro:
        return min(max(budget, 128), 32768)
    if facts.is_lite and 0 < budget < 512:
        return 512
    return min(budget, 24576)
