"""Edits of calls like those of stages, and the encoding of edited calls for their upstream."""

from msgspec import structs

from intellirouter.core import Call, Deployment, UpstreamRequest, errors
from intellirouter.dialects import Endpoint
from intellirouter.dialects.ir import Conversation, Message, Text
from tests.support.dialects.pairs import endpoint_of, web
from tests.support.dialects.standard import ENDPOINTS

PERSONA = "You are the harbour's pilot, and speak of nothing but tides."


def endpoint_for(client: str, call: Call) -> Endpoint:
    return ENDPOINTS[endpoint_of(client, call.body)]


def send(endpoint: Endpoint, call: Call, target: Deployment) -> UpstreamRequest | errors.UnsupportedFeature:
    """Send a call on the route that the pipeline takes."""
    route = endpoint.route(call, target)
    try:
        if urls := route.media_urls(call, target):
            call.fetched = {url: web(url) for url in urls}
        return route.encode_request(call, target)
    except errors.UnsupportedFeature as refusal:
        return refusal


def with_message(conversation: Conversation, message: Message, place: int = 0) -> Conversation:
    messages = [*conversation.messages]
    messages.insert(place, message)
    return structs.replace(conversation, messages=messages)


def persona() -> Message:
    return Message(role="system", parts=[Text(text=PERSONA)])
