"""Media URLs for upstreams that only take bytes: which URLs to fetch, and the conversation with their content.

The pipeline does the fetching through a port, which protects against requests into private networks.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import structs

from intellirouter.core import LossReport, errors
from intellirouter.dialects.ir import Conversation, Media, Message, Part, ToolResult
from intellirouter.dialects.wire.media_types import media_type_of

_VIDEO_PAGES: Final = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/")
_UNSPECIFIC_TYPES: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""The types that servers use for content whose type they do not know."""
_CHECKED: Final = frozenset({"image", "audio", "video"})


def urls_to_fetch(conversation: Conversation, url_kinds: frozenset[str]) -> list[str]:
    """Return the http(s) URLs of media whose kinds are not in `url_kinds`, in order and without duplicates."""
    return list(dict.fromkeys(_urls(conversation, url_kinds)))


def _urls(conversation: Conversation, url_kinds: frozenset[str]) -> Iterator[str]:
    for message in conversation.messages:
        for part in message.parts:
            for media in part.parts if isinstance(part, ToolResult) else (part,):
                if isinstance(media, Media) and media.kind not in url_kinds and _can_be_fetched(media.source.url):
                    yield media.source.url or ""


def _can_be_fetched(url: str | None) -> bool:
    if url is None or not url[:8].lower().startswith(("http://", "https://")):
        return False
    # The page of a video is not the video. Vendors that support these pages take the URL.
    return not url.lower().startswith(_VIDEO_PAGES)


def with_fetched(
    conversation: Conversation, fetched: Mapping[str, tuple[str, str]], losses: LossReport
) -> Conversation:
    """Return the conversation with the fetched content (URL → media type, base64) in place of the URLs.

    Raises `InvalidRequest` if the content is of another kind, such as a web page instead of an image.
    """
    messages = [_message(message, fetched) for message in conversation.messages]
    if messages == conversation.messages:
        return conversation
    losses.add("messages[].content[].url", "emulated", "fetched by the gateway")
    return structs.replace(conversation, messages=messages)


def _message(message: Message, fetched: Mapping[str, tuple[str, str]]) -> Message:
    return structs.replace(message, parts=[_part(part, fetched) for part in message.parts])


def _part(part: Part, fetched: Mapping[str, tuple[str, str]]) -> Part:
    match part:
        case Media():
            return _media(part, fetched)
        case ToolResult():
            parts = [_media(each, fetched) if isinstance(each, Media) else each for each in part.parts]
            return structs.replace(part, parts=parts)
        case _:
            return part


def _media(part: Media, fetched: Mapping[str, tuple[str, str]]) -> Media:
    found = fetched.get(part.source.url or "")
    if found is None:
        return part
    media_type, data = found
    if media_type in _UNSPECIFIC_TYPES:
        media_type = media_type_of(data)
    if media_type and part.kind in _CHECKED and not media_type.startswith(f"{part.kind}/"):
        raise errors.InvalidRequest(
            f"The URL {(part.source.url or '')[:200]} must lead to content of type {part.kind}/*, "
            f"but its type is {media_type[:100]}.",
            code="invalid_url",
            hint="Check the URL, or send the content itself as a data URL.",
        )
    source = structs.replace(part.source, url=None, data=data, media_type=media_type or part.source.media_type)
    return structs.replace(part, source=source)
