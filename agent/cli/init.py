"""How does a host get its first key, configuration and AWS side?

Everything is asked, checked and looked for first, then written; nothing is ever overwritten.
"""

import argparse
import grp
import json
import os
import pwd
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

from agent.assembly.infrastructure import infrastructure_files
from agent.cli.first_configuration import AUDIENCE, SUBJECT, Answers, checked, doubt_about
from agent.cli.first_files import SHARED, Plan, User
from agent.cli.first_publishing import add_publishing, publishing_of
from agent.cli.first_relying_parties import (
    add_relying_parties,
    first_sides,
    planned,
    steps,
    there_already,
    write_beside,
)
from agent.cli.next_steps import SERVICE_DIRECTORY, SERVICE_STATE, SERVICE_USER, Written, next_steps
from agent.cli.terminal import say, warn
from agent.errors import ConfigurationError
from agent.infrastructure import Role, Trust, by_account
from agent.infrastructure.trust import QUOTA, policy_of, size
from agent.infrastructure.written import marked
from agent.keys import Kind
from agent.publishing.discovery import DISCOVERY_PATH, address
from agent.settings import Settings
from agent.settings.credentials import partition_of
from agent.settings.tokens import SelfSigned

HELP = "make a first configuration, a key, the issuer's documents and the AWS side"
EXAMPLE = (
    "rolecall init --issuer https://oidc.example.com --region eu-central-1 \\\n"
    "    --role backup=arn:aws:iam::123456789012:role/backup"
)


#: Stands in for what has not been asked yet, so that each answer can be checked as soon as it is given.
_SOUND: Final = Answers("https://oidc.example.com", "eu-central-1", {}, Path("/nowhere"))

