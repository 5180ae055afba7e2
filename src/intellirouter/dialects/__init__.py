"""Wire codecs: pure, no I/O. Bytes of a dialect become values, values become bytes of a dialect.

Door: `CODECS` (by surface), the `Codec`, `StreamRelay` and `Answer` shapes, error rendering, SSE, JSON bounds.
A codec knows nothing of providers, keys or deployments beyond what it is handed.
"""

from typing import Final

from intellirouter.core import Surface
from intellirouter.dialects.codec import Answer, Codec, StreamRelay
from intellirouter.dialects.limits import check_depth
from intellirouter.dialects.openai_chat import OpenAIChatCodec
from intellirouter.dialects.openai_embeddings import OpenAIEmbeddingsCodec
from intellirouter.dialects.openai_errors import encode_error, encode_error_event
from intellirouter.dialects.sse import SseEvent, SseParser

CODECS: Final[dict[Surface, Codec]] = {"chat": OpenAIChatCodec(), "embeddings": OpenAIEmbeddingsCodec()}

__all__ = [
    "CODECS",
    "Answer",
    "Codec",
    "SseEvent",
    "SseParser",
    "StreamRelay",
    "check_depth",
    "encode_error",
    "encode_error_event",
]
