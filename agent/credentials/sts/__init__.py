"""How does an identity token become credentials of a role?

All that is known about STS stands in this room: `exchange` has the words of it, `query` sends and receives,
`errors` knows what each error means, `silence` why there was no answer, `validation` what a good one looks like.
"""

from datetime import timedelta

from agent.clock import RemoteClock, within
from agent.credentials import Credentials
from agent.credentials.sts.errors import apology, known_code, time_told_by, untimely
from agent.credentials.sts.exchange import Answer, Role, Sts
from agent.credentials.sts.query import AwsSts
from agent.credentials.sts.validation import believe
from agent.errors import AgentError, CredentialsUnavailable
from agent.events import ClockMeasured, Report, StsAnswered
from agent.secret import Secret
from agent.tokens import TokenSource

__all__ = ["Answer", "AwsSts", "Role", "Sts", "StsWebIdentity"]


class StsWebIdentity:
    """Credentials of a role for an identity token, by AssumeRoleWithWebIdentity.

    Whatever STS says also teaches `clock` the time, so that tokens are minted for the clock that judges them.
    """

    def __init__(
        self,
        sts: Sts,
        role: Role,
        tokens: TokenSource,
        clock: RemoteClock,
        report: Report,
        *,
        patience: timedelta,
    ) -> None:
        """Fetch `role` through `sts`, waiting for each answer for at most `patience`.

        That is for all of it: looking up the name, connecting, TLS, and an answer that trickles.
        """
        self._sts = sts
        self._role = role
        self._tokens = tokens
        self._clock = clock
        self._report = report
        self._patience = patience

    async def fetch(self) -> Credentials:
        """Ask STS for new credentials; with a second token at once, if the first came to it too late or too early.

        Raises CredentialsRefused, CredentialsUnavailable, TokenUnavailable or KeyUnavailable.
        """
        token = await self._tokens.token()
        answer, corrected = await self._ask(token.value)
        if untimely(answer, corrected):
            fresh = await self._tokens.token()  # by a clock that the answer has just put right
            if fresh.value != token.value:
                answer, _ = await self._ask(fresh.value)
        if not answer.granted:
            raise apology(answer, self._role, self._clock.offset)
        try:
            return believe(answer.result, self._role, self._clock.now())
        except CredentialsUnavailable as error:
            raise error.with_traceback(None)  # noqa: B904 - itself, without the frames that hold the answer

    async def _ask(self, token: Secret) -> tuple[Answer, timedelta]:
        """Ask once; give the answer, and by how much it corrected the clock."""
        asked = self._sts.assume_role_with_web_identity(self._role, token)
        try:
            answer = await within(self._clock, self._patience.total_seconds(), asked)
        except TimeoutError:
            self._report(StsAnswered("Unreachable"))
            raise CredentialsUnavailable(
                f"STS gave no complete answer within {self._patience.total_seconds():g} s",
                hint="check the way to STS: name resolution, firewall, sts.proxy and sts.endpoint_url",
            ) from None
        except AgentError:
            self._report(StsAnswered("Unreachable"))
            raise
        self._report(StsAnswered(known_code(answer)))
        return answer, self._learn(answer)

    def _learn(self, answer: Answer) -> timedelta:
        told = answer.told or time_told_by(answer)
        if told is None:
            return timedelta(0)
        corrected = told - self._clock.now()
        self._clock.learn(told)
        offset = self._clock.offset
        assert offset is not None  # it has just been learnt
        self._report(ClockMeasured(offset))
        return corrected
