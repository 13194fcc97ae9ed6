"""How does a person sign in to Amazon Cognito, where the agent alone cannot?"""

import argparse
import asyncio
import getpass
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.assembly.cognito import sign_in_by_hand
from agent.cli.keys import credentials_directory
from agent.cli.terminal import say, show_json, warn
from agent.clock import SystemClock
from agent.errors import AgentError, ConfigurationError
from agent.secret import Secret
from agent.settings import Cognito, Settings

_TERMINAL: Final = Path("/dev/tty")
_QUESTIONS: Final = {
    "SOFTWARE_TOKEN_MFA": "Code of your authenticator",
    "SMS_MFA": "Code that was sent{to} by SMS",
    "EMAIL_OTP": "Code that was sent{to} by mail",
}


def sign_in(arguments: argparse.Namespace, settings: Settings) -> int:
    """Sign in, asking at the terminal for what is in no file; 0. Raises AgentError.

    Nothing is read from arguments or the environment, where others could see it, and nothing typed is shown.
    """
    words = settings.identity
    if not isinstance(words, Cognito):
        raise ConfigurationError(
            "nobody has to sign in for this configuration", hint='that would need source = "cognito" in [identity]'
        )
    asking = _Terminal()
    kept = asyncio.run(sign_in_by_hand(words, credentials_directory(), asking, SystemClock()))
    if getattr(arguments, "json", False):
        show_json({"user": words.user, "user_pool": words.user_pool, "state": str(kept)})
    else:
        say(f"signed in as {words.user}; an agent that runs goes on at once")
    if asking.has_changed_password and words.password_file is not None:
        warn(
            ConfigurationError(
                f"the password in {words.password_file} is no longer the right one",
                hint="write the new one there, or remove identity.password_file",
            )
        )
    return 0


class _Terminal:
    """Asks at the terminal."""

    def __init__(self, terminal: Path = _TERMINAL) -> None:
        self._terminal = terminal
        self.has_changed_password = False

    def password(self, user: str) -> Secret:
        """Ask for the password."""
        return self._asked(f"Password of {user}: ")

    def answer(self, challenge: str, destination: str) -> Secret:
        """Ask for a code, or twice for a new password."""
        if challenge != "NEW_PASSWORD_REQUIRED":
            question = _QUESTIONS.get(challenge, challenge).format(
                to=f" to {_plain(destination)}" if destination else ""
            )
            return Secret(self._asked(f"{question}: ").reveal().strip())
        say("The password is a temporary one: choose another.")
        while (chosen := self._asked("New password: ")) != self._asked("The same again: "):
            say("The two are not the same.")
        self.has_changed_password = True
        return chosen

    def told(self, trouble: AgentError) -> None:
        """Say what was wrong."""
        say(f"error: {trouble.what}")

    def _asked(self, question: str) -> Secret:
        """Ask without showing what is typed. Raises ConfigurationError where there is no terminal."""
        try:
            self._terminal.open("rb").close()
        except OSError as error:
            raise ConfigurationError(
                "there is no terminal to ask at", hint="run this at a terminal; with ssh, by ssh -t"
            ) from error
        with _interruptible():
            try:
                return Secret(getpass.getpass(question))
            except EOFError:
                raise KeyboardInterrupt from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the question; asyncio would only make a note of the first."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _plain(text: str) -> str:
    """What the pool says, with nothing in it that a terminal would take for a command."""
    return "".join(character for character in text if character.isprintable())[:80]
