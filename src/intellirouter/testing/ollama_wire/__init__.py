"""Ollama's own API.

Door: `OllamaApi`.
"""

from intellirouter.testing.ollama_wire.api import OllamaApi

__all__ = ["OllamaApi"]
