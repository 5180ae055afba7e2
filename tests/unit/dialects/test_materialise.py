"""Media by URL become data where the upstream wants bytes."""

import pytest

from intellirouter.core import Loss, LossReport
from intellirouter.core.errors import InvalidRequest
from intellirouter.dialects.adapt.inline_media import urls_to_fetch, with_fetched
from intellirouter.dialects.ir import Conversation, Media, Message, Source, Text, ToolResult

URL = "https://pictures.example/a.png"


def media(url: str, kind: str = "image") -> Media:
    return Media(kind=kind, source=Source(url=url), detail="low")  # type: ignore[arg-type]


def conversation(*parts: Text | Media | ToolResult) -> Conversation:
    return Conversation(dialect="openai_chat", model="m", messages=[Message(role="user", parts=list(parts))])


def test_only_web_addresses_of_kinds_that_are_not_taken_are_fetched() -> None:
    asked = conversation(
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
    assert urls_to_fetch(asked, frozenset()) == everything
    assert urls_to_fetch(asked, frozenset({"image"})) == ["HTTP://b.example/c.pdf"]


def test_what_was_fetched_takes_the_place_of_the_url_and_is_said() -> None:
    losses = LossReport()
    asked = conversation(media(URL), ToolResult(call_id="c", parts=[media(URL)]))
    changed = with_fetched(asked, {URL: ("image/png", "QUJD")}, losses)
    expected = Media(kind="image", source=Source(data="QUJD", media_type="image/png"), detail="low")
    assert changed.messages[0].parts == [expected, ToolResult(call_id="c", parts=[expected])]
    assert asked.messages[0].parts[0] == media(URL)  # the original is read-only
    assert losses.taken() == (Loss("messages[].content[].url", "emulated", "fetched by the gateway"),)
    assert urls_to_fetch(changed, frozenset()) == []


@pytest.mark.parametrize("media_type", ["", "application/octet-stream"])
def test_what_its_server_does_not_know_is_known_by_its_first_bytes(media_type: str) -> None:
    changed = with_fetched(conversation(media(URL)), {URL: (media_type, "iVBORw0KGgo=")}, LossReport())
    part = changed.messages[0].parts[0]
    assert isinstance(part, Media)
    assert part.source.media_type == "image/png"


def test_a_web_page_is_no_picture() -> None:
    with pytest.raises(InvalidRequest, match=r"must lead to content of type image/\*, but its type is text/html"):
        with_fetched(conversation(media(URL)), {URL: ("text/html", "PGh0bWw+")}, LossReport())


def test_nothing_fetched_changes_nothing() -> None:
    losses = LossReport()
    asked = conversation(media(URL))
    assert with_fetched(asked, {}, losses) is asked
    assert losses.taken() == ()
