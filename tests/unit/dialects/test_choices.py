"""Several choices from several requests: frames, joined responses and joined streams."""

import pytest

from intellirouter.core import Usage
from intellirouter.core.errors import UpstreamMalformed
from intellirouter.dialects.adapt.choices import ChoicesDecoder, frame, join_responses, read_frames
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Event,
    Response,
    Stop,
    StreamEnded,
    StreamStarted,
    Text,
    TextDelta,
    UsageUpdate,
    collect,
)
from tests.support.dialects.raising import RaisingDecoder


class Lines:
    """A stream decoder for tests: one event per byte."""

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for byte in data.decode():
            match byte:
                case "b":
                    events.append(StreamStarted(id="one", model="m", usage=Usage(input_tokens=3)))
                case "u":
                    events.append(UsageUpdate(usage=Usage(input_tokens=3, output_tokens=2)))
                case ".":
                    events += [ChoiceFinished(stop=Stop(reason="stop")), StreamEnded()]
                case _:
                    events.append(TextDelta(text=byte))
        return events

    def end(self) -> list[Event]:
        return []


def test_frames_are_decoded_to_what_was_encoded() -> None:
    frames = [(0, b"abc"), (15, b""), (3, bytes(70_000))]
    assert list(read_frames(b"".join(frame(*each) for each in frames))) == frames


def test_complete_responses_are_joined_in_order() -> None:
    answers = [
        Response(id=f"r{n}", model="m", choices=[Choice(parts=[Text(text=str(n))])], usage=Usage(output_tokens=n))
        for n in (1, 2, 3)
    ]
    whole = join_responses(answers)
    assert whole.id == "r1"
    assert [choice.parts for choice in whole.choices] == [[Text(text="1")], [Text(text="2")], [Text(text="3")]]
    assert whole.usage == Usage(output_tokens=6)


def test_total_usage_is_unknown_if_one_response_has_none() -> None:
    assert join_responses([Response(usage=Usage(output_tokens=1)), Response()]).usage is None


@pytest.mark.parametrize("size", [1, 3, 7])
def test_frames_may_be_split_anywhere(size: int) -> None:
    frames = ((1, b"bxyz"), (0, b"ba"), (0, b"cu."), (1, b"yu."), (0, b""), (1, b""))
    wire = b"".join(frame(*each) for each in frames)
    whole, split = ChoicesDecoder([Lines(), Lines()]), ChoicesDecoder([Lines(), Lines()])
    events = [event for at in range(0, len(wire), size) for event in split.feed(wire[at : at + size])]
    assert events == whole.feed(wire)


def test_interleaved_streams_become_one_stream_with_several_choices() -> None:
    decoder = ChoicesDecoder([Lines(), Lines()])
    events: list[Event] = []
    for copy, data in ((1, b"bx"), (0, b"ba"), (0, b"cu."), (1, b"yu."), (0, b""), (1, b"")):
        events += decoder.feed(frame(copy, data))
    events += decoder.end()
    assert [event for event in events if isinstance(event, StreamStarted)] == [StreamStarted(id="one", model="m")]
    assert sum(isinstance(event, StreamEnded) for event in events) == 1
    assert isinstance(events[-1], StreamEnded)
    whole = collect(events)
    assert [choice.parts for choice in whole.choices] == [[Text(text="ac")], [Text(text="xy")]]
    assert whole.usage == Usage(input_tokens=6, output_tokens=4)


def test_a_copy_without_an_end_means_that_the_stream_was_cut_off() -> None:
    decoder = RaisingDecoder(ChoicesDecoder([Lines(), Lines()]))
    decoder.feed(frame(0, b"ba.") + frame(1, b"bx"))
    with pytest.raises(UpstreamMalformed, match="cut off"):
        decoder.end()
