"""What does an identity pool give to somebody who brings the token of a sign-in?

cognito-identity: GetId, GetCredentialsForIdentity, GetOpenIdToken. The token of a login is verified as STS verifies
tokens; the role's trust policy decides, as it does where Cognito asks STS for the role.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.cognito.issuing import PoolKey, identity_token, new_id, new_keys
from agent.sandbox.cognito.refusals import invalid, not_authorized
from agent.sandbox.cognito.speech import Spoken
from agent.sandbox.cognito.user_pools import UserPools
from agent.sandbox.documents import Value
from agent.sandbox.issued import Issued, new_material
from agent.sandbox.policies.policy import Asking, Decision
from agent.sandbox.pools import IdentityPool, UserPool
from agent.sandbox.refusals import Refusal
from agent.sandbox.sts.issuer import Issuers, choose
from agent.sandbox.sts.tokens import audience, check_signature, check_times, subject, take_apart
from agent.sandbox.sts.trust import ASSUME
from agent.sandbox.world import Role
from agent.secret import Secret

ISSUER: Final = "https://cognito-identity.amazonaws.com"
_PRINCIPAL: Final = "cognito-identity.amazonaws.com"
_SESSION_NAME: Final = "CognitoIdentityCredentials"
_ID: Final = r"[\w-]+:[0-9a-f-]+"
_LIFETIME: Final = timedelta(hours=1)
_TOKEN_LIFETIME: Final = timedelta(minutes=10)
_BAD_ROLES: Final = "Invalid identity pool configuration. Check assigned IAM roles for this pool."


@dataclass(frozen=True, slots=True)
class Login:
    """A login that has been believed: by which provider, and who."""

    provider: str
    subject: str


class IdentityPools:
    """The identity pools' service.

    Args:
        users: the service of the user pools, whose keys it knows.
        issuers: where the keys of other issuers come from.
    """

    def __init__(self, cloud: Cloud, users: UserPools, issuers: Issuers) -> None:
        self._cloud = cloud
        self._users = users
        self._issuers = issuers
        self._identities: dict[tuple[str, Login | None], str] = {}
        self._pools: dict[str, str] = {}
        self._key: PoolKey | None = None

    @property
    def key(self) -> PoolKey:
        """What signs the tokens of GetOpenIdToken; made when it is first wanted."""
        if self._key is None:
            self._key = new_keys(self._cloud.rng).of_id_tokens
        return self._key

    async def perform(self, asked: Spoken) -> Value:
        """Perform an operation: the members of its result. Raises Refusal."""
        match asked.operation:
            case "GetId":
                pool = self._pool(asked.text("IdentityPoolId", _ID, 1, 55))
                return {"IdentityId": self._identity(pool, await self._login(pool, asked))}
            case "GetCredentialsForIdentity":
                return await self._credentials(asked)
            case "GetOpenIdToken":
                identity, pool, login = await self._known(asked)
                if not pool.allow_classic:
                    raise invalid("Basic (classic) flow is not enabled, please use enhanced flow.")
                now = self._cloud.now()
                token = identity_token(self.key, pool.pool_id, identity, _amr(login), now, _TOKEN_LIFETIME)
                return {"IdentityId": identity, "Token": token}
        raise Refusal("UnknownOperationException", "")

    async def _credentials(self, asked: Spoken) -> Value:
        identity, pool, login = await self._known(asked)
        arn = pool.authenticated_role if login else pool.unauthenticated_role
        if asked.maybe("CustomRoleArn", least=20, most=2048) is not None:
            raise not_authorized("Logins do not carry the role that is asked for")  # the text is a guess
        role = self._cloud.world.role_of(arn) if arn else None
        if role is None or not _trusts(role, pool, identity, login):
            raise Refusal("InvalidIdentityPoolConfigurationException", _BAD_ROLES)
        issued = self._issue(role, pool, identity, login)
        return {
            "IdentityId": identity,
            "Credentials": {
                "AccessKeyId": issued.access_key_id,
                "SecretKey": issued.secret_access_key.reveal(),
                "SessionToken": issued.session_token.reveal(),
                "Expiration": issued.expires_at,
            },
        }

    def _issue(self, role: Role, pool: IdentityPool, identity: str, login: Login | None) -> Issued:
        now = self._cloud.now().replace(microsecond=0)
        world, material = self._cloud.world, new_material(self._cloud.rng, 0)
        short = self._cloud.faults.strike(role.arn, ("lifetime",))
        lifetime = min((_LIFETIME, *(timedelta(seconds=one.seconds) for one in short)))
        user_id = f"{role.unique_id}:{_SESSION_NAME}"
        issued = Issued(
            access_key_id=material.access_key_id,
            secret_access_key=material.secret_access_key,
            session_token=material.session_token,
            expires_at=now + lifetime,
            role_arn=role.arn,
            arn=f"arn:{world.partition}:sts::{world.account_id}:assumed-role/{role.name}/{_SESSION_NAME}",
            user_id=user_id,
            session_policies=(),
            context={
                **_session_keys(pool, identity, login),
                "aws:federatedprovider": (_PRINCIPAL,),
                "aws:principalarn": (role.arn,),
                "aws:principalaccount": (world.account_id,),
                "aws:principaltype": ("AssumedRole",),
                "aws:userid": (user_id,),
            },
        )
        self._cloud.register.add(issued, now)
        return issued

    async def _known(self, asked: Spoken) -> tuple[str, IdentityPool, Login | None]:
        """An identity, its pool, and the login that it is asked for with, which must be its own. Raises Refusal."""
        identity = asked.text("IdentityId", _ID, 1, 55)
        if identity not in self._pools:
            raise Refusal("ResourceNotFoundException", f"Identity '{identity}' not found.")
        pool = self._pool(self._pools[identity])
        login = await self._login(pool, asked)
        owner = next(who for (_, who), one in self._identities.items() if one == identity)
        if owner != login:
            raise not_authorized(
                "Logins don't match. Please include at least one valid login for this identity or identity pool."
                if login
                else f"Access to Identity '{identity}' is forbidden."
            )
        return identity, pool, login

    def _pool(self, pool_id: str) -> IdentityPool:
        found = next((one for one in self._cloud.world.identity_pools if one.pool_id == pool_id), None)
        if found is None:
            raise Refusal("ResourceNotFoundException", f"IdentityPool '{pool_id}' not found.")
        return found

    def _identity(self, pool: IdentityPool, login: Login | None) -> str:
        """The identity of a login, the same each time; of a guest, a new one."""
        known = self._identities.get((pool.pool_id, login)) if login else None
        if known is None:
            known = f"{pool.region}:{uuid.UUID(new_id(self._cloud.rng))}"
            if login is None:  # guests are many, and have no name to be known by but the identity itself
                self._identities = {key: one for key, one in self._identities.items() if key[1] is not None}
            self._identities[pool.pool_id, login] = known
            self._pools[known] = pool.pool_id
        return known

    async def _login(self, pool: IdentityPool, asked: Spoken) -> Login | None:
        """Who brings the login; None for a guest, where those are let in. Raises Refusal."""
        logins = asked.table("Logins", 10)
        if not logins:
            if not pool.allow_unauthenticated:
                raise not_authorized("Unauthenticated access is not supported for this identity pool.")
            return None
        believed = [await self._believe(pool, provider, Secret(token)) for provider, token in logins.items()]
        return believed[0]

    async def _believe(self, pool: IdentityPool, provider: str, token: Secret) -> Login:
        users = next((one for one in self._cloud.world.user_pools if one.provider_name == provider), None)
        try:
            shown = take_apart(token, None)
            if shown.issuer != f"https://{provider}":
                raise not_authorized("Invalid login token. Issuer doesn't match providerName")
            if users is not None and any(name == provider for name, _ in pool.clients):
                _check_kind(shown.claims)
                clients = [client for name, client in pool.clients if name == provider]
                audience(shown.claims, clients)
                check_signature(shown, choose(_jwks(self._users, users), shown.kid))
            else:
                await self._check_foreign(pool, provider, token)
            check_times(shown.claims, self._cloud.now())
            return Login(provider, subject(shown.claims))
        except Refusal as refusal:
            raise _login_refused(refusal) from refusal

    async def _check_foreign(self, pool: IdentityPool, provider: str, token: Secret) -> None:
        known = self._cloud.world.provider_of(f"https://{provider}")
        if known is None or known.url not in pool.openid_providers:
            raise not_authorized("Token is not from a supported provider of this identity pool.")
        shown = take_apart(token, None)
        audience(shown.claims, known.client_ids)
        check_signature(shown, await self._issuers.keys(known, shown.kid))


def _check_kind(claims: Mapping[str, object]) -> None:
    if claims.get("token_use") != "id":
        raise not_authorized("Invalid login token. Not a valid OpenId Connect identity token.")


def _jwks(users: UserPools, pool: UserPool) -> tuple[Mapping[str, object], ...]:
    keys = users.keys(pool)
    return (keys.of_id_tokens.jwk, keys.of_access_tokens.jwk)


def _login_refused(refusal: Refusal) -> Refusal:
    """What STS would say of a token, as an identity pool says it: Cognito's own beginning, and perhaps its words."""
    if refusal.code == "NotAuthorizedException":
        return refusal
    return not_authorized(f"Invalid login token. {refusal.message}")


def _trusts(role: Role, pool: IdentityPool, identity: str, login: Login | None) -> bool:
    context = {**_session_keys(pool, identity, login), "sts:rolesessionname": (_SESSION_NAME,)}
    return role.trust.decide(Asking(ASSUME, federated=_PRINCIPAL, context=context)) is Decision.ALLOWED


def _session_keys(pool: IdentityPool, identity: str, login: Login | None) -> dict[str, tuple[str, ...]]:
    """What trust policies and the session's policies can ask for."""
    return {
        f"{_PRINCIPAL}:aud": (pool.pool_id,),
        f"{_PRINCIPAL}:sub": (identity,),
        f"{_PRINCIPAL}:amr": tuple(_amr(login)),
    }


def _amr(login: Login | None) -> list[str]:
    if login is None:
        return ["unauthenticated"]
    return ["authenticated", login.provider, f"{login.provider}:{login.subject}"]
