"""Anthropic's messages API, as strict as the real one.

Door: `AnthropicApi`.
"""

from intellirouter.testing.wires.anthropic.api import AnthropicApi

__all__ = ["AnthropicApi"]
