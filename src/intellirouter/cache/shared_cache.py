"""What all generations of the response cache share."""

from msgspec import Struct, field

from intellirouter.cache.entries import AnswerStore
from intellirouter.cache.flights import Flights
from intellirouter.cache.similar_answers import SimilarAnswers


class SharedCache(Struct):
    """What survives reloads of the configuration."""

    store: AnswerStore
    """A reload can replace it."""
    flights: Flights
    similar: SimilarAnswers = field(default_factory=SimilarAnswers)
