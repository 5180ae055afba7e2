"""The media of a conversation with the types that they really have, before an encoder writes them for an upstream."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.ir import Conversation, Media, Message, Part, Source, ToolResult
from intellirouter.dialects.wire.media_types import clean_base64, document_type, normalized, resolved_type

_TYPE: Final = "messages[].content[].media_type"
_SVG: Final = "image/svg+xml"


def with_media_types(
    conversation: Conversation, deployment: Deployment, image_types: frozenset[str] | None, losses: LossReport
) -> Conversation:
    """Return the conversation with canonical media types, and with those that the bytes have if others were declared.

    `image_types`: the types of images that the upstream accepts; None: all but SVG, which no model reads. Raises
    `UnsupportedFeature` for other images.
    """
    pass_ = _Pass(deployment, image_types, losses)
    messages = [pass_.message(message) for message in conversation.messages]
    return structs.replace(conversation, messages=messages) if pass_.has_changed else conversation


class _Pass:
    def __init__(self, deployment: Deployment, image_types: frozenset[str] | None, losses: LossReport) -> None:
        self._deployment = deployment
        self._image_types = image_types
        self._losses = losses
        self.has_changed = False

    def message(self, message: Message) -> Message:
        parts = self._parts(message.parts)
        return message if parts is message.parts else structs.replace(message, parts=parts)

    def _parts(self, parts: Sequence[Part]) -> Any:
        """Return the parts; the same list if no part has changed."""
        changed: list[Part] | None = None
        for index, part in enumerate(parts):
            written: Part = part
            if part.__class__ is Media:
                written = self._media(part)
            elif part.__class__ is ToolResult:
                inner = self._parts(part.parts)
                written = part if inner is part.parts else structs.replace(part, parts=inner)
            if written is not part:
                changed = changed if changed is not None else list(parts)
                changed[index] = written
        self.has_changed = self.has_changed or changed is not None
        return parts if changed is None else changed

    def _media(self, part: Media) -> Media:
        source = part.source
        if source.text is not None:
            return part
        if source.data is not None:
            source = self._with_clean_data(part, source, source.data)
        declared = normalized(source.media_type)
        media_type = declared if source.data is None else resolved_type(declared, source.data, part.kind)
        if not media_type and part.kind == "document" and source.data is not None:
            media_type = document_type(part.name, source.data)
        kind = _kind_of(part, media_type)
        if kind == "image":
            self._check_image(media_type)
        if declared and media_type != declared:
            self._losses.add(_TYPE, "converted", media_type)
        if media_type == source.media_type and kind == part.kind and source is part.source:
            return part
        return structs.replace(part, kind=kind, source=structs.replace(source, media_type=media_type))

    def _with_clean_data(self, part: Media, source: Source, data: str) -> Source:
        """Return the source with base64 that every vendor accepts."""
        cleaned = clean_base64(data)
        if not cleaned:
            raise errors.InvalidRequest(
                f"The data of the {part.kind} is {'empty' if cleaned == '' else 'not valid base64'}.",
                code="invalid_base64",
                param=self._losses.name_of("messages"),
            )
        return source if cleaned == data else structs.replace(source, data=cleaned)

    def _check_image(self, media_type: str) -> None:
        types = self._image_types
        if not media_type.startswith("image/") or (media_type in types if types is not None else media_type != _SVG):
            return
        supported = "image/png" if types is None else ", ".join(sorted(types))
        raise errors.UnsupportedFeature(
            f"{self._deployment.name} does not accept images of type {media_type[:60]}.",
            param=self._losses.name_of("messages"),
            hint=f"Convert the image to a type that it accepts: {supported}.",
        )


def _kind_of(part: Media, media_type: str) -> Any:
    """Return the kind of a part whose content may be a PDF that was sent as an image, or the other way round."""
    if part.kind == "image" and media_type == "application/pdf":
        return "document"
    if part.kind == "document" and media_type.startswith("image/") and part.source.data is not None:
        return "image"
    return part.kind
