"""Anthropic's Messages API, as strict as the real API.

Door: `AnthropicApi`.
"""

from intellirouter.testing.wires.anthropic.api import AnthropicApi

__all__ = ["AnthropicApi"]
