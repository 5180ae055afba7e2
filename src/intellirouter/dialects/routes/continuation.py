"""Continues a client's stream that has broken off: another upstream is asked for the rest of the answer.

The text so far becomes the last answer of the conversation. Some models continue it by themselves (a prefill), the
others are asked to. What they repeat of it is removed, and the rest is written into the client's stream.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import structs

from intellirouter.core import Call, Deployment, LossReport, Usage, errors
from intellirouter.dialects.adapt.overlap import OverlapTrimmer
from intellirouter.dialects.adapt.prefill import INSTRUCTION
from intellirouter.dialects.adapt.stream_record import (
    ContinuableRelay,
    ContinuedEncoder,
    ContinuedRelay,
    RecordedRelay,
    StreamRecord,
    UnfinishedText,
)
from intellirouter.dialects.calls import ConversationCall, conversation_of, narrow_call
from intellirouter.dialects.edits import edited_call
from intellirouter.dialects.ir import (
    Conversation,
    Event,
    Message,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    StreamFailed,
    StreamStarted,
    Text,
    TextDelta,
    UsageUpdate,
)
from intellirouter.dialects.protocols import ChatClient, Splitter, StreamDecoder, StreamRelay
from intellirouter.dialects.routes.translation import ChatTranslation

_PREFILLING: Final = frozenset({"anthropic_messages", "bedrock", "gemini", "ollama"})
"""Upstream dialects whose models continue an answer at the end of a conversation."""
_WITHOUT_PART: Final = (StreamStarted, UsageUpdate)
_REASONING: Final = (ReasoningDelta, ReasoningToken)


class Continuations:
    """Implements `endpoint.StreamContinuer`."""

    def __init__(
        self,
        dialect: str,
        client: ChatClient,
        reader: Callable[[Deployment], StreamDecoder],
        splitter: Callable[[], Splitter],
        translations: Mapping[str, ChatTranslation],
    ) -> None:
        """`reader` returns a decoder for what clients are sent, and `splitter` a splitter for it."""
        self._dialect = dialect
        self._client = client
        self._reader = reader
        self._splitter = splitter
        self._translations = translations

    def record(self, relay: StreamRelay, call: Call, deployment: Deployment) -> RecordedRelay:
        """Return a relay that does the same, and whose stream can be continued."""
        record = StreamRecord(self._reader(deployment), self._client.stream(call, LossReport()))
        return RecordedRelay(relay, record, self._splitter())

    def request(self, broken: ContinuableRelay, call: Call, deployment: Deployment, sent_tokens: int) -> Call | None:
        """Return the call that asks for the rest of the answer; None if the answer cannot be continued.

        `call` is the client's, and `sent_tokens` is the size of what the client has been sent.
        """
        unfinished, translation = broken.record.unfinished(), self._translation(deployment)
        if unfinished is None or broken.finish_reason is not None:
            return None
        if translation is None or not isinstance(call, ConversationCall):
            return None
        try:
            conversation = conversation_of(call, self._client.decode)
        except (errors.InvalidRequest, errors.UnsupportedFeature):  # the upstream reads more than the gateway does
            return None
        if not _can_be_continued(conversation):
            return None
        is_prefill = translation.dialect in _PREFILLING and _takes_prefill(conversation, deployment)
        rest = _rest_of(conversation, unfinished.text, sent_tokens, is_prefill=is_prefill)
        return edited_call(narrow_call(call, ConversationCall), conversation, rest)

    def relay(
        self, broken: ContinuableRelay, call: Call, deployment: Deployment, earlier: Usage, *, is_whole: bool = False
    ) -> ContinuableRelay | None:
        """Return the relay for the answer to `request`. `earlier` is what the upstreams before have used.

        `is_whole`: the upstream answers with a JSON document instead of a stream. None if that is a stream, too.
        """
        unfinished, translation = broken.record.unfinished(), self._translation(deployment)
        if unfinished is None or translation is None:
            raise errors.InternalError("This stream cannot be continued.")
        encoder = ContinuedEncoder(broken.record, earlier)

        def only_rest(decoder: StreamDecoder) -> StreamDecoder:
            return RestDecoder(decoder, unfinished)

        relay = translation.rest_of_stream(call, deployment, only_rest, encoder, is_whole=is_whole)
        return None if relay is None else ContinuedRelay(relay, broken.record, encoder)

    def _translation(self, deployment: Deployment) -> ChatTranslation | None:
        """Return the translation from the dialect in which `RouteTable.route` sends an edited call."""
        if self._dialect in deployment.dialects and self._dialect in self._translations:
            return self._translations[self._dialect]
        return next((self._translations[each] for each in deployment.dialects if each in self._translations), None)


def _can_be_continued(conversation: Conversation) -> bool:
    """Return whether any answer to it can be continued as text: one choice, without a format or log probabilities."""
    sampling, choice = conversation.sampling, conversation.tool_choice
    has_format = conversation.output is not None and conversation.output.kind != "text"
    must_call = choice is not None and choice.mode in {"required", "named"}
    has_media = bool(set(conversation.modalities) - {"text"})
    return not (has_format or must_call or has_media or sampling.n != 1 or sampling.logprobs)


def _takes_prefill(conversation: Conversation, deployment: Deployment) -> bool:
    """Return whether the model continues an answer by itself. With reasoning, models do not."""
    return deployment.profile.takes_prefill and conversation.reasoning is None


def _rest_of(conversation: Conversation, text: str, sent_tokens: int, *, is_prefill: bool) -> Conversation:
    """Return the conversation that asks for the rest of an answer.

    Models are not shown white space at the end of the text, which some reject, and others repeat.
    """
    messages: list[Message] = list(conversation.messages)
    answer = Text(text=text.rstrip())
    if messages and messages[-1].role == "assistant":  # the client's own prefill, to which the text belongs
        last = messages.pop()
        *parts, begun = last.parts or [Text(text="")]
        if isinstance(begun, Text):
            answer = structs.replace(begun, text=begun.text + answer.text)
        else:
            parts.append(begun)
        messages.append(structs.replace(last, parts=[*parts, answer]))
    elif answer.text:
        messages.append(Message(role="assistant", parts=[answer]))
    if answer.text and not is_prefill:
        messages.append(Message(role="user", parts=[Text(text=INSTRUCTION)]))
    limit, sampling = conversation.sampling.max_output_tokens, conversation.sampling
    if limit is not None:
        sampling = structs.replace(sampling, max_output_tokens=max(1, limit - sent_tokens))
    return structs.replace(conversation, messages=messages, sampling=sampling)


class RestDecoder:
    """Reads the answer to a request for the rest of an answer. Implements `protocols.StreamDecoder`.

    What the model repeats is removed, and its reasoning, which cannot follow the text. The numbers of the parts
    continue those of the unfinished answer, whose last part is its text.
    """

    def __init__(self, decoder: StreamDecoder, unfinished: UnfinishedText) -> None:
        self._decoder = decoder
        self._trimmer = OverlapTrimmer(unfinished.text)
        self._text_part = unfinished.part
        self._parts: dict[int, int] = {}
        """The numbers of the parts in the client's stream."""
        self._next_part = unfinished.part + 1

    @property
    def buffered_bytes(self) -> int:
        return self._decoder.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        return self._rest(self._decoder.feed(data))

    def end(self) -> list[Event]:
        return self._rest(self._decoder.end())

    def _rest(self, events: Sequence[Event]) -> list[Event]:
        rest: list[Event] = []
        try:
            for event in events:
                self._take(event, rest)
        except errors.UpstreamError as error:
            rest.append(StreamFailed(error=error))
        return rest

    def _take(self, event: Event, rest: list[Event]) -> None:
        if isinstance(event, _WITHOUT_PART):
            rest.append(event)
        elif getattr(event, "choice", 0) or isinstance(event, _REASONING):
            return
        elif isinstance(event, TextDelta):
            part = self._text_number(event.part)
            if text := self._trimmer.feed(event.text):
                rest.append(TextDelta(text=text, part=part, pieces=event.pieces))
        elif isinstance(event, PartEnded):
            number = self._parts.get(event.part, self._text_part)
            if number != self._text_part:  # the text ends with the answer, or when another part begins
                rest.append(structs.replace(event, part=number))
        else:
            if text := self._trimmer.end():
                rest.append(TextDelta(text=text, part=self._text_part))
            rest.append(structs.replace(event, part=self._number(event.part)) if hasattr(event, "part") else event)

    def _text_number(self, part: int) -> int:
        """Return the number of a part with text: that of the unfinished text, until another part has begun."""
        if part not in self._parts and self._next_part == self._text_part + 1:
            self._parts[part] = self._text_part
        return self._number(part)

    def _number(self, part: int) -> int:
        number = self._parts.get(part)
        if number is None:
            number = self._parts[part] = self._next_part
            self._next_part += 1
        return number
