"""Media URLs are replaced by their content for upstreams that only take bytes."""

import pytest

from intellirouter.core import Loss, LossReport
from intellirouter.core.errors import InvalidRequest
from intellirouter.dialects.adapt.inline_media import urls_to_fetch, with_fetched
from intellirouter.dialects.ir import Conversation, Media, Message, Source, Text, ToolResult

URL = "https://images.example/a.png"


def media(url: str, kind: str = "image") -> Media:
    return Media(kind=kind, source=Source(url=url), detail="low")  # type: ignore[arg-type]


def conversation(*parts: Text | Media | ToolResult) -> Conversation:
    return Conversation(dialect="openai_chat", model="m", messages=[Message(role="user", parts=list(parts))])


def test_only_http_urls_of_unsupported_kinds_are_fetched() -> None:
    original = conversation(
        Text(text="x"),
        media(URL),
        media(URL),
        media("gs://bucket/a.png"),
        media("https://www.youtube.com/watch?v=x", "video"),
        media("HTTP://b.example/c.pdf", "document"),
        ToolResult(call_id="c", parts=[media("http://d.example/e.png")]),
        Media(kind="image", source=Source(data="AAAA")),
    )
    everything = [URL, "HTTP://b.example/c.pdf", "http://d.example/e.png"]
    assert urls_to_fetch(original, frozenset()) == everything
    assert urls_to_fetch(original, frozenset({"image"})) == ["HTTP://b.example/c.pdf"]


def test_fetched_content_replaces_the_url_and_is_reported() -> None:
    losses = LossReport()
    original = conversation(media(URL), ToolResult(call_id="c", parts=[media(URL)]))
    changed = with_fetched(original, {URL: ("image/png", "QUJD")}, losses)
    expected = Media(kind="image", source=Source(data="QUJD", media_type="image/png"), detail="low")
    assert changed.messages[0].parts == [expected, ToolResult(call_id="c", parts=[expected])]
    assert original.messages[0].parts[0] == media(URL)  # the original is unchanged
    assert losses.taken() == (Loss("messages[].content[].url", "emulated", "fetched by the gateway"),)
    assert urls_to_fetch(changed, frozenset()) == []


@pytest.mark.parametrize("media_type", ["", "application/octet-stream"])
def test_an_unspecific_media_type_is_detected_by_the_first_bytes(media_type: str) -> None:
    changed = with_fetched(conversation(media(URL)), {URL: (media_type, "iVBORw0KGgo=")}, LossReport())
    part = changed.messages[0].parts[0]
    assert isinstance(part, Media)
    assert part.source.media_type == "image/png"


def test_a_web_page_instead_of_an_image_is_rejected() -> None:
    with pytest.raises(InvalidRequest, match=r"must lead to content of type image/\*, but its type is text/html"):
        with_fetched(conversation(media(URL)), {URL: ("text/html", "PGh0bWw+")}, LossReport())


def test_without_fetched_content_the_conversation_is_unchanged() -> None:
    losses = LossReport()
    original = conversation(media(URL))
    assert with_fetched(original, {}, losses) is original
    assert losses.taken() == ()
