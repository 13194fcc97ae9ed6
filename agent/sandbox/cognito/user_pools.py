"""What does Cognito answer to somebody who signs in?

cognito-idp, as far as users are concerned: InitiateAuth, RespondToAuthChallenge, GetTokensFromRefreshToken,
RevokeToken. AWS does not publish the order of its checks; the client comes first here, then its secret, then the user.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.cognito import srp, totp
from agent.sandbox.cognito.desk import (
    CLIENT_ID,
    Desk,
    check_client_secret,
    check_hash,
    check_secret_hash,
    is_same,
    moment_of,
    needed,
)
from agent.sandbox.cognito.issuing import Origin, PoolKeys, access_token, id_token, new_id, new_keys
from agent.sandbox.cognito.refusals import (
    INCORRECT,
    WRONG_SESSION,
    bad_password,
    flow_not_enabled,
    invalid,
    mismatch,
    no_client,
    no_user,
    not_authorized,
)
from agent.sandbox.cognito.sign_ins import SESSION, Attempts, Challenge, Challenges, Refreshing, RefreshTokens
from agent.sandbox.cognito.speech import Spoken
from agent.sandbox.documents import Value
from agent.sandbox.pools import Flow, User, UserPool
from agent.sandbox.refusals import Refusal
from agent.secret import Secret

_FLOWS: Final[Mapping[str, Flow]] = {
    "USER_PASSWORD_AUTH": "ALLOW_USER_PASSWORD_AUTH",
    "USER_SRP_AUTH": "ALLOW_USER_SRP_AUTH",
    "REFRESH_TOKEN_AUTH": "ALLOW_REFRESH_TOKEN_AUTH",
    "REFRESH_TOKEN": "ALLOW_REFRESH_TOKEN_AUTH",
}
_OTHER_FLOWS: Final = ("CUSTOM_AUTH", "ADMIN_NO_SRP_AUTH", "ADMIN_USER_PASSWORD_AUTH", "USER_AUTH")
_CHALLENGES: Final = (
    "SMS_MFA", "EMAIL_OTP", "SOFTWARE_TOKEN_MFA", "SELECT_MFA_TYPE", "MFA_SETUP", "PASSWORD_VERIFIER",
    "CUSTOM_CHALLENGE", "SELECT_CHALLENGE", "DEVICE_SRP_AUTH", "DEVICE_PASSWORD_VERIFIER", "ADMIN_NO_SRP_AUTH",
    "NEW_PASSWORD_REQUIRED", "SMS_OTP", "PASSWORD", "WEB_AUTHN", "PASSWORD_SRP",
)  # fmt: skip
_TOKEN: Final = r"[A-Za-z0-9-_=.]+"  # noqa: S105 - the pattern of the service's model
#: How far the time that a client signs may be off. That there is such a bound is a guess; that it is strict helps.
_OFF: Final = timedelta(minutes=5)
_BLOCK: Final = 1024


class UserPools:
    """The user pools' service: who signs in, and what they get."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._challenges = Challenges(cloud.rng)
        self._attempts = Attempts()
        self._keys: dict[str, PoolKeys] = {}
        self._steps: dict[tuple[str, str], int] = {}
        self.refresh_tokens = RefreshTokens(cloud.rng)
        self.told = ""  # what was said to a user by another way than the answer: a code, as in an SMS

    def keys(self, pool: UserPool) -> PoolKeys:
        """The keys of a pool, made when they are first wanted."""
        if pool.pool_id not in self._keys:
            self._keys[pool.pool_id] = new_keys(self._cloud.rng)
        return self._keys[pool.pool_id]

    def pool_of(self, issuer: str) -> UserPool | None:
        """The pool whose tokens have this issuer."""
        return next((one for one in self._cloud.world.user_pools if one.issuer == issuer), None)

    def perform(self, asked: Spoken) -> Value:
        """Perform an operation: the members of its result. Raises Refusal."""
        self.told = ""
        match asked.operation:
            case "InitiateAuth":
                return self._initiate(asked)
            case "RespondToAuthChallenge":
                return self._respond(asked)
            case "GetTokensFromRefreshToken":
                return self._tokens_from_refresh_token(asked)
            case "RevokeToken":
                return self._revoke(asked)
        raise Refusal("UnknownOperationException", "")

    # --- the beginning of a sign-in

    def _initiate(self, asked: Spoken) -> Value:
        flow = asked.one_of("AuthFlow", (*_FLOWS, *_OTHER_FLOWS))
        desk = self._desk(asked)
        parameters = asked.table("AuthParameters")
        if flow not in _FLOWS or _FLOWS[flow] not in desk.client.flows:
            raise flow_not_enabled(flow)
        if _FLOWS[flow] == "ALLOW_REFRESH_TOKEN_AUTH":
            return self._refresh(desk, parameters)
        name = needed(parameters, "USERNAME")
        check_secret_hash(desk, name, parameters)
        if flow == "USER_PASSWORD_AUTH":
            password = needed(parameters, "PASSWORD")
            user = self._user(desk, name)
            self._check_password(desk, user, user is not None and is_same(user.password, password))
            assert user is not None  # or the password would be wrong
            return self._past_password(desk, user)
        return self._begin_srp(desk, name, needed(parameters, "SRP_A"))

    def _begin_srp(self, desk: Desk, name: str, public: str) -> Value:
        if not re.fullmatch(r"[0-9a-fA-F]{1,1024}", public):
            raise invalid("SRP_A is not a hexadecimal number")  # the text is a guess
        client = int(public, 16)
        if client % srp.PRIME == 0:
            raise invalid("SRP_A is not a number that can be used")  # RFC 5054 §2.5.4; the text is a guess
        user = self._user(desk, name)
        known = user.name if user else name
        # Who is not there is asked all the same, if the client hides that: by a password that nobody can know.
        password = user.password if user else new_id(self._cloud.rng)
        exchange = srp.begin(client, desk.pool.name, known, password, self._cloud.rng)
        block = self._cloud.rng.randbytes(_BLOCK)
        challenge = self._challenge("PASSWORD_VERIFIER", desk, user.name if user else "", srp=exchange, block=block)
        encoded = base64.b64encode(block).decode()
        self._challenges.put(challenge, encoded)  # the answer to this challenge shows the block, and no session
        return {
            "ChallengeName": "PASSWORD_VERIFIER",
            "ChallengeParameters": {
                "SALT": f"{exchange.salt:x}",
                "SECRET_BLOCK": encoded,
                "SRP_B": f"{exchange.public:x}",
                "USERNAME": known,
                "USER_ID_FOR_SRP": known,
            },
        }

    def _refresh(self, desk: Desk, parameters: Mapping[str, str]) -> Value:
        token = needed(parameters, "REFRESH_TOKEN")
        known = self.refresh_tokens.use(token, desk.client, self._cloud.now())
        if desk.client.secret is not None:
            check_hash(desk, parameters, (known.user,))
        return self._result(desk, self._still(desk, known.user), known.origin)

    # --- challenges

    def _respond(self, asked: Spoken) -> Value:
        name = asked.one_of("ChallengeName", _CHALLENGES)
        session = asked.maybe("Session", least=20, most=4096)
        desk = self._desk(asked)
        answers = asked.table("ChallengeResponses")
        username = needed(answers, "USERNAME")
        check_secret_hash(desk, username, answers)
        if name == "PASSWORD_VERIFIER":
            return self._verify(desk, username, answers)
        if session is None:
            raise invalid("Missing required parameter Session")
        challenge = self._challenges.take(session, name, desk.client.client_id, self._cloud.now())
        user = self._still(desk, challenge.user)
        if username not in (user.name, user.subject):
            raise not_authorized(WRONG_SESSION)
        match name:
            case "NEW_PASSWORD_REQUIRED":
                user = self._change_password(desk, user, needed(answers, "NEW_PASSWORD"))
                return self._past_password(desk, user)
            case "SOFTWARE_TOKEN_MFA":
                self._check_totp(desk, user, needed(answers, "SOFTWARE_TOKEN_MFA_CODE"))
                return self._signed_in(desk, user)
            case "SMS_MFA":
                if not is_same(challenge.code.reveal(), needed(answers, "SMS_MFA_CODE")):
                    raise mismatch()
                return self._signed_in(desk, user)
        raise not_authorized(WRONG_SESSION)

    def _verify(self, desk: Desk, username: str, answers: Mapping[str, str]) -> Value:
        """The proof of SRP. Raises Refusal."""
        block = needed(answers, "PASSWORD_CLAIM_SECRET_BLOCK")
        signature = needed(answers, "PASSWORD_CLAIM_SIGNATURE")
        stamp = needed(answers, "TIMESTAMP")
        now = self._cloud.now()
        if (said := moment_of(stamp)) is None:
            raise invalid("TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english")
        challenge = self._challenges.take(block, "PASSWORD_VERIFIER", desk.client.client_id, now)
        assert challenge.srp is not None  # every challenge of this name has one
        user = desk.pool.user_of(challenge.user) if challenge.user else None
        known = user.name if user else username
        statement = f"{desk.pool.name}{known}".encode() + challenge.block + stamp.encode()
        proven = username == known and abs(said - now) <= _OFF
        self._check_password(desk, user, proven and srp.is_proven(challenge.srp, statement, signature))
        assert user is not None  # nobody knows the password of somebody who is not there
        return self._past_password(desk, user)

    def _check_password(self, desk: Desk, user: User | None, is_right: bool) -> None:  # noqa: FBT001 - it is the question
        """Count what was wrong, and refuse who has been wrong too often. Raises Refusal."""
        if user is None:
            raise not_authorized(INCORRECT)
        self._attempts.check(desk.pool, user, self._cloud.now())
        if not is_right:
            self._attempts.failed(desk.pool, user, self._cloud.now())
            raise not_authorized(INCORRECT)
        self._attempts.succeeded(desk.pool, user)

    def _past_password(self, desk: Desk, user: User) -> Value:
        """The password was right: what is missing yet? Raises Refusal."""
        if not user.enabled:
            raise not_authorized("User is disabled.")
        match user.state:
            case "UNCONFIRMED":
                raise Refusal("UserNotConfirmedException", "User is not confirmed.")
            case "RESET_REQUIRED":
                raise Refusal("PasswordResetRequiredException", "Password reset required for the user")
            case "FORCE_CHANGE_PASSWORD":
                attributes = {name: value for name, value in user.attributes.items() if name != "phone_number"}
                about = {"requiredAttributes": "[]", "userAttributes": json.dumps(attributes)}
                return self._ask("NEW_PASSWORD_REQUIRED", desk, user, about)
        match user.mfa if desk.pool.mfa != "OFF" else None:
            case "SOFTWARE_TOKEN_MFA":
                return self._ask("SOFTWARE_TOKEN_MFA", desk, user, {})
            case "SMS_MFA":
                return self._send_code(desk, user)
        if desk.pool.mfa == "ON":
            return self._ask("MFA_SETUP", desk, user, {"MFAS_CAN_SETUP": '["SOFTWARE_TOKEN_MFA"]'})
        return self._signed_in(desk, user)

    def _send_code(self, desk: Desk, user: User) -> Value:
        code = f"{self._cloud.rng.randrange(10**6):06}"
        number = user.attributes["phone_number"]
        self.told = f"the code sent to {number} is {code}"
        hidden = f"+{'*' * (len(number) - 5)}{number[-4:]}"
        about = {"CODE_DELIVERY_DELIVERY_MEDIUM": "SMS", "CODE_DELIVERY_DESTINATION": hidden}
        return self._ask("SMS_MFA", desk, user, about, Secret(code))

    def _ask(
        self, name: str, desk: Desk, user: User, about: Mapping[str, str], code: Secret | None = None
    ) -> Mapping[str, Value]:
        challenge = self._challenge(name, desk, user.name, code=code or Secret(""))
        parameters = {**about, "USER_ID_FOR_SRP": user.name}
        return {"ChallengeName": name, "Session": self._challenges.put(challenge), "ChallengeParameters": parameters}

    def _challenge(
        self,
        name: str,
        desk: Desk,
        user: str,
        *,
        srp: srp.Exchange | None = None,
        block: bytes = b"",
        code: Secret = Secret(""),  # noqa: B008 - it never changes
    ) -> Challenge:
        ends = self._cloud.now() + SESSION
        return Challenge(name, desk.pool.pool_id, desk.client.client_id, user, ends, srp, block, code)

    def _change_password(self, desk: Desk, user: User, password: str) -> User:
        if len(password) < desk.pool.shortest_password:
            raise bad_password("Password not long enough")
        changed = replace(user, password=password, state="CONFIRMED")
        users = tuple(changed if one.name == user.name else one for one in desk.pool.users)
        pools = tuple(
            replace(one, users=users) if one.pool_id == desk.pool.pool_id else one
            for one in self._cloud.world.user_pools
        )
        self._cloud.world = replace(self._cloud.world, user_pools=pools)
        return changed

    def _check_totp(self, desk: Desk, user: User, code: str) -> None:
        assert user.totp_secret is not None  # or it would not have been asked for
        step = totp.step_of(user.totp_secret, code, self._cloud.now())
        if step is None:
            raise Refusal("CodeMismatchException", "Code mismatch")
        if self._steps.get((desk.pool.pool_id, user.name)) == step:
            raise Refusal("ExpiredCodeException", "Your software token has already been used once.")
        self._steps[desk.pool.pool_id, user.name] = step

    # --- tokens

    def _signed_in(self, desk: Desk, user: User) -> Value:
        now = self._cloud.now()
        origin = Origin(now, new_id(self._cloud.rng))
        ends = now + desk.client.refresh_lifetime
        given = Refreshing(desk.pool.pool_id, desk.client.client_id, user.name, origin, ends)
        return self._result(desk, user, origin, self.refresh_tokens.give(given))

    def _result(self, desk: Desk, user: User, origin: Origin, refresh_token: str | None = None) -> Value:
        keys, now, rng = self.keys(desk.pool), self._cloud.now(), self._cloud.rng
        result: Value = {
            "AccessToken": access_token(keys, desk.pool, desk.client, user, origin, now=now, rng=rng),
            "ExpiresIn": int(desk.client.token_lifetime.total_seconds()),
            "IdToken": id_token(keys, desk.pool, desk.client, user, origin, now=now, rng=rng),
            "RefreshToken": refresh_token,
            "TokenType": "Bearer",
        }
        return {"AuthenticationResult": result, "ChallengeParameters": {}}

    def _tokens_from_refresh_token(self, asked: Spoken) -> Value:
        token = asked.text("RefreshToken", _TOKEN)
        desk = self._desk(asked)
        check_client_secret(desk, asked)
        now = self._cloud.now()
        known = self.refresh_tokens.use(token, desk.client, now)
        user = self._still(desk, known.user)
        fresh = self.refresh_tokens.rotate(token, now) if desk.client.rotation else None
        result = self._result(desk, user, known.origin, fresh)
        assert isinstance(result, Mapping)
        return {"AuthenticationResult": result["AuthenticationResult"]}

    def _revoke(self, asked: Spoken) -> Value:
        token = asked.text("Token", _TOKEN)
        desk = self._desk(asked)
        check_client_secret(desk, asked)
        if token.count(".") != 4:
            raise Refusal("UnsupportedTokenTypeException", "Unsupported token type")  # the text is a guess
        self.refresh_tokens.revoke(token, desk.client.client_id)
        return {}

    # --- who

    def _desk(self, asked: Spoken) -> Desk:
        client_id = asked.text("ClientId", CLIENT_ID, 1, 128)
        for pool in self._cloud.world.user_pools:
            if client := pool.client_of(client_id):
                return Desk(pool, client)
        raise no_client(client_id)

    def _user(self, desk: Desk, name: str) -> User | None:
        user = desk.pool.user_of(name)
        if user is None and not desk.client.prevent_user_existence_errors:
            raise no_user()
        return user

    def _still(self, desk: Desk, name: str) -> User:
        """Somebody who was there when the sign-in began. Raises Refusal."""
        user = desk.pool.user_of(name)
        if user is None:
            raise no_user()
        if not user.enabled:
            raise not_authorized("User is disabled.")
        return user
