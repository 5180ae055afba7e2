"""OpenAI's API, and OpenAI's models as Azure serves them. Chat completions and embeddings are in `intellirouter.fake`.

Door: `OpenAiApi`, `AzureApi`, and `open_session` for WebSockets on `REALTIME_PATHS`.
"""

from intellirouter.testing.wires.openai.api import OpenAiApi
from intellirouter.testing.wires.openai.azure import AzureApi
from intellirouter.testing.wires.openai.realtime import PATHS as REALTIME_PATHS
from intellirouter.testing.wires.openai.realtime import open_session

__all__ = ["REALTIME_PATHS", "AzureApi", "OpenAiApi", "open_session"]
