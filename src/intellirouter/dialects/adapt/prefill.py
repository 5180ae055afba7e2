"""Conversations that end with an answer of the assistant (a prefill), for models that do not continue it.

Claude 4.6 and later reject such a conversation, and older versions do so together with reasoning or with a JSON output
format. The answer stays where it is and a user message asks for its continuation, which is reported:

- Leaving the answer out would lose what the client wrote, and the model would answer something else.
- A refusal would break clients that are within their protocol: OpenAI, Gemini and Ollama accept these conversations.
- Anthropic recommends the instruction to those who migrate. Its own clients get its error, because their requests are
  passed through.

Source: Anthropic, "Migration guide" (prefill removal), "Extended thinking" and "Structured outputs".
"""

from typing import Final

from intellirouter.core import LossReport

INSTRUCTION: Final = (
    "Your answer above is incomplete. Continue it from exactly where it ends, without repeating any of it."
)


def report_instruction(losses: LossReport) -> None:
    losses.add("messages", "converted", "an instruction to continue the last answer was added")


def report_trimming(losses: LossReport) -> None:
    losses.add("messages", "converted", "trailing white space removed from the prefill")
