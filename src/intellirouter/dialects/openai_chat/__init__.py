"""OpenAI chat completions: the fast lane between equals, and both sides of a translation."""

from intellirouter.dialects.openai_chat.fast_lane import OpenAIChatLane

__all__ = ["OpenAIChatLane"]
