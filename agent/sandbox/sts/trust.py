"""May this token become that role?

What a role's trust policy can ask about, and its verdict. AWS gives one answer to everything that is wrong here,
so that nobody can find out which roles exist.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.sandbox.policies.conditions import Context
from agent.sandbox.policies.policy import Asking, Decision
from agent.sandbox.refusals import not_authorized
from agent.sandbox.sts.claims import Wishes
from agent.sandbox.sts.tokens import Audience
from agent.sandbox.world import Provider, Role

ASSUME: Final = "sts:AssumeRoleWithWebIdentity"


@dataclass(frozen=True, slots=True)
class Identity:
    """A token that has been believed: who it says the caller is."""

    provider: Provider
    provider_arn: str
    subject: str
    audience: Audience
    claims: Mapping[str, object]
    wishes: Wishes

    def session_keys(self) -> dict[str, tuple[str, ...]]:
        """The claims that stay with the session as condition keys: aud, sub and amr, no others."""
        prefix = self.provider.host_and_path.lower()
        keys: dict[str, tuple[str, ...]] = {f"{prefix}:aud": (self.audience.client,), f"{prefix}:sub": (self.subject,)}
        amr = self.claims.get("amr")
        listed = [amr] if isinstance(amr, str) else amr
        if isinstance(listed, list) and all(isinstance(one, str) for one in listed):
            keys[f"{prefix}:amr"] = tuple(listed)
        return keys


def context(identity: Identity, session_name: str, peer: str) -> Context:
    """Everything a trust policy's conditions can ask about; keys in lower case.

    Custom claims of a private issuer are not among them: AWS offers those of a few public issuers only.
    """
    prefix = identity.provider.host_and_path.lower()
    wishes = identity.wishes
    keys = {
        **identity.session_keys(),
        "sts:rolesessionname": (session_name,),
        "sts:roleauthorizedbyidp": ("true" if wishes.pinned else "false",),
        "aws:federatedprovider": (identity.provider_arn,),
        "aws:sourceip": (peer,),
    }
    email = identity.claims.get("email")
    if isinstance(email, str):
        keys[f"{prefix}:email"] = (email,)
    if identity.audience.original:
        keys[f"{prefix}:oaud"] = identity.audience.original
    if wishes.tags:
        keys |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in wishes.tags.items()}
        keys["aws:tagkeys"] = tuple(wishes.tags)
    if wishes.transitive:
        keys["sts:transitivetagkeys"] = wishes.transitive
    if wishes.source_identity is not None:
        keys["sts:sourceidentity"] = (wishes.source_identity,)
    return keys


def check_trust(role: Role, identity: Identity, asked: Context) -> None:
    """Ask the trust policy for the role, and for the right to tag and to name a source. Raises Refusal."""
    actions = [ASSUME]
    if identity.wishes.tags:
        actions.append("sts:TagSession")
    if identity.wishes.source_identity is not None:
        actions.append("sts:SetSourceIdentity")
    for action in actions:
        asking = Asking(action, federated=identity.provider_arn, context=asked)
        if role.trust.decide(asking) is not Decision.ALLOWED:
            raise not_authorized(action)
