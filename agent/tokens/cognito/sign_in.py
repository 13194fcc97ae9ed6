"""How does a user sign in, with all that the pool asks on the way?"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from agent.clock import Clock
from agent.errors import SignInNeeded, TokenUnavailable
from agent.secret import Secret
from agent.tokens.cognito import srp
from agent.tokens.cognito.pool import App, Challenge, Tokens, UserPool
from agent.tokens.cognito.refusals import LOGIN

#: How the password is shown: by a proof of knowing it, or as it is.
Flow = Literal["srp", "password"]

#: What the app client must have enabled for each flow.
ENABLED: Final[Mapping[Flow, str]] = {"srp": "ALLOW_USER_SRP_AUTH", "password": "ALLOW_USER_PASSWORD_AUTH"}
#: Challenges that somebody can answer with one text, and the response that it goes into.
ANSWERED_BY: Final[Mapping[str, str]] = {
    "NEW_PASSWORD_REQUIRED": "NEW_PASSWORD",
    "SOFTWARE_TOKEN_MFA": "SOFTWARE_TOKEN_MFA_CODE",
    "SMS_MFA": "SMS_MFA_CODE",
    "EMAIL_OTP": "EMAIL_OTP_CODE",
}
#: A pool asks for a password, perhaps for a new one, for a second factor, and which; more is going round in circles.
_MOST_CHALLENGES: Final = 6
_FACTORS: Final = ("SOFTWARE_TOKEN_MFA", "SMS_MFA", "EMAIL_OTP")

#: Gives so many random bytes.
Randomness = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Who:
    """Who signs in, through which app client, and how."""

    app: App
    user: str
    flow: Flow = "srp"


class Answers(Protocol):
    """Somebody who answers what no file can."""

    async def answer(self, challenge: str, about: Mapping[str, str]) -> Secret:
        """Answer one of ANSWERED_BY; `about` is what the pool says of it. Raises SignInNeeded where nobody is there."""
        ...


@dataclass(frozen=True, slots=True)
class Nobody:
    """There is nobody to ask: that is for a person to come and do."""

    user: str = field(default="the user")

    async def answer(self, challenge: str, about: Mapping[str, str]) -> Secret:
        """Raise SignInNeeded."""
        del about
        wanted = {
            "NEW_PASSWORD_REQUIRED": "a new password in place of the temporary one",
            "SOFTWARE_TOKEN_MFA": "the code of an authenticator",
            "SMS_MFA": "a code that it has sent by SMS",
            "EMAIL_OTP": "a code that it has sent by mail",
        }
        raise SignInNeeded(
            f"Cognito wants {wanted.get(challenge, challenge)} from {self.user}", hint=f"sign in with: {LOGIN}"
        )


class SignIn:
    """Signs a user in. Nothing is remembered here, and nothing tried twice."""

    def __init__(self, pool: UserPool, clock: Clock, randomness: Randomness) -> None:
        """Ask `pool`; proofs carry the time of `clock`, which the pool has just put right."""
        self._pool = pool
        self._clock = clock
        self._randomness = randomness

    async def with_password(self, who: Who, password: Secret, answers: Answers) -> Tokens:
        """Sign in. Raises Refused, SignInNeeded, TokenUnavailable, CredentialsRefused, and what `answers` raises."""
        user, own = who.user, srp.begin(self._randomness(srp.RANDOM_BYTES))
        shown = {"PASSWORD": password.reveal()} if who.flow == "password" else {"SRP_A": own.shown}
        flow = "USER_PASSWORD_AUTH" if who.flow == "password" else "USER_SRP_AUTH"
        given = await self._pool.begin(who.app, flow, {"USERNAME": user, **shown, **who.app.secret_hash(user)})
        for _ in range(_MOST_CHALLENGES):
            if isinstance(given, Tokens):
                return given
            user = given.parameters.get("USER_ID_FOR_SRP") or given.parameters.get("USERNAME") or user
            if given.name == "PASSWORD_VERIFIER" and who.flow == "srp":
                said = self._proven(who.app, given, own, user, password)
            else:
                said = await _answered(given, who.user, answers)
            responses = {"USERNAME": user, **said, **who.app.secret_hash(user)}
            given = await self._pool.respond(who.app, given, responses)
        raise TokenUnavailable(
            "Cognito asks one question after the other, and gives no tokens", hint="see the user pool's Lambda triggers"
        )

    async def renewed(self, app: App, refresh_token: Secret) -> Tokens:
        """Renew a sign-in. Raises as `with_password` does; Refused where it is over."""
        return await self._pool.renew(app, refresh_token)

    def _proven(
        self, app: App, challenge: Challenge, own: srp.Ephemeral, user: str, password: Secret
    ) -> Mapping[str, str]:
        stamp = srp.timestamp(self._clock.now())
        block = challenge.parameters.get("SECRET_BLOCK", "")
        try:
            posed = srp.Posed(
                int(challenge.parameters.get("SALT", ""), 16),
                int(challenge.parameters.get("SRP_B", ""), 16),
                base64.b64decode(block, validate=True),
            )
            signature = srp.proof(own, posed, pool=app.pool_name, user=user, password=password, stamp=stamp)
        except (ValueError, binascii.Error):
            raise TokenUnavailable(
                "Cognito's challenge cannot be answered: its numbers are not those of SRP",
                hint="see that identity.endpoint_url, if set, is really Cognito",
            ) from None
        return {
            "PASSWORD_CLAIM_SECRET_BLOCK": block,
            "PASSWORD_CLAIM_SIGNATURE": signature,
            "TIMESTAMP": stamp,
        }


async def _answered(challenge: Challenge, user: str, answers: Answers) -> Mapping[str, str]:
    """What is said to a challenge that is no matter of passwords. Raises SignInNeeded."""
    if challenge.name == "SELECT_MFA_TYPE":
        offered = challenge.parameters.get("MFAS_CAN_CHOOSE", "")
        chosen = next((one for one in _FACTORS if one in offered), None)
        if chosen is not None:
            return {"ANSWER": chosen}
    if challenge.name in ANSWERED_BY:
        answer = await answers.answer(challenge.name, challenge.parameters)
        return {ANSWERED_BY[challenge.name]: answer.reveal()}
    hint = "let the user sign in by password alone, or with a code as a second factor"
    if challenge.name == "MFA_SETUP":
        hint = f"set up a second factor for {user}, or let the user pool ask for none"
    raise SignInNeeded(f"Cognito poses the challenge {challenge.name} to {user}, which has no answer here", hint=hint)
