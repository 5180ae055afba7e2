"""Writes images, audio, video and documents for Converse: as base64 data, or as an S3 location."""

import base64
import re
from typing import Any, Final

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.ir import Media
from intellirouter.dialects.wire.media_types import is_textual, media_type_of

_IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENTS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_VIDEOS: Final = {
    "video/x-matroska": "mkv",
    "video/quicktime": "mov",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_AUDIO: Final = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/opus": "opus",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp4": "mp4",
    "audio/ogg": "ogg",
    "audio/m4a": "m4a",
    "audio/webm": "webm",
    "audio/pcm": "pcm",
}
_FORMATS: Final = {"image": _IMAGES, "document": _DOCUMENTS, "video": _VIDEOS, "audio": _AUDIO}
_INVALID_NAME_CHARS: Final = re.compile(r"[^a-zA-Z0-9 ()\[\]-]+")
_MULTIPLE_SPACES: Final = re.compile(r" {2,}")
_MAX_NAME_CHARS: Final = 190


class MediaWriter:
    """Writes the media of one request. Documents get unique names, which Converse requires."""

    def __init__(self, deployment: Deployment, losses: LossReport) -> None:
        self._deployment = deployment
        self._losses = losses
        self._used_names: set[str] = set()

    def write(self, part: Media) -> dict[str, Any]:
        if part.detail and part.detail != "auto":
            self._losses.dropped("messages[].content[].detail")
        written: dict[str, Any] = {"format": self._find_format(part), "source": self._write_source(part)}
        if part.kind == "document":
            written["name"] = self._unique_name(part.name)
            if part.context:
                written["context"] = part.context
            if part.has_citations:
                written["citations"] = {"enabled": True}
        return {part.kind: written}

    def _find_format(self, part: Media) -> str:
        source = part.source
        if source.text is not None:
            return "txt"
        media_type = source.media_type.partition(";")[0].strip().lower() or media_type_of(source.data or "")
        format_ = _FORMATS[part.kind].get(media_type)
        if format_ is None and source.url is not None:
            extension = source.url.rpartition(".")[2].lower().replace("jpg", "jpeg").replace("3gp", "three_gp")
            format_ = extension if extension in _FORMATS[part.kind].values() else None
        if format_ is None and part.kind == "document" and is_textual(media_type):
            self._losses.add("messages[].content[].file", "converted", "plain text")
            format_ = "txt"
        if format_ is None:
            raise self._unsupported(f"media ({part.kind}) of type {media_type[:60] or 'unknown'}")
        return format_

    def _write_source(self, part: Media) -> dict[str, Any]:
        source = part.source
        if source.text is not None:
            return {"bytes": base64.b64encode(source.text.encode()).decode()}
        if source.data:
            return {"bytes": source.data}
        if source.url is not None and source.url.startswith("s3://"):
            return {"s3Location": {"uri": source.url}}
        raise self._unsupported(f"a URL or file id for media ({part.kind})", "Send base64 data or an s3:// URL.")

    def _unsupported(self, content: str, hint: str | None = None) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} (Bedrock) does not support {content}.",
            param=self._losses.name_of("messages"),
            hint=hint,
        )

    def _unique_name(self, name: str) -> str:
        """Return a valid name that no other document of the request has."""
        sanitized = _MULTIPLE_SPACES.sub(" ", _INVALID_NAME_CHARS.sub("-", name)).strip(" -")
        sanitized = sanitized[:_MAX_NAME_CHARS] or "document"
        unique, number = sanitized, 2
        while unique in self._used_names:
            unique, number = f"{sanitized} {number}", number + 1
        self._used_names.add(unique)
        return unique
