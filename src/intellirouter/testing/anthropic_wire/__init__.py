"""Anthropic's messages API, as strict as the real one.

Door: `AnthropicApi`.
"""

from intellirouter.testing.anthropic_wire.api import AnthropicApi

__all__ = ["AnthropicApi"]
