"""How does somebody have an AWS of their own, to test other things against?"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.assembly.infrastructure import trust_of
from agent.cli.configuration import settings_of
from agent.cli.sandbox_cognito import sign_in_world
from agent.cli.sandbox_identity_center import with_identity_center
from agent.cli.sandbox_relying_parties import doors, with_relying_parties
from agent.cli.terminal import paint, show_json, warn
from agent.clock import SystemClock
from agent.errors import ConfigurationError
from agent.infrastructure import Role as Created
from agent.infrastructure import by_account
from agent.infrastructure.trust import policy_of
from agent.sandbox import (
    PracticeIssuer,
    Provider,
    Role,
    Sandbox,
    Site,
    World,
    practice_world,
    use_of_bucket,
    world_from_json,
)
from agent.settings import Cognito, Directory, SelfSigned, Settings, find
from agent.settings.mistakes import Wrong
from agent.settings.outputs import Address, parse_address

HELP = "only the sandbox AWS, to test other things against"
EXAMPLE = "rolecall sandbox --listen 127.0.0.1:9180 --tls"

_REGION = "eu-central-1"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAMPLE_FAULT = '{"kind": "status", "status": 503, "times": 3}'


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what kind of AWS it is to be."""
    parser.add_argument("--world", type=Path, metavar="FILE", help="the account, as JSON (docs/sandbox.md)")
    parser.add_argument(
        "--listen", type=_address, default=Address("127.0.0.1", 0), metavar="ADDR", help="default: 127.0.0.1, any port"
    )
    parser.add_argument("--tls", action="store_true", help="serve https, with a certificate authority of its own")
    parser.add_argument(
        "--public", action="store_true", help="let the issuers' sites be seen at their own URLs, through a proxy"
    )
    parser.add_argument(
        "--site",
        type=_site,
        action="append",
        default=[],
        metavar="ISSUER=DIR_OR_URL",
        help="where an issuer's documents really are; may be given several times",
    )


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except Wrong as wrong:
        raise argparse.ArgumentTypeError("; ".join(said for _, said in wrong.parts)) from None


def _site(text: str) -> tuple[str, str]:
    issuer, equals, where = text.partition("=")
    if not equals or not issuer.startswith("https://") or not where:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form https://ISSUER=DIRECTORY_OR_URL")
    if not where.startswith(("http://", "https://")) and not Path(where).is_dir():
        raise argparse.ArgumentTypeError(f"{where!r} is neither a directory nor the URL of a server")
    return issuer, where


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be started, and how somebody becomes a role in it.

    That is by variables, if we have a token to offer; or by the agent, whose `configuration` is to lead here, with
    those of its `sections` that say where AWS is. `password` is what somebody is to sign in with, if it is in no file.
    """

    world: World
    sites: Mapping[str, Site]
    variables: Mapping[str, str]
    configuration: Path | None = None
    sections: tuple[str, ...] = ("sts",)
    password: str = field(default="", repr=False)


def run(arguments: argparse.Namespace) -> int:
    """Run the sandbox until it is told to end; 0. Raises ConfigurationError and ListenerUnavailable."""
    if not arguments.listen.is_loopback:
        warn(
            ConfigurationError(
                f"other machines can reach {arguments.listen}, and the sandbox asks nobody for a password",
                hint="listen on 127.0.0.1, if it is for this machine; its control endpoint and sites do in any case",
            )
        )
    with _not_yet_ending(), TemporaryDirectory(prefix="rolecall-sandbox-") as home:
        plan = _plan(arguments, Path(home), random.SystemRandom())
        sandbox = Sandbox(
            plan.world,
            sites={**plan.sites, **dict(arguments.site)},
            tls=arguments.tls,
            public=arguments.public,
            listen=(arguments.listen.host, arguments.listen.port),
        )
        asyncio.run(_stay(sandbox, plan, as_json=arguments.json))
    return 0


@contextmanager
def _not_yet_ending() -> Iterator[None]:
    """Let signals that would end us wait, so that no folder is left behind; `_stay` listens to them meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _plan(arguments: argparse.Namespace, home: Path, chance: random.Random) -> _Plan:
    """The account of a file, or of the configuration, or, where there is neither, one to practise with."""
    if arguments.world is not None:
        if arguments.config is not None:
            raise ConfigurationError(
                "--world and -c both say what the account is",
                hint="leave one of them out; --site says where issuers are",
            )
        return _Plan(read_world(arguments.world), {}, {})
    try:
        find(arguments.config, os.environ)
    except ConfigurationError:
        if arguments.config is not None:
            raise
        return _practice(home, chance)
    settings = settings_of(arguments.config)
    published = settings.publishing.directory if isinstance(settings.publishing, Directory) else None
    sites = {settings.issuer.url: published} if settings.issuer and published else {}
    if isinstance(settings.identity, Cognito):
        made = sign_in_world(settings, settings.identity)
        return _Plan(made.world, sites, {}, settings.path, ("sts", "identity"), made.password)
    if settings.identity_center is None:
        believing = with_relying_parties(settings, World())
        if not settings.token_roles and believing != World():  # tokens are for others alone
            return _Plan(believing, sites, {})
        return _Plan(with_relying_parties(settings, world_of(settings)), sites, {}, settings.path)
    world = with_identity_center(settings, world_of(settings) if settings.token_roles else None)
    sections = ("sts", "identity_center") if settings.token_roles else ("identity_center",)
    return _Plan(world, sites, {}, settings.path, sections)


