"""Ollama's own API.

Door: `OllamaApi`.
"""

from intellirouter.testing.wires.ollama.api import OllamaApi

__all__ = ["OllamaApi"]
