"""Surfaces that are relayed and never translated: moderations, images, audio, rerank. JSON or multipart forms in.

Door: `MEDIA_LANES` by surface (each decodes its clients' requests, and is its own lane), `Form`, `FormPart`,
`read_form`.
Between equals: `lanes`, `forms`, `raw_stream`, `usage`.
Source: OpenAI API reference (Moderations, Images, Audio); Cohere "Rerank" and Jina "Reranker" for `rerank`.
"""

from intellirouter.dialects.openai_media.forms import Form, FormPart, read_form
from intellirouter.dialects.openai_media.lanes import MEDIA_LANES

__all__ = ["MEDIA_LANES", "Form", "FormPart", "read_form"]