def _practice(home: Path, chance: random.Random) -> _Plan:
    """An issuer that nobody has to set up, and a token of it that is good for a day."""
    issuer = PracticeIssuer()
    issuer.publish(home / "site")
    world = practice_world(issuer.url)
    token = home / "token"
    token.touch(mode=0o600)
    token.write_text(issuer.sign(issuer.claims(SystemClock().now(), timedelta(days=1))))
    variables = {
        "AWS_ROLE_ARN": world.roles[0].arn,
        # The AWS CLI keeps credentials by role and session name, and would show ours to the next sandbox.
        "AWS_ROLE_SESSION_NAME": f"practice-{chance.getrandbits(32):08x}",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
    }
    return _Plan(world, {issuer.url: home / "site"}, variables)


def read_world(path: Path) -> World:
    """The account that a JSON file describes. Raises ConfigurationError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as failure:
        raise ConfigurationError(f"{path} cannot be read", hint="name a JSON file with --world") from failure
    except (ValueError, RecursionError) as failure:
        raise ConfigurationError(
            f"{path} is not JSON: {failure}", hint="see docs/sandbox.md for its shape"
        ) from failure
    return world_from_json(document)


def world_of(settings: Settings) -> World:
    """The account as `rolecall init` would have it made for this configuration.

    The trust policies are those that the Terraform and CloudFormation files get. Every role may use the bucket, and
    managed policies allow everything: the sandbox does not know what AWS has written into them. Raises
    ConfigurationError where the configuration says too little, or roles live in several accounts.
    """
    identity = settings.identity
    if not settings.token_roles:
        raise ConfigurationError(
            "no role of this configuration is had for a token, so there is none to be made in the sandbox",
            hint="describe the account, and who may sign in, in a file: rolecall sandbox --world FILE",
        )
    trust = trust_of(settings, require_pinning=isinstance(identity, SelfSigned) and identity.pin_roles)
    if trust is None:
        raise ConfigurationError(
            "the sandbox cannot tell who signs the token of a file, or what that of a provider says",
            hint="describe the account in a file instead: rolecall sandbox --world FILE; or write identity.issuer, "
            "identity.expected_subject and identity.expected_audience",
        )
    accounts = by_account([Created.of(name, role.arn, role.duration) for name, role in settings.token_roles.items()])
    if len(accounts) > 1:
        raise ConfigurationError(
            f"the roles live in {len(accounts)} accounts, and a sandbox is one account",
            hint="start one for each with: rolecall sandbox --world FILE",
        )
    account, created = next(iter(accounts.items()))
    furnished = World(account_id=account.number, partition=account.partition)
    policies = (use_of_bucket(furnished),)
    named = [
        *(role.policy_arns for role in settings.token_roles.values()),
        *(one.policy_arns for one in settings.grants),
    ]
    managed = {arn for arns in named for arn in arns}
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    return World(
        account_id=account.number,
        partition=account.partition,
        providers=(Provider(trust.issuer, (trust.audience,)),),
        roles=tuple(Role(one.arn, policy_of(trust, account), one.max_session, policies) for one in created),
        objects={"hello.txt": b"Hello from the sandbox.\n"},
        managed_policies=dict.fromkeys(sorted(managed), everything),
    )


async def _stay(sandbox: Sandbox, plan: _Plan, *, as_json: bool) -> None:
    """Be open until told to stop."""
    stop = asyncio.Event()
    for number in _ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    try:
        async with sandbox:
            if as_json:
                show_json(_facts(sandbox, plan))
            else:
                print("\n".join(_screen(sandbox, plan)))
            sys.stdout.flush()  # whoever reads it through a pipe waits for it
            await stop.wait()
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # a loop that closes leaves signals their default: to kill


def _variables(sandbox: Sandbox, plan: _Plan) -> dict[str, str]:
    """What programs need to find this AWS."""
    found = {"AWS_ENDPOINT_URL": sandbox.endpoint_url, "AWS_REGION": _REGION, "AWS_DEFAULT_REGION": _REGION}
    if _is_tls(sandbox):
        found["AWS_CA_BUNDLE"] = str(sandbox.ca_file)
    return {**found, **plan.variables}


def _sts(sandbox: Sandbox) -> dict[str, str]:
    """What the agent needs to find this AWS: settings of its section [sts]."""
    found = {"endpoint_url": sandbox.endpoint_url}
    return {**found, "ca_bundle": str(sandbox.ca_file)} if _is_tls(sandbox) else found


def _is_tls(sandbox: Sandbox) -> bool:
    return sandbox.endpoint_url.startswith("https:")


def _facts(sandbox: Sandbox, plan: _Plan) -> dict[str, object]:
    public = {"proxy_url": sandbox.proxy_url, "ca_file": str(sandbox.ca_file)} if sandbox.proxy_url else {}
    return {
        "endpoint_url": sandbox.endpoint_url,
        "control_url": sandbox.control_url,
        "site_urls": sandbox.site_urls,
        **public,
        "environment": _variables(sandbox, plan),
        **{section: _sts(sandbox) for section in plan.sections},
        **({"password": plan.password} if plan.password else {}),
        **({"start_url": center.start_url} if (center := sandbox.world.identity_center) else {}),
    }


def _in_public(sandbox: Sandbox) -> tuple[str, ...]:
    """How an issuer is read as the world reads it: by hand, and by the agent."""
    return (
        f"In public: curl --proxy {sandbox.proxy_url} --cacert {sandbox.ca_file} URL",
        "For the agent to see its issuer so, under [issuer]:",
        "",
        f'    proxy = "{sandbox.proxy_url}"',
        f'    ca_bundle = "{sandbox.ca_file}"',
        "",
    )


def _people(world: World) -> list[str]:
    """Where people sign in, and who they are."""
    if (center := world.identity_center) is None:
        return []
    users = ", ".join(one.name for one in center.users) or "nobody"
    return [f"People sign in for {center.start_url} in {center.region}: {users} (docs/sandbox.md says how)"]


def _parties(sandbox: Sandbox) -> list[str]:
    """Who else believes tokens here."""
    lines = list(doors(sandbox.world, sandbox.endpoint_url))
    return ["Tokens for others are believed here, too (docs/relying-parties.md):", *lines] if lines else []


def _screen(sandbox: Sandbox, plan: _Plan) -> list[str]:
    world = sandbox.world
    roles = ", ".join(role.name for role in world.roles) or "none"
    agent: list[str] = []
    if plan.configuration is not None:
        settings = [f"  {name} = {json.dumps(value)}" for name, value in _sts(sandbox).items()]
        sections = " and under ".join(f"[{section}]" for section in plan.sections)
        agent = [f"Lead the agent here, in {plan.configuration} under {sections}, and start it:", "", *settings, ""]
    if "identity_center" in plan.sections:
        agent += ["Sign in, as whoever the page offers:", "", "  rolecall login", ""]
    if plan.password:
        agent += [f"Sign in, with the password {plan.password}", "", "  rolecall login", ""]
    return [
        paint("A sandbox AWS is up.", "bold") + f" Account {world.account_id}; roles: {roles}; bucket: {world.bucket}",
        *(f"The site of {issuer} is {url}" for issuer, url in sandbox.site_urls.items()),
        *(_in_public(sandbox) if sandbox.proxy_url else ()),
        *_people(world),
        *_parties(sandbox),
        "",
        *agent,
        "Programs in another terminal find it so:" if agent else "In another terminal:",
        "",
        *(f"  export {name}={value}" for name, value in _variables(sandbox, plan).items()),
        "  aws sts get-caller-identity" if "AWS_ROLE_ARN" in plan.variables else "",
        "",
        f"Make it misbehave: curl -X PUT {sandbox.control_url}/faults -d '{_SAMPLE_FAULT}'",
        f"See what it was asked: curl {sandbox.control_url}/requests",
        "Ctrl-C ends it.",
    ]
