"""What must be renamed in a conversation's tools for an upstream, and restored in its answer."""

from msgspec import Struct

from intellirouter.core import AnswerLimits, LossReport
from intellirouter.dialects.adapt.tool_names import (
    ClientNamesDecoder,
    FittedNames,
    fitted_names,
    with_client_names,
    with_fitted_names,
)
from intellirouter.dialects.adapt.tool_properties import (
    ClientPropertiesDecoder,
    FittedProperties,
    fitted_properties,
    with_client_properties,
    with_fitted_properties,
)
from intellirouter.dialects.ir import Conversation, Response
from intellirouter.dialects.protocols import StreamDecoder
from intellirouter.dialects.wire.tool_name_rule import NameRule


class ToolFit(Struct, frozen=True):
    """The names that differ between the client and the upstream."""

    names: FittedNames | None
    properties: FittedProperties | None
    """By the client's name of the tool."""

    def for_upstream(self, conversation: Conversation, losses: LossReport) -> Conversation:
        if self.properties is not None:
            conversation = with_fitted_properties(conversation, self.properties, losses)
        return conversation if self.names is None else with_fitted_names(conversation, self.names, losses)

    def for_client(self, response: Response) -> Response:
        if self.names is not None:
            response = with_client_names(response, self.names)
        return response if self.properties is None else with_client_properties(response, self.properties)

    def stream(self, decoder: StreamDecoder, limits: AnswerLimits) -> StreamDecoder:
        """Return a decoder for the client's stream."""
        if self.names is not None:
            decoder = ClientNamesDecoder(decoder, self.names)
        return decoder if self.properties is None else ClientPropertiesDecoder(decoder, self.properties, limits)


def tool_fit(conversation: Conversation, name_rule: NameRule | None, property_rule: NameRule | None) -> ToolFit | None:
    """Return what must be renamed; None if everything fits, as nearly always."""
    names = fitted_names(conversation, name_rule)
    properties = fitted_properties(conversation, property_rule)
    return None if names is None and properties is None else ToolFit(names, properties)
