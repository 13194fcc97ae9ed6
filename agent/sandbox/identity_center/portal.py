"""Which accounts and roles does a sign-in open, and by which credentials?

The access portal's own API, asked with an access token in `x-amz-sso_bearer_token`.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from agent.sandbox.centers import IdentityCenter, User, unique_id
from agent.sandbox.cloud import Cloud
from agent.sandbox.identity_center.refusals import portal_refusal
from agent.sandbox.identity_center.sessions import Session, Sessions
from agent.sandbox.issued import Issued, new_material
from agent.sandbox.wire import Wire

_BEARER: Final = "x-amz-sso_bearer_token"
_INVALID: Final = "InvalidRequestException"


class Portal:
    """The access portal."""

    def __init__(self, cloud: Cloud, sessions: Sessions) -> None:
        self._cloud = cloud
        self._sessions = sessions
        self._key = cloud.rng.randbytes(32)

    def accounts(self, center: IdentityCenter, wire: Wire) -> Mapping[str, object]:
        """ListAccounts: those in which the user is assigned anything. Raises Refusal."""
        user = self._user(center, wire)
        mine = [
            {"accountId": one.id, "accountName": one.name, "emailAddress": one.email}
            for one in center.accounts
            if user.assignments.get(one.id)
        ]
        return self._page(center, wire, "accountList", mine, user.name)

    def roles(self, center: IdentityCenter, wire: Wire) -> Mapping[str, object]:
        """ListAccountRoles: the permission sets that the user is assigned in an account. Raises Refusal."""
        user = self._user(center, wire)
        account = _parameter(wire, "account_id")
        assigned = user.assignments.get(account)
        if not assigned:
            raise portal_refusal("ForbiddenException", f"{user.name} is assigned nothing in {account}")
        mine = [{"roleName": one, "accountId": account} for one in sorted(assigned)]
        return self._page(center, wire, "roleList", mine, f"{user.name} {account}")

    def credentials(self, center: IdentityCenter, wire: Wire) -> Mapping[str, object]:
        """GetRoleCredentials: those of a permission set's role, for as long as that says. Raises Refusal."""
        user = self._user(center, wire)
        account, name = _parameter(wire, "account_id"), _parameter(wire, "role_name")
        if name not in user.assignments.get(account, ()):
            raise portal_refusal("ForbiddenException", f"{user.name} is not assigned {name} in {account}")
        issued = self._issue(center, user, account, name)
        return {
            "roleCredentials": {
                "accessKeyId": issued.access_key_id,
                "secretAccessKey": issued.secret_access_key.reveal(),
                "sessionToken": issued.session_token.reveal(),
                "expiration": int(issued.expires_at.timestamp() * 1000),
            }
        }

    def logout(self, wire: Wire) -> Mapping[str, object]:
        """Logout: the session ends; credentials that came of it live on until they expire. Raises Refusal."""
        self._sessions.end(self._session(wire))
        return {}

    def _session(self, wire: Wire) -> Session:
        session = self._sessions.by_access_token(wire.headers.get(_BEARER, ""))
        if not session.opens_portal:
            raise portal_refusal("ForbiddenException", "the client is not registered for sso:account:access")
        return session

    def _user(self, center: IdentityCenter, wire: Wire) -> User:
        """Who asks; somebody who has been removed meanwhile is nobody. Raises Refusal."""
        session = self._session(wire)
        user = center.user(session.user)
        if user is None:
            raise portal_refusal("UnauthorizedException", f"there is no user {session.user} any more")
        return user

    def _page(
        self, center: IdentityCenter, wire: Wire, name: str, items: Sequence[Mapping[str, object]], whose: str
    ) -> Mapping[str, object]:
        """As much of a list as was asked for, and what to ask for the rest with. Raises Refusal."""
        query = dict(wire.query_pairs)
        wanted = query.get("max_result", str(center.page))
        if not re.fullmatch(r"[1-9][0-9]?|100", wanted, re.ASCII):
            raise portal_refusal(_INVALID, "max_result is not between 1 and 100")
        start = self._opened(query["next_token"], f"{name} {whose}") if query.get("next_token") else 0
        end = start + int(wanted)
        rest = self._sealed(end, f"{name} {whose}") if end < len(items) else None
        return {name: items[start:end], "nextToken": rest}

    def _sealed(self, start: int, what: str) -> str:
        """Where a list goes on, such that nobody can make it up, or use it for another list."""
        seal = hmac.digest(self._key, f"{what} {start}".encode(), hashlib.sha256)
        return base64.b64encode(json.dumps([start, seal.hex()]).encode()).decode()

    def _opened(self, token: str, what: str) -> int:
        """Where a list goes on. Raises Refusal."""
        try:
            start, _ = json.loads(base64.b64decode(token, validate=True))
            right = isinstance(start, int) and hmac.compare_digest(self._sealed(start, what), token)
        except (ValueError, TypeError, RecursionError):
            right = False
        if not right:
            raise portal_refusal(_INVALID, "next_token is not from here, or of another list")
        return int(start)

    def _issue(self, center: IdentityCenter, user: User, account: str, name: str) -> Issued:
        """Make the role session and remember it."""
        permission_set = center.permission_set(name)
        assert permission_set is not None  # the world does not assign what does not exist
        partition = self._cloud.world.partition
        role_arn = center.role_arn(partition, account, name)
        role = role_arn.rpartition("/")[2]
        now = self._cloud.now().replace(microsecond=0)
        struck = self._cloud.faults.strike(role_arn, ("lifetime",))
        lifetime = min([permission_set.session, *(timedelta(seconds=one.seconds) for one in struck)])
        material = new_material(self._cloud.rng, 0)
        user_id = f"{unique_id(role_arn)}:{user.name}"
        issued = Issued(
            access_key_id=material.access_key_id,
            secret_access_key=material.secret_access_key,
            session_token=material.session_token,
            expires_at=now + lifetime,
            role_arn=role_arn,
            arn=f"arn:{partition}:sts::{account}:assumed-role/{role}/{user.name}",
            user_id=user_id,
            session_policies=(),
            context={
                "aws:principalarn": (role_arn,),
                "aws:principalaccount": (account,),
                "aws:principaltype": ("AssumedRole",),
                "aws:userid": (user_id,),
            },
            made_elsewhere=True,
            role_policies=permission_set.identity,
        )
        self._cloud.register.add(issued, now)
        return issued


def _parameter(wire: Wire, name: str) -> str:
    """A parameter of the query that must be there. Raises Refusal."""
    value = dict(wire.query_pairs).get(name, "")
    if not value:
        raise portal_refusal(_INVALID, f"{name} is missing")
    return value
