"""Google's Gemini API, on AI Studio's paths and on Vertex', as strict as the real one.

Door: `GeminiApi`.
"""

from intellirouter.testing.wires.gemini.api import GeminiApi

__all__ = ["GeminiApi"]
