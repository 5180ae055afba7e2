"""Writes media of a request: base64 data, or a URI if Google can read it."""

from typing import Any, Final

from intellirouter.core import LossReport, errors
from intellirouter.dialects.gemini.client_contents import is_google_file
from intellirouter.dialects.gemini.wire import DIALECT
from intellirouter.dialects.ir import Conversation, Media, Source

_DEFAULT_MEDIA_TYPES: Final = {
    "image": "image/jpeg",
    "audio": "audio/wav",
    "video": "video/mp4",
    "document": "application/pdf",
}
"""Media types by kind, for media without a media type."""
_FILES_API_URL: Final = "https://generativelanguage.googleapis.com/v1beta/"


def write_media(part: Media, conversation: Conversation, losses: LossReport) -> dict[str, Any]:
    """Write one part. Raises `UnsupportedFeature` for a file that Google cannot read."""
    if part.detail in {"low", "high"}:
        losses.dropped("messages[].content[].detail")
    if part.has_citations:
        losses.dropped("messages[].content[].citations")
    source = part.source
    if source.text is not None:
        losses.add("messages[].content[].document", "converted", "text")
        heading = "\n".join(text for text in (part.name, part.context) if text)
        return {"text": f"{heading}\n\n{source.text}" if heading else source.text}
    if part.context:
        losses.dropped("messages[].content[].context")
    written = _write_inline_data(part) if source.data is not None else _write_file_data(part, conversation, losses)
    if part.name:
        if conversation.dialect == DIALECT:
            next(iter(written.values()))["displayName"] = part.name
        else:
            losses.dropped("messages[].content[].name")
    if conversation.dialect == DIALECT:
        written.update({name: value for name, value in part.extras.items() if name not in written})
    return written


def _write_inline_data(part: Media) -> dict[str, Any]:
    media_type = part.source.media_type or _DEFAULT_MEDIA_TYPES[part.kind]
    return {"inlineData": {"mimeType": media_type, "data": part.source.data}}


def _write_file_data(part: Media, conversation: Conversation, losses: LossReport) -> dict[str, Any]:
    uri = _find_uri(part.source, is_same_dialect=conversation.dialect == DIALECT)
    if uri is None:
        reference = "file id" if part.source.file_id is not None else "URL"
        raise errors.UnsupportedFeature(
            f"Gemini cannot read media ({part.kind}) from this {reference}.",
            param=losses.name_of("messages"),
            hint="Send base64 data, or a URI of Google Cloud Storage (gs://…), the Files API or YouTube.",
        )
    data = {"fileUri": uri}
    media_type = part.source.media_type or ("" if is_google_file(uri) else _DEFAULT_MEDIA_TYPES[part.kind])
    if media_type:
        data["mimeType"] = media_type
    return {"fileData": data}


def _find_uri(source: Source, *, is_same_dialect: bool) -> str | None:
    uri = source.url or source.file_id or ""
    if uri.startswith("files/"):
        return _FILES_API_URL + uri
    return uri if is_same_dialect or uri.startswith("gs://") or is_google_file(uri) else None
