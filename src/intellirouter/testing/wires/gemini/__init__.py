"""Google's Gemini API with the paths of AI Studio and Vertex AI, as strict as the real API.

Door: `GeminiApi`.
"""

from intellirouter.testing.wires.gemini.api import GeminiApi

__all__ = ["GeminiApi"]
