"""Conversion of reasoning budgets to efforts."""

from typing import Final

_LOW_BUDGET: Final = 1024
_MEDIUM_BUDGET: Final = 8192


def effort_of(budget_tokens: int) -> str:
    """Return the effort for a reasoning budget: `low` up to 1024 tokens, `medium` up to 8192, `high` for more.

    These are the budgets that Gemini's OpenAI-compatible endpoint documents for the three efforts.
    """
    if budget_tokens <= _LOW_BUDGET:
        return "low"
    return "medium" if budget_tokens <= _MEDIUM_BUDGET else "high"
