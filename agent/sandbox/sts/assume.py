"""What happens when a token is brought to be exchanged for a role?

AssumeRoleWithWebIdentity. AWS does not publish the order of its checks; this one keeps to what has been seen:
parameters first, the token's shape before its provider, the provider before its keys, the roles claim before the
trust policy.
"""

import re
from datetime import timedelta
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.documents import Value
from agent.sandbox.issued import Issued, KeyMaterial, new_material
from agent.sandbox.policies.policy import Policy
from agent.sandbox.refusals import TOO_LONG_A_SESSION, no_provider, not_authorized, validation
from agent.sandbox.sts.claims import read_wishes
from agent.sandbox.sts.issuer import Issuers
from agent.sandbox.sts.parameters import Asked
from agent.sandbox.sts.session_policy import inline_policy, managed_policies, packed_size
from agent.sandbox.sts.tokens import audience, check_signature, check_times, subject, take_apart
from agent.sandbox.sts.trust import ASSUME, Identity, check_trust, context
from agent.sandbox.world import Role

_ROLE_ARN: Final = re.compile(r"arn:[a-z-]+:iam::(\d{12}):role/.+", re.DOTALL)
#: The largest token STS gives, against which it reports how much is used.
_LARGEST_TOKEN: Final = 4096


class WebIdentity:
    """The exchange of tokens for credentials."""

    def __init__(self, cloud: Cloud, issuers: Issuers) -> None:
        self._cloud = cloud
        self._issuers = issuers

    async def assume(self, asked: Asked, peer: str) -> Value:
        """Check everything and hand out credentials: the members of AWS's answer. Raises Refusal."""
        account = _ROLE_ARN.fullmatch(asked.role_arn)
        if not account:
            raise validation("Request ARN is invalid")
        identity = await self._identify(asked, account[1])
        role = self._cloud.world.role_of(asked.role_arn)
        if role is None:
            raise not_authorized(ASSUME)
        if asked.duration > role.max_session:
            raise validation(TOO_LONG_A_SESSION)
        check_trust(role, identity, context(identity, asked.session_name, peer))
        policies = managed_policies(asked.policy_arns, self._cloud.world)
        if asked.policy is not None:
            policies = (inline_policy(asked.policy), *policies)
        packed = packed_size(asked.policy, asked.policy_arns, identity.wishes.tags)
        material = new_material(self._cloud.rng, asked.minimum_token_size)
        issued = self._issue(asked, role, identity, policies, material)
        return _answer(issued, identity, packed)

    async def _identify(self, asked: Asked, account: str) -> Identity:
        """Believe the token, or not. Raises Refusal."""
        presented = take_apart(asked.token, asked.provider_id)
        world = self._cloud.world
        provider = world.provider_of(presented.issuer) if account == world.account_id else None
        if provider is None:
            raise no_provider(presented.issuer)
        meant_for = audience(presented.claims, provider.client_ids)
        check_signature(presented, await self._issuers.keys(provider, presented.kid))
        check_times(presented.claims, self._cloud.now())
        who = subject(presented.claims)
        wishes = read_wishes(presented.claims, asked.role_arn)
        return Identity(provider, world.provider_arn(provider), who, meant_for, presented.claims, wishes)

    def _issue(
        self, asked: Asked, role: Role, identity: Identity, policies: tuple[Policy, ...], material: KeyMaterial
    ) -> Issued:
        """Make the session and remember it."""
        world = self._cloud.world
        now = self._cloud.now().replace(microsecond=0)
        short = self._cloud.faults.strike(role.arn, ("lifetime",))
        lifetime = min(asked.duration, *(timedelta(seconds=one.seconds) for one in short)) if short else asked.duration
        arn = f"arn:{world.partition}:sts::{world.account_id}:assumed-role/{role.name}/{asked.session_name}"
        user_id = f"{role.unique_id}:{asked.session_name}"
        keys = {
            **identity.session_keys(),
            "aws:federatedprovider": (identity.provider_arn,),
            "aws:principalarn": (role.arn,),
            "aws:principalaccount": (world.account_id,),
            "aws:principaltype": ("AssumedRole",),
            "aws:userid": (user_id,),
            **{f"aws:principaltag/{key.lower()}": (value,) for key, value in identity.wishes.tags.items()},
        }
        if identity.wishes.source_identity is not None:
            keys["aws:sourceidentity"] = (identity.wishes.source_identity,)
        issued = Issued(
            access_key_id=material.access_key_id,
            secret_access_key=material.secret_access_key,
            session_token=material.session_token,
            expires_at=now + lifetime,
            role_arn=role.arn,
            arn=arn,
            user_id=user_id,
            session_policies=policies,
            context=keys,
        )
        self._cloud.register.add(issued, now)
        return issued


def _answer(issued: Issued, identity: Identity, packed: int | None) -> Value:
    """The members of AWS's answer."""
    token = issued.session_token.reveal()
    return {
        "SubjectFromWebIdentityToken": identity.subject,
        "Audience": identity.audience.client,
        "AssumedRoleUser": {"AssumedRoleId": issued.user_id, "Arn": issued.arn},
        "Credentials": {
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.secret_access_key.reveal(),
            "SessionToken": token,
            "Expiration": issued.expires_at,
        },
        "Provider": identity.provider_arn,
        "SourceIdentity": identity.wishes.source_identity,
        "PackedPolicySize": packed,
        "SessionTokenSize": len(token),
        "SessionTokenUtilization": -(-100 * len(token) // _LARGEST_TOKEN),
    }
