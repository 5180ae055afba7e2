"""Endpoints that are never translated: moderations, images, audio, rerank. Their requests are JSON or forms.

Door: `SPEC`; `MEDIA_PASSTHROUGHS` by endpoint (each decodes its clients' requests, and is its own route); `Form`,
`FormPart`, `read_form`.
Same dialect on both sides: `passthrough`, `forms`, `raw_stream`, `usage`.
Source: OpenAI API reference (Moderations, Images, Audio); Cohere "Rerank" and Jina "Reranker" for `rerank`.
"""

from typing import Final

from intellirouter.dialects.openai.client_errors import OpenAIErrors
from intellirouter.dialects.openai_media.forms import Form, FormPart, read_form
from intellirouter.dialects.openai_media.passthrough import MEDIA_PASSTHROUGHS
from intellirouter.dialects.spec import DialectSpec, PassthroughEndpoint

_PATHS: Final = {
    "openai_moderations": ("/v1/moderations",),
    "rerank": ("/v1/rerank", "/v2/rerank"),
    "openai_images": ("/v1/images/generations",),
    "openai_image_edits": ("/v1/images/edits",),
    "openai_image_variations": ("/v1/images/variations",),
    "openai_speech": ("/v1/audio/speech",),
    "openai_transcriptions": ("/v1/audio/transcriptions",),
    "openai_translations": ("/v1/audio/translations",),
}
SPEC: Final = DialectSpec(
    name="openai_chat",
    title="OpenAI",
    errors=OpenAIErrors(),
    endpoints=tuple(
        PassthroughEndpoint(
            name=name,
            operation=each.operation,
            paths=_PATHS[name],
            client=each,
            route=each,
            is_json=not each.is_form,
            header_names=frozenset({b"content-type"}) if each.is_form else frozenset(),
        )
        for name, each in MEDIA_PASSTHROUGHS.items()
    ),
)

__all__ = ["MEDIA_PASSTHROUGHS", "SPEC", "Form", "FormPart", "read_form"]
