"""A conversation on a terminal. It keeps its history; an interrupt stops one answer, and an error does not end it."""

import difflib
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import is_terminal, print_error, print_line, print_notice, printable
from intellirouter.cli.standard_streams import has_undecoded_bytes

if TYPE_CHECKING:
    import readline

    from intellirouter import client
else:
    client = LazyModule("intellirouter.client")
    readline = LazyModule("readline")

_HELP: Final = """\
/model NAME   Switch to another model.
/reset        Clear the conversation.
/exit         Exit. Ctrl-D does the same.
Ctrl-C stops the current answer."""


class Conversation:
    """The messages so far, and the model that gets the next one."""

    def __init__(
        self,
        gateway: "client.Client",
        model: str,
        system: str | None,
        *,
        is_streaming: bool,
        describe: "Callable[[client.IntelliRouterError], CommandError]",
        limits: "client.AttemptLimits | None" = None,
    ) -> None:
        """`describe` returns what is printed about a failed call. `limits` apply to each request."""
        self._limits = limits
        self._describe = describe
        self._gateway = gateway
        self._model = model
        self._system = [{"role": "system", "content": system}] if system else []
        self._messages: list[dict[str, Any]] = [*self._system]
        self._is_streaming = is_streaming

    def request_reply(self, prompt: str) -> "client.ChatReply":
        """Return the reply without printing it. Raises `IntelliRouterError`; the prompt is then not kept."""
        messages = [*self._messages, _message("user", prompt)]
        reply = self._gateway.chat(messages, model=self._model, limits=self._limits)
        self._add_turn(prompt, reply.text or reply.refusal or "")
        return reply

    def ask(self, prompt: str) -> None:
        """Print the answer and, on a terminal, its deployment, tokens and cost. Raises like `request_reply`."""
        started_s = time.monotonic()
        if self._is_streaming:
            reply = self._stream_reply(prompt)
        else:
            reply = self.request_reply(prompt)
            print_line(printable(reply.text or reply.refusal or ""))
        for call in reply.tool_calls:
            print_line(printable(f"[tool call] {call.name}({call.arguments})"))
        if is_terminal():
            print_notice(self._summary(reply, time.monotonic() - started_s))

    def run(self) -> None:
        """Read prompts from the terminal until the end of input."""
        with suppress(ImportError):  # some platforms have no line editing
            readline.set_history_length(1000)
        print_notice(f"Using {self._model} at {self._gateway.base_url}. Type /help for commands, Ctrl-D to exit.")
        while (line := _read_line()) is not None:
            text = line.strip()
            if text.startswith("/"):
                if not self._run_command(text):
                    return
            elif has_undecoded_bytes(text):
                print_notice("This is not valid UTF-8. Set the terminal or the locale to UTF-8.")
            elif text:
                self._run_turn(text)

    def _run_turn(self, prompt: str) -> None:
        try:
            self.ask(prompt)
        except client.IntelliRouterError as error:
            reported = self._describe(error)
            print_error(reported.message, *reported.notes)
            if reported.status == ExitStatus.UNREACHABLE:
                print_notice("The prompt was not answered. Send it again when the gateway is available.")
        except KeyboardInterrupt:
            print_line()
            print_notice("Stopped. The prompt and its answer were discarded.")

    def _run_command(self, line: str) -> bool:
        """Run a slash command. Returns False to end the conversation."""
        name, _, argument = line.partition(" ")
        if name in {"/exit", "/quit"}:
            return False
        if name == "/reset":
            self._messages = [*self._system]
            print_notice("The conversation was cleared.")
        elif name == "/model" and argument.strip():
            self._use_model(argument.strip())
        elif name in {"/help", "/model"}:
            print_notice(_HELP)
        else:
            print_notice(f"Unknown command `{name}`.\n{_HELP}")
        return True

    def _use_model(self, name: str) -> None:
        """Switch to a model. If the gateway does not list it, say so, but do not refuse it: the list may be limited."""
        self._model = name
        print_notice(f"Now using {name}.")
        try:
            listed = [model.name for model in self._gateway.models()]
        except client.IntelliRouterError:
            return  # the next prompt reports the problem
        wildcards = tuple(each.removesuffix("*") for each in listed if each.endswith("/*"))
        if name not in listed and not name.startswith(wildcards):
            hint = f" Did you mean {found[0]}?" if (found := difflib.get_close_matches(name, listed, 1)) else ""
            print_notice(f"Warning: The gateway does not list the model {name}.{hint}")

    def _stream_reply(self, prompt: str) -> "client.ChatReply":
        messages = [*self._messages, _message("user", prompt)]
        with self._gateway.stream(messages, model=self._model, limits=self._limits) as stream:
            has_printed = False
            try:
                for delta in stream:
                    sys.stdout.write(printable(delta.text or delta.refusal or ""))
                    sys.stdout.flush()
                    has_printed = True
            finally:
                if has_printed:
                    print_line()
            reply = stream.reply()
        self._add_turn(prompt, reply.text or reply.refusal or "")
        return reply

    def _add_turn(self, prompt: str, answer: str) -> None:
        self._messages += [_message("user", prompt), _message("assistant", answer)]

    def _summary(self, reply: "client.ChatReply", duration_s: float) -> str:
        parts = [reply.deployment or self._model]
        if reply.degraded is not None:
            parts.append(f"degraded to {reply.degraded}")
        if reply.usage is not None:
            parts.append(f"{reply.usage.prompt_tokens} + {reply.usage.completion_tokens} tokens")
        cost_usd = self._cost_usd(reply)
        parts.append("cost unknown" if cost_usd is None else f"${cost_usd}")
        parts.append(f"{duration_s:.1f} s")
        return " · ".join(parts)

    def _cost_usd(self, reply: "client.ChatReply") -> str | None:
        """Return the cost, as far as this key can find it out."""
        if not self._is_streaming:
            return None if reply.cost_usd is None else str(reply.cost_usd)
        try:
            cost_usd = self._gateway.cost_usd(reply)
        except client.IntelliRouterError:
            return None  # this key may not read records, or the record is not stored yet
        return None if cost_usd is None else str(cost_usd)


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def _read_line() -> str | None:
    """Return a typed line, None at the end of input. Ctrl-C discards the line."""
    while True:
        try:
            return input("> ")
        except EOFError:
            print_line()
            return None
        except KeyboardInterrupt:
            print_line()
