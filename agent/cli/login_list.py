"""How is shown what somebody may have, and how it is written into the configuration?"""

import getpass
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from agent.cli.terminal import paint, say, show_json
from agent.settings import IdentityCenter, IdentityCenterRole, Settings
from agent.sign_in.assignments import Account


def show_list(accounts: Sequence[Account], words: IdentityCenter, settings: Settings | None, *, as_json: bool) -> None:
    """Print it, for a program or for a person; `settings` say which of it are roles already."""
    roles = _roles(settings)
    if as_json:
        show_json(
            [
                {
                    "account": account.id,
                    "name": account.name,
                    "permission_sets": [
                        {"name": one, "roles": roles.get((account.id, one), [])} for one in account.permission_sets
                    ],
                }
                for account in accounts
            ]
        )
        return
    if not accounts:
        say(f"You are signed in at {words.start_url}, and assigned to nothing: ask its administrator.")
    for line in _lines(accounts, roles):
        print(line)
    free = [(one, name) for one in accounts for name in one.permission_sets if (one.id, name) not in roles]
    if free:
        say("\n".join(("", *_how(free[0], words, settings))))


def _roles(settings: Settings | None) -> Mapping[tuple[str, str], list[str]]:
    """The roles of the configuration, by account and permission set."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, role in settings.roles.items() if settings else ():
        if isinstance(role, IdentityCenterRole):
            found.setdefault((role.account, role.permission_set), []).append(name)
    return found


def _lines(accounts: Sequence[Account], roles: Mapping[tuple[str, str], list[str]]) -> Iterator[str]:
    width = max((len(name) for account in accounts for name in account.permission_sets), default=0)
    for account in accounts:
        yield f"{paint(account.id, 'bold')}  {_plain(account.name)}"
        for name in account.permission_sets:
            mine = ", ".join(roles.get((account.id, name), []))
            told = paint(f"the role {mine}", "green") if mine else ""
            yield f"  {name:<{width}}  {told}".rstrip()


def _how(free: tuple[Account, str], words: IdentityCenter, settings: Settings | None) -> Iterator[str]:
    """What to write to have one of them on call."""
    account, name = free
    role = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "role"
    yield f"To have one of them on call, write into {settings.path if settings else 'rolecall.toml'}:"
    yield ""
    if settings is None:
        yield "  [identity_center]"
        yield f"  start_url = {json.dumps(words.start_url)}"
        yield f"  region = {json.dumps(words.region)}"
        if words.session:
            yield f"  session = {json.dumps(words.session)}"
        yield ""
    yield f"  [roles.{role}]"
    yield '  source = "identity_center"'
    yield f'  account = "{account.id}"'
    yield f'  permission_set = "{name}"'
    yield ""
    yield "  [[grants]]"
    yield f'  roles = ["{role}"]'
    yield f"  user = {json.dumps(getpass.getuser())}"


def _plain(text: str) -> str:
    """Without what would steer a terminal: an administrator elsewhere has chosen it."""
    return "".join(one if one.isprintable() else "?" for one in text)
