"""`intellirouter chat`: ask a model, once or in a conversation."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intellirouter.cli.conversation import Conversation
from intellirouter.cli.exits import ExitStatus, Failure
from intellirouter.cli.output import emit, is_terminal, printable
from intellirouter.cli.session import Session, gateway_command

if TYPE_CHECKING:
    from intellirouter import client


@gateway_command
def chat(
    session: Session,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="What to ask; - or nothing reads standard input.")
    ] = None,
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="The model to ask.")] = "auto",
    stream: Annotated[
        bool | None, typer.Option("--stream/--no-stream", help="Print as it comes. Default: on a terminal.")
    ] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="Instructions first.")] = None,
) -> None:
    """Ask a model.

    With a prompt, or text on standard input: one answer. On a terminal without a prompt: a conversation; /help lists
    what it understands.
    """
    is_streaming = is_terminal() if stream is None else stream
    with session.gateway(timeout_s=600) as gateway:
        talk = Conversation(gateway, model, system, is_streaming=is_streaming)
        if prompt is None and sys.stdin.isatty():
            if session.output != "table":
                raise Failure("a conversation has no data to format: give a prompt", status=ExitStatus.USAGE)
            talk.hold()
        else:
            _ask_once(session, talk, _question(prompt))


def _question(prompt: str | None) -> str:
    text = sys.stdin.read() if prompt in {None, "-"} else prompt
    if not text or not text.strip():
        raise Failure("there is nothing to ask: give a prompt or text on standard input", status=ExitStatus.USAGE)
    return text


def _ask_once(session: Session, talk: Conversation, question: str) -> None:
    if session.output == "table":
        talk.ask(question)
        return
    reply = talk.reply_to(question)
    emit(_data(reply), session.output, lambda: [printable(reply.text)])


def _data(reply: "client.ChatReply") -> dict[str, Any]:
    return {
        "text": reply.text,
        "tool_calls": reply.tool_calls,
        "finish_reason": reply.finish_reason,
        "model": reply.raw.get("model"),
        "deployment": reply.deployment,
        "request_id": reply.request_id,
        "usage": reply.usage,
        "cost_usd": reply.cost_usd,
    }