_Ask = Callable[[str, str, Callable[[str], Answers]], str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add one option for each question, and those that nobody is asked about."""
    add = parser.add_argument
    add("--issuer", metavar="URL", help="where the world will read our public keys")
    add("--region", metavar="REGION", help="the AWS region whose STS we ask")
    add("--role", action="append", metavar="NAME=ARN", help="a role that this host is to have; may be repeated")
    by = "; it shows no token, then; may be repeated"
    add("--grant-unit", action="append", metavar="NAME=UNIT", help=f"let this unit of systemd have that role{by}")
    add("--grant-user", action="append", metavar="NAME=USER", help=f"let this user have that role{by}")
    add("--subject", default=SUBJECT, help=f"what the tokens call this host (default: {SUBJECT})")
    add("--audience", default=AUDIENCE, help=f"whom the tokens are for (default: {AUDIENCE})")
    add("--key-kind", choices=get_args(Kind), default="rsa-2048", help="the key to make (default: %(default)s)")
    where = f"where to put everything (default: here, or {SERVICE_DIRECTORY} with --service)"
    add("--directory", type=Path, metavar="DIR", help=where)
    add("--service", action="store_true", help="as rolecall.service of systemd needs it, with a user of its own")
    where = f"where the agent itself writes: its keys, its site (default: as above, or {SERVICE_STATE} with --service)"
    add("--state", type=Path, metavar="DIR", help=where)
    add_publishing(parser)
    add_relying_parties(parser)
    add("--require-pinning", action="store_true", help="let AWS refuse tokens that do not name the role they are for")
    add("--yes", action="store_true", help="ask nothing")


def run(arguments: argparse.Namespace) -> int:
    """Ask, check, write, and say what comes next."""
    usual = (arguments.directory or (SERVICE_DIRECTORY if arguments.service else Path())) / "rolecall.toml"
    if (there := there_already(arguments, usual)) is not None:
        return write_beside(there, arguments.relying_party, as_json=arguments.json)
    if arguments.relying_party and not arguments.issuer:
        missing = f"There is no configuration at {arguments.config or usual} to write this beside"
        say(f"{missing}; name it with -c FILE, or have a first one made.")
    try:
        answers = _answers(arguments)
        if (doubt := doubt_about(answers.region)) is not None:
            warn(doubt)
        settings = checked(answers)
        plan = _plan(answers, settings, arguments)
        plan.refuse_to_overwrite()
        if not _agreed(plan, arguments):
            say("Nothing was written.")
            return 1
    except EOFError:
        say("\nNothing was written.")
        return 1
    except KeyboardInterrupt:
        say("\nNothing was written.")
        raise
    kid = plan.carry_out()
    _report(plan, settings, kid, as_json=arguments.json)
    return 0


# --- asking


def _answers(arguments: argparse.Namespace) -> Answers:
    """What the options say, and the operator where they do not."""
    known = Answers(
        arguments.issuer or _SOUND.issuer,
        arguments.region or _SOUND.region,
        _roles(arguments.role or []) if arguments.region else {},
        (arguments.directory or (SERVICE_DIRECTORY if arguments.service else Path())).absolute(),
        arguments.subject,
        arguments.audience,
        arguments.service,
        arguments.state.absolute() if arguments.state else SERVICE_STATE if arguments.service else None,
        require_pinning=arguments.require_pinning,
        granted=_granted(arguments),
    )
    _check(known)
    publishing_of(arguments, known.issuer, known.region)  # before anything is asked in vain
    ask = _nobody_to_ask if arguments.yes or not sys.stdin.isatty() else _ask
    if not arguments.issuer:
        question = "The issuer's URL, as in https://oidc.example.com: "
        known = replace(known, issuer=ask(question, "--issuer", lambda said: replace(known, issuer=said)))
    if not arguments.region:
        question = "The AWS region, as in eu-central-1: "
        region = ask(question, "--region", lambda said: replace(known, region=said))
        known = replace(known, region=region, roles=_roles(arguments.role or []))
        _check(known)
    roles = known.roles or _asked_roles(ask, known)
    if unknown := sorted(known.granted.keys() - roles.keys()):
        raise ConfigurationError(
            f"no role {unknown[0]!r} is named that could be granted", hint=f"the roles are: {', '.join(sorted(roles))}"
        )
    return replace(known, roles=roles, publishing=publishing_of(arguments, known.issuer, known.region))


def _asked_roles(ask: _Ask, known: Answers) -> dict[str, str]:
    roles: dict[str, str] = {}

    def tried(said: str) -> Answers:
        return replace(known, roles=_roles([said] if said or not roles else [], roles))

    question = "A role, as in backup=arn:aws:iam::123456789012:role/backup: "
    while said := ask(question, "--role", tried):
        roles |= _roles([said], roles)
        question = "One more role, or nothing: "
    return roles


def _nobody_to_ask(_: str, option: str, __: Callable[[str], Answers]) -> str:
    raise ConfigurationError(f"{option} is missing, and nobody can be asked", hint="run: rolecall init --help")


def _ask(question: str, _: str, tried: Callable[[str], Answers]) -> str:
    """Ask until the answer is sound. Raises EOFError."""
    while True:
        said = _line(question)
        try:
            _check(tried(said))
        except ConfigurationError as error:
            say(f"  {error.what}")
        else:
            return said


def _line(question: str) -> str:
    """Read a line from the terminal; the question is no result, so it does not go to stdout. Raises EOFError."""
    print(question, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip()


def _check(answers: Answers) -> None:
    """Raise ConfigurationError for what is wrong; while no role has been named, one that fits stands in."""
    stand_in = {"backup": f"arn:{partition_of(answers.region)}:iam::123456789012:role/backup"}
    checked(answers if answers.roles else replace(answers, roles=stand_in))


def _roles(words: Sequence[str], known: dict[str, str] | None = None) -> dict[str, str]:
    roles = dict(known or {})
    for word in words:
        name, equals, arn = word.partition("=")
        if not equals or not name or not arn:
            raise ConfigurationError(
                f"{word!r} is not NAME=ARN", hint="write it as in backup=arn:aws:iam::123456789012:role/backup"
            )
        if name in roles:
            raise ConfigurationError(f"the role {name!r} is named twice", hint="give each its own name")
        roles[name] = arn
    return roles


def _granted(arguments: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Who has which role, by the words of grants. Raises ConfigurationError."""
    granted: dict[str, dict[str, str]] = {}
    for word, said in (("unit", arguments.grant_unit), ("user", arguments.grant_user)):
        for pair in said or []:
            name, equals, value = pair.partition("=")
            if not equals or not name or not value:
                raise ConfigurationError(
                    f"{pair!r} is not NAME={word.upper()}",
                    hint="name a role, and who has it: --grant-unit backup=backup.service",
                )
            if word in granted.setdefault(name, {}):
                raise ConfigurationError(
                    f"the role {name!r} is granted to two {word}s", hint="add a [[grants]] for the other one afterwards"
                )
            granted[name][word] = value
    return granted


def _agreed(plan: Plan, arguments: argparse.Namespace) -> bool:
    """Whether to go ahead: who asks for no questions, or is no person, has said so by asking for this at all."""
    if arguments.yes or not sys.stdin.isatty():
        return True
    say(f"This will be written in {plan.answers.directory}:")
    for path in [*plan.files, *plan.published, plan.answers.keys / "KID.pem", plan.configuration]:
        say(f"  {plan.shown(path)}")
    return _line("Go on? [Y/n] ").lower() in {"", "y", "yes"}


# --- deciding


def _plan(answers: Answers, settings: Settings, arguments: argparse.Namespace) -> Plan:
    identity, issuer = settings.identity, settings.issuer
    assert isinstance(identity, SelfSigned)  # it is what the first configuration says
    assert issuer is not None
    trust = Trust(issuer.url, identity.audience, identity.subject, require_pinning=answers.require_pinning)
    accounts = by_account([Role.of(name, role.arn, role.duration) for name, role in settings.token_roles.items()])
    files: dict[Path, tuple[str, int]] = {}
    user = _service_user() if answers.service else None
    for name in answers.with_token:
        files[answers.token_file(name)] = (secrets.token_urlsafe(32), 0o600 if user is None else SHARED)
    generated, why_not = infrastructure_files(settings)
    if why_not is not None:
        warn(why_not)
    files |= {answers.directory / name: (marked(body), 0o644) for name, body in generated.items()}
    told = first_sides(settings, arguments.relying_party, arguments.key_kind)
    files |= planned(told, answers.directory)
    oversized = tuple(account for account in accounts if size(policy_of(trust, account)) > QUOTA)
    configuration = (arguments.config or answers.directory / "rolecall.toml").absolute()
    return Plan(answers, settings, configuration, arguments.key_kind, files, accounts, oversized, user, told)


def _service_user() -> User | None:
    """The user that the service runs as, if this machine has it and we may give files to it."""
    if os.geteuid() != 0:
        return None
    try:
        return User(pwd.getpwnam(SERVICE_USER).pw_uid, grp.getgrnam(SERVICE_USER).gr_gid)
    except KeyError:
        return None


# --- telling


def _report(plan: Plan, settings: Settings, kid: str, *, as_json: bool) -> None:
    for account in plan.oversized:
        say(f"warning: the trust policy for account {account.number} is longer than {QUOTA} characters: ask AWS for")
        say("a higher quota (role trust policy length), or choose a shorter subject or issuer")
    assert settings.issuer is not None
    read_at = address(settings.issuer.url, DISCOVERY_PATH)
    if as_json:
        written = [str(path) for path in plan.done]
        accounts = [account.number for account in plan.accounts]
        print(json.dumps({"written": written, "kid": kid, "discovery": read_at, "accounts": accounts}, indent=2))
        return
    print(f"Written in {plan.answers.directory}:")
    for path in plan.done:
        print(f"  {plan.shown(path)}")
    by_root, adopted = os.geteuid() == 0, plan.user is not None
    print(next_steps(Written(plan.answers, plan.configuration, read_at, tuple(plan.accounts), by_root, adopted)))
    for line in steps(plan.told, plan.answers.directory, plan.configuration, first=5):
        print(line)
