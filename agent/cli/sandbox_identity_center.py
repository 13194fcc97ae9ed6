"""Which Identity Center does a configuration call for, some of whose roles a person has by signing in?"""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Final

from agent.errors import ConfigurationError
from agent.sandbox import World, use_of_bucket
from agent.sandbox.centers import ACCOUNT_ACCESS, Account, IdentityCenter, PermissionSet, User
from agent.settings import IdentityCenterRole, Settings

#: Who signs in there. Nobody knows who does at AWS.
USER: Final = "ada"
_PARTITIONS: Final = {"cn": "aws-cn", "us-gov": "aws-us-gov", "eusc": "aws-eusc"}


def with_identity_center(settings: Settings, world: World | None) -> World:
    """The world with the Identity Center of [identity_center], where one user has all that the roles ask for.

    Without a world it is that of the first role's account. Every permission set may use the bucket, for twelve hours
    at a time. Raises ConfigurationError where no role is had by a sign-in and there is no world either.
    """
    words = settings.identity_center
    if words is None:
        raise ConfigurationError("there is no [identity_center] in this configuration", hint="add it, or leave it out")
    wanted = [one for one in settings.roles.values() if isinstance(one, IdentityCenterRole)]
    if world is None and not wanted:
        raise ConfigurationError(
            "no role of this configuration is had by a sign-in, so there is no account to be made in the sandbox",
            hint='write source = "identity_center" for a role, or describe the account: rolecall sandbox --world FILE',
        )
    home = world or World(
        account_id=wanted[0].account,
        partition=_partition(words.region),
        objects={"hello.txt": b"Hello from the sandbox.\n"},
    )
    numbers = sorted({one.account for one in wanted} or {home.account_id})
    names = sorted({one.permission_set for one in wanted})
    assigned = {
        number: tuple(sorted({one.permission_set for one in wanted if one.account == number})) for number in numbers
    }
    center = IdentityCenter(
        start_url=re.sub(r"/?(#/?)?$", "", words.start_url) + ("" if _has_path(words.start_url) else "/"),
        region=words.region,
        accounts=tuple(Account(number, f"Account {number}") for number in numbers),
        permission_sets=tuple(PermissionSet(name, timedelta(hours=12), (use_of_bucket(home),)) for name in names),
        users=(User(USER, assigned),),
        scopes=tuple(dict.fromkeys((ACCOUNT_ACCESS, *words.scopes))),
    )
    return replace(home, identity_center=center)


def _has_path(url: str) -> bool:
    return re.fullmatch(r"https://[^/]+(/?#?/?)", url) is None


def _partition(region: str) -> str:
    return next((name for start, name in _PARTITIONS.items() if region.startswith(f"{start}-")), "aws")
