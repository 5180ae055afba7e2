"""Media by URL for upstreams that take bytes only: which URLs to fetch, and the form with the bytes in their place.

Fetching itself is I/O and guarded against requests into private networks; it is the pipeline's, through a port.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import structs

from intellirouter.core import LossReport, errors
from intellirouter.dialects.ir import Conversation, Media, Message, Part, ToolResult
from intellirouter.dialects.wire.media_types import media_type_of

_FILM_PAGES: Final = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/")


_UNTOLD: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""Types that servers give to what they do not know."""
_CHECKED: Final = frozenset({"image", "audio", "video"})


def urls_to_fetch(conversation: Conversation, taken: frozenset[str]) -> list[str]:
    """Return the http(s) URLs of media whose kinds are not in `taken`, in order, each once."""
    return list(dict.fromkeys(_urls(conversation, taken)))


def _urls(conversation: Conversation, taken: frozenset[str]) -> Iterator[str]:
    for message in conversation.messages:
        for part in message.parts:
            for media in part.parts if isinstance(part, ToolResult) else (part,):
                if isinstance(media, Media) and media.kind not in taken and _is_web(media.source.url):
                    yield media.source.url or ""


def _is_web(url: str | None) -> bool:
    if url is None or not url[:8].lower().startswith(("http://", "https://")):
        return False
    # A film's page holds no film; the vendor that can read it takes the address.
    return not url.lower().startswith(_FILM_PAGES)


def with_fetched(
    conversation: Conversation, fetched: Mapping[str, tuple[str, str]], losses: LossReport
) -> Conversation:
    """Return the conversation with what was fetched (URL → media type, base64) in place of the URLs.

    Raises `InvalidRequest` for a web page in the place of a picture.
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
    if media_type in _UNTOLD:
        media_type = media_type_of(data)
    if media_type and part.kind in _CHECKED and not media_type.startswith(f"{part.kind}/"):
        raise errors.InvalidRequest(
            f"The URL {(part.source.url or '')[:200]} leads to {media_type[:100]}, which is no {part.kind}.",
            code="invalid_url",
            hint="Check the address, or send the content itself, as a data: URL.",
        )
    source = structs.replace(part.source, url=None, data=data, media_type=media_type or part.source.media_type)
    return structs.replace(part, source=source)
