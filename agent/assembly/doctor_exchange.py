"""How does the doctor speak to STS: to learn the time, to try a role, to hear whose credentials are served?"""

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from agent.assembly.credentials import OpenedSts, role_of, sts_endpoint
from agent.assembly.tokens import mint
from agent.clock import Clock, RemoteClock, within
from agent.credentials.sts import Answer, Role
from agent.credentials.sts.errors import Turn, apology, meaning
from agent.credentials.sts.silence import silence
from agent.credentials.sts.validation import believe
from agent.doctor.clock import Probe
from agent.doctor.roles import SHORTEST, Outcome, Wanted, cause_of
from agent.errors import AgentError, CredentialsUnavailable
from agent.keys import SigningKey
from agent.secret import Secret
from agent.settings import Settings
from agent.tokens import Token

#: What STS is shown to hear what time it is: no token, so that there is nothing to be granted or checked with anybody.
_NO_TOKEN: Final = Secret("rolecall.doctor.asks-what-time-it-is")
#: The role that is named where no role is had for a token.
_ANY_ROLE: Final = "arn:aws:iam::123456789012:role/rolecall-doctor"
#: Whose credentials these are may be asked with them all the same; nothing else may be done.
_POWERLESS: Final = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}, separators=(",", ":")
)
#: Codes with which STS speaks of what it was shown, and so is well itself.
_OF_WHAT_IT_WAS_SHOWN: Final = frozenset(
    {"InvalidIdentityToken", "AccessDenied", "ValidationError", "ExpiredToken", "IDPRejectedClaim", "Success"}
)


class Exchanges:
    """Calls to STS, whose answers also teach `aws_time` the time."""

    def __init__(self, settings: Settings, sts: OpenedSts, clock: Clock, aws_time: RemoteClock) -> None:
        """Ask through `sts`, which is open; tokens are made once `signing` is set, or `elsewhere`."""
        self.signing: SigningKey | None = None
        self.elsewhere: Callable[[], Awaitable[Token]] | None = None
        self._settings = settings
        self._sts = sts
        self._clock = clock
        self._aws_time = aws_time

    async def probe(self) -> Probe:
        """Hear whether STS is there, and what time it is; once more if it stumbles. Raises as STS does."""
        first = next((one.arn for one in self._settings.token_roles.values()), _ANY_ROLE)
        role = Role(first, "rolecall-doctor", SHORTEST)
        probe = await self._probed(role)
        if probe.passes:
            await self._clock.sleep(0.3)
            probe = await self._probed(role)
        return probe

    async def _probed(self, role: Role) -> Probe:
        answer = await self._asked(role, _NO_TOKEN)
        ahead = None if answer.told is None else answer.told - self._clock.now()
        row = meaning(answer)
        bare = answer.code.removesuffix("Exception")
        if bare in _OF_WHAT_IT_WAS_SHOWN or (bare == "IDPCommunicationError"):
            return Probe(answer.code, ahead)
        said = apology(answer, role, None)
        passes = row.turn is Turn.SOON
        state = "is in trouble" if passes else "refuses whoever asks"
        what = f"STS {state}: {answer.code}: {answer.message or f'HTTP {answer.status}'}"
        return Probe(answer.code, ahead, what, said.hint.replace("roles.NAME", "a role"), passes)

    async def __call__(self, wanted: Wanted, *, powerless: bool = False) -> Outcome:
        """Try a role; an `Exchange`."""
        try:
            shown = await self._token(wanted)
            answer = await self._asked(role := self._role(wanted, powerless=powerless), shown.value)
        except CredentialsUnavailable as error:
            return Outcome(granted=False, cause="sts", what=error.what, hint=error.hint)
        except AgentError as error:
            return Outcome(granted=False, what=error.what, hint=error.hint)
        if not answer.granted:
            said = apology(answer, role, self._aws_time.offset)
            cause = cause_of(answer.code, answer.message)
            if cause == "other" and meaning(answer).turn is Turn.SOON:
                cause = "sts"
            return Outcome(granted=False, cause=cause, what=said.what, hint=said.hint)
        try:
            believe(answer.result, role, self._aws_time.now())
        except CredentialsUnavailable as error:
            return Outcome(granted=False, cause="sts", what=error.what, hint=error.hint)
        return Outcome(granted=True)

    async def _asked(self, role: Role, shown: Secret) -> Answer:
        patience = self._sts.patience
        asked = self._sts.assume_role_with_web_identity(role, shown)
        try:
            answer = await within(self._clock, patience.total_seconds(), asked)
        except TimeoutError:
            raise CredentialsUnavailable(
                f"STS gave no complete answer within {patience.total_seconds():g} s",
                hint="check the way to STS: name resolution, firewall, sts.proxy and sts.endpoint_url",
            ) from None
        if answer.told is not None:
            self._aws_time.learn(answer.told)
        return answer

    def _role(self, wanted: Wanted, *, powerless: bool) -> Role:
        written = role_of(wanted.name, self._settings.token_roles[wanted.name])
        role = replace(written, arn=wanted.arn, session_name=wanted.session_name, duration=wanted.duration)
        return replace(role, policy=_POWERLESS, policy_arns=()) if powerless else role

    async def _token(self, wanted: Wanted) -> Token:
        """The token that the agent would show for the role. Raises TokenUnavailable, KeyUnavailable."""
        if self.elsewhere is not None:
            return await self.elsewhere()
        assert self.signing is not None  # without a key of ours nobody comes here
        pinned = {"roles": (wanted.arn,)} if wanted.pinned else {}
        return await mint(
            self._settings,
            self.signing,
            self._settings.token_roles[wanted.name],
            clock=self._aws_time,
            token_id=lambda: str(uuid.uuid4()),
            changes=pinned,
        )

    async def who_am_i(self, document: Mapping[str, Any]) -> str:
        """The ARN by which AWS knows credentials that the agent served. Raises AgentError."""
        from agent.clients.identity import Keys, caller_identity

        words = self._settings.sts
        place = sts_endpoint(words)
        keys = Keys(
            str(document.get("AccessKeyId")),
            Secret(str(document.get("SecretAccessKey"))),
            Secret(str(document.get("Token"))),
        )
        return await caller_identity(place, keys, silence)
