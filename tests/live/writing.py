"""Is a kept file always whole, though whoever writes it is killed again and again?

    python -m tests.live.writing HOME KILLS

Writers write one set after the other, as fast as they can. Each is killed after a moment of up to four milliseconds;
or, to reach every step, at the first, second, … change that it makes to the file system. After each death the files are
read as a program would read them. The numbers of deaths, of drafts that were left, and of different sets that were
found, are printed; or what was wrong, with an exit code.
"""

import configparser
import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent import jose
from agent.credentials import Credentials
from agent.outputs.attempts import Means
from agent.outputs.credentials_file import CredentialsFile
from agent.outputs.replacing import Place
from agent.outputs.token_file import TokenFile
from agent.secret import Secret
from agent.tokens import Token
from tests.fakes.clock import FakeClock
from tests.fakes.minted import MintedTokens
from tests.fakes.report import Reported

PERSONAL = b"# mine\n[default]\naws_access_key_id = AKIAMINE\n\n[work]\nregion = x\n"
_CHANGES = {"os.rename", "os.remove"}
_START = datetime(2026, 11, 20, 12, tzinfo=UTC)
#: Long enough that a set takes several pages, and a write of half of it would be seen.
_LONG = 6000


class Held:
    """A session that holds nothing by itself."""

    name = "backup"

    def usable(self) -> None:
        return None


def numbered(number: int) -> Credentials:
    return Credentials(
        access_key_id=f"ASIA{number:012d}",
        secret_access_key=Secret(f"secret-{number}"),
        session_token=Secret(f"{number}-" * (_LONG // len(f"{number}-"))),
        obtained_at=_START,
        expires_at=_START + timedelta(hours=1),
        role_arn="arn:aws:iam::123456789012:role/backup",
        account_id="123456789012",
    )


def token(number: int) -> Token:
    signed = jose.signing_input({"alg": "RS256"}, {"n": number, "fill": "x" * _LONG})
    return Token(Secret(jose.compact(signed, b"signature")), _START)


def write(home: Path, numbers: Iterator[int], step: int) -> None:
    """Write until killed; with a step, at that change to the file system."""
    means = Means(FakeClock(), Reported(), lambda: 0.0)
    profile = CredentialsFile(Held(), Place(home / "credentials"), "rolecall", means)
    tokens = TokenFile("backup", MintedTokens(FakeClock()), Place(home / "token"), means)
    left = step

    def hook(event: str, details: tuple[object, ...]) -> None:
        nonlocal left
        if event in _CHANGES or (event == "open" and isinstance(details[2], int) and details[2] & os.O_CREAT):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    if step:
        sys.addaudithook(hook)
    for number in numbers:
        profile._put(numbered(number))
        tokens._put(token(number))


def check(home: Path) -> str:
    """The set that a program would find; raises AssertionError if there is anything but a whole one."""
    content = (home / "credentials").read_bytes()
    assert content.startswith(PERSONAL), content[:100]
    parser = configparser.RawConfigParser()
    parser.read_string(content.decode())
    found = ""
    if parser.has_section("rolecall"):
        found = parser.get("rolecall", "aws_access_key_id")
        whole = numbered(int(found.removeprefix("ASIA")))
        assert parser.get("rolecall", "aws_secret_access_key") == whole.secret_access_key.reveal()
        assert parser.get("rolecall", "aws_session_token") == whole.session_token.reveal()
    if (home / "token").exists():
        text = (home / "token").read_text()
        _, claims = jose.unverified(text)
        assert isinstance(claims["n"], int)
        assert text == token(claims["n"]).value.reveal()
    for path in home.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    return found


def main(home: Path, kills: int) -> str:
    (home / "credentials").write_bytes(PERSONAL)
    (home / "credentials").chmod(0o600)
    chance, drafts = random.Random(4), 0
    found = {check(home)}
    for kill in range(kills):
        step = kill % 12 if kill < kills // 2 else 0
        child = os.fork()
        if not child:
            try:
                write(home, itertools.count(kill * 1000), step)
            finally:
                os._exit(70)
        if not step:
            time.sleep(chance.uniform(0.0, 0.004))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), status
        drafts += len(list(home.glob(".*")))
        found.add(check(home))
    return f"{kills} {drafts} {len(found)}"


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1]), int(sys.argv[2])) + "\n")
