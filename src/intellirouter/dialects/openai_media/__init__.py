"""Surfaces that are relayed and never translated: moderations, images, audio, rerank. JSON or multipart forms in.

Door: `MEDIA_PASSTHROUGHS` by operation (each decodes its clients' requests, and is its own route), `Form`, `FormPart`,
`read_form`.
Between equals: `routes`, `forms`, `raw_stream`, `usage`.
Source: OpenAI API reference (Moderations, Images, Audio); Cohere "Rerank" and Jina "Reranker" for `rerank`.
"""

from intellirouter.dialects.openai_media.forms import Form, FormPart, read_form
from intellirouter.dialects.openai_media.passthrough import MEDIA_PASSTHROUGHS, MediaPassthrough

__all__ = ["MEDIA_PASSTHROUGHS", "Form", "FormPart", "MediaPassthrough", "read_form"]
