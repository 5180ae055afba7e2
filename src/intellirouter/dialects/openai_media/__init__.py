"""Surfaces that are relayed and never translated: moderations, images, audio, rerank. JSON or multipart forms in.

Source: OpenAI API reference (Moderations, Images, Audio); Cohere "Rerank" and Jina "Reranker" for `rerank`.
"""

from intellirouter.dialects.openai_media.forms import Form, FormPart, read_form
from intellirouter.dialects.openai_media.lanes import MEDIA_LANES, MediaLane

__all__ = ["MEDIA_LANES", "Form", "FormPart", "MediaLane", "read_form"]
