"""Media for an upstream: bytes inline, addresses only where Google can read them."""

from typing import Any, Final

from intellirouter.core import LossReport, errors
from intellirouter.dialects.gemini.client_contents import is_googles_own
from intellirouter.dialects.gemini.wire import DIALECT
from intellirouter.dialects.ir import Conversation, Media, Source

_MEDIA_TYPES: Final = {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}
"""What media are taken for when nobody says."""
_FILES_API: Final = "https://generativelanguage.googleapis.com/v1beta/"


def media_out(part: Media, conversation: Conversation, losses: LossReport) -> dict[str, Any]:
    """Write one part. Raises `UnsupportedFeature` for what only another vendor can read."""
    if part.detail in {"low", "high"}:
        losses.dropped("messages[].content[].detail")
    if part.has_citations:
        losses.dropped("messages[].content[].citations")
    source = part.source
    if source.text is not None:
        losses.add("messages[].content[].document", "converted", "text")
        about = "\n".join(text for text in (part.name, part.context) if text)
        return {"text": f"{about}\n\n{source.text}" if about else source.text}
    if part.context:
        losses.dropped("messages[].content[].context")
    found = _inline(part) if source.data is not None else _file(part, conversation, losses)
    if part.name:
        if conversation.dialect == DIALECT:
            next(iter(found.values()))["displayName"] = part.name
        else:
            losses.dropped("messages[].content[].name")
    if conversation.dialect == DIALECT:
        found.update({name: value for name, value in part.extras.items() if name not in found})
    return found


def _inline(part: Media) -> dict[str, Any]:
    media_type = part.source.media_type or _MEDIA_TYPES[part.kind]
    return {"inlineData": {"mimeType": media_type, "data": part.source.data}}


def _file(part: Media, conversation: Conversation, losses: LossReport) -> dict[str, Any]:
    uri = _uri_of(part.source, is_native=conversation.dialect == DIALECT)
    if uri is None:
        what = "file id" if part.source.file_id is not None else "address"
        raise errors.UnsupportedFeature(
            f"Gemini cannot read media ({part.kind}) by this {what}.",
            param=losses.name_of("messages"),
            hint="Send its bytes, or the URI of a file at Google (gs://…, the Files API, YouTube).",
        )
    data = {"fileUri": uri}
    media_type = part.source.media_type or ("" if is_googles_own(uri) else _MEDIA_TYPES[part.kind])
    if media_type:
        data["mimeType"] = media_type
    return {"fileData": data}


def _uri_of(source: Source, *, is_native: bool) -> str | None:
    uri = source.url or source.file_id or ""
    if uri.startswith("files/"):
        return _FILES_API + uri
    return uri if is_native or uri.startswith("gs://") or is_googles_own(uri) else None
