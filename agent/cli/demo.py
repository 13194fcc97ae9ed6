"""What does the whole system look like, on this machine, now, with no AWS account?

Nothing here is for show: the sandbox is a strict AWS of one's own, the agent is the real one with a real
configuration file, and what it serves are credentials that sign real requests.
"""

import argparse
import asyncio
import logging
import os
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent.assembly.keys import make_key
from agent.assembly.publishing import directory_publisher
from agent.assembly.rotation import publish_ring
from agent.cli.environment import environment
from agent.cli.reach import access
from agent.cli.run import daemon, in_loop
from agent.cli.sandbox import world_of
from agent.cli.terminal import Progress, paint, show_json
from agent.clock import SystemClock
from agent.errors import ConfigurationError, CredentialsUnavailable, ListenerUnavailable
from agent.sandbox import Sandbox, World
from agent.settings import Directory, Settings, load
from agent.telemetry.log import AUDIT
from agent.threads import aside

HELP = "the whole system on this machine in seconds, without an AWS account"
EXAMPLE = "rolecall demo --once"

ISSUER = "https://oidc.example.com"
BUCKET = "demo-bucket"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: How long the round trip waits for the first credentials, in seconds.
_PATIENCE = 10.0
GREETING = b"Fetched with a role, and no secret on any disk.\n"

_CONFIGURATION = """\
[issuer]
url = "{issuer}"
proxy = "{public}"              # leads to the demo's own issuer; the real one is simply there
ca_bundle = "{authority}"

[key]
custodian = "pem"
directory = "{home}/keys"

[publishing]
to = "directory"
directory = "{home}/site"

[sts]
region = "eu-central-1"
endpoint_url = "{endpoint}"     # the sandbox; leave this line out, and it is AWS

[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"

[roles.reports]
arn = "arn:aws:iam::123456789012:role/reports"

[[grants]]
roles = ["backup"]
token_file = "{home}/backup.token"

[[grants]]
roles = ["reports"]
anyone = true

[listen]
credentials = "127.0.0.1:{credentials}"
admin = "127.0.0.1:{admin}"

[log]
level = "warning"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add --once."""
    parser.add_argument("--once", action="store_true", help="one round trip: fetch, call AWS, print who we are, exit")


def run(arguments: argparse.Namespace) -> int:
    """Bring everything up, and either go once round or stay until Ctrl-C or SIGTERM; either way nothing is left.

    Raises ConfigurationError and ListenerUnavailable.
    """
    if arguments.config is not None:
        named = shlex.quote(str(arguments.config))
        raise ConfigurationError(
            "the demo has a configuration of its own, and takes no other",
            hint=f"yours is run by: rolecall run -c {named}; without AWS, beside: rolecall sandbox -c {named}",
        )
    with _swept() as home:
        try:
            in_loop(_interruptible(_demo(home, once=arguments.once, as_json=arguments.json)))
        except KeyboardInterrupt:
            if arguments.once:
                raise
    return 0


@contextmanager
def _swept() -> Iterator[Path]:
    """A directory that is gone afterwards: signals that would end us wait, but while `_interruptible` runs."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        with _folder() as home:
            yield Path(home)
    finally:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)  # forgets those that came during the sweeping
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        for number, action in before.items():
            signal.signal(number, action)


def _folder() -> "TemporaryDirectory[str]":
    try:
        return TemporaryDirectory(prefix="rolecall-demo-")
    except OSError as error:
        raise ConfigurationError(
            f"no folder can be made for the demo: {(error.strerror or str(error)).lower()}",
            hint="name a place to write to: TMPDIR=/var/tmp rolecall demo",
        ) from error


async def _interruptible(main: Coroutine[Any, Any, None]) -> None:
    """Run it; a signal cancels it, so that everything open is closed in order. Raises KeyboardInterrupt then."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main)
    for number in _ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            loop.add_signal_handler(number, task.cancel)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    try:
        await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # a loop that closes leaves signals their default: to kill


async def _demo(home: Path, *, once: bool, as_json: bool) -> None:
    world = World(account_id="123456789012", bucket=BUCKET, objects={"hello.txt": GREETING})
    with Progress() as progress:
        progress.show("starting: a key, its issuer's site, a sandbox AWS, the agent …")
        await _furnish(home)
        async with Sandbox(world, sites={ISSUER: home / "site"}, public=True) as sandbox:

            async def play(*ports: int) -> None:
                with _held(*ports) as (credentials, admin):
                    settings = _settings(home, sandbox, credentials, admin)
                    sandbox.world = _with_permissions(world_of(settings), world)
                    await _publish(settings)
                    stage = _Stage(home, settings, sandbox)
                    if once:
                        await daemon(settings, until=partial(_trip, stage, progress, as_json=as_json))
                    else:
                        await daemon(settings, ready=partial(_show, stage, progress), until=asyncio.Event().wait)

            try:
                await play(9170, 9171)
            except ListenerUnavailable:  # somebody listens there since we looked, another demo perhaps
                await play(0, 0)


async def _trip(stage: "_Stage", progress: Progress, *, as_json: bool) -> None:
    logging.getLogger(AUDIT).setLevel(logging.ERROR)  # what is served here is told as the result, and is patient
    found = await _round_trip(stage)
    progress.clear()
    if as_json:
        show_json(found)
    else:
        print(found["arn"])


def _show(stage: "_Stage", progress: Progress, _: object) -> None:
    progress.clear()
    print("\n".join(_screen(stage)), flush=True)


async def _furnish(home: Path) -> None:
    """Make the key and the token, which are all the secrets there are."""
    (home / "keys").mkdir(mode=0o700)
    (home / "site").mkdir()
    await asyncio.to_thread(make_key, home / "keys", "rsa-2048")
    token = os.open(home / "backup.token", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(token, secrets.token_urlsafe(32).encode())
    os.close(token)


@dataclass(frozen=True, slots=True)
class _Stage:
    """What is on show."""

    home: Path
    settings: Settings
    sandbox: Sandbox


def _settings(home: Path, sandbox: Sandbox, credentials: int, admin: int) -> Settings:
    path = home / "rolecall.toml"
    path.write_text(
        _CONFIGURATION.format(
            issuer=ISSUER,
            home=home,
            public=sandbox.proxy_url,
            authority=sandbox.ca_file,
            endpoint=sandbox.endpoint_url,
            credentials=credentials,
            admin=admin,
        )
    )
    return load(path, environ={}, host=socket.gethostname())


@contextmanager
def _held(*wanted: int) -> Iterator[list[int]]:
    """These ports where they are free, else others: the demo also runs beside an agent.

    They are bound and do not listen, so the kernel gives them to nobody, and the agent may listen there.
    """
    with ExitStack() as held:
        yield [held.enter_context(_bound(port)).getsockname()[1] for port in wanted]


def _bound(wanted: int) -> socket.socket:
    for port in (wanted, 0):
        probe = socket.socket()
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.close()
        else:
            return probe
    raise ListenerUnavailable("no port is free on 127.0.0.1", hint="stop something that listens there")


def _with_permissions(trusting: World, furnished: World) -> World:
    """The account of the configuration, where `backup` may use the bucket and `reports` only look into it."""
    where = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    reading = ["s3:ListBucket", "s3:GetObject"]
    allowed = {"backup": [*reading, "s3:PutObject"], "reports": reading}
    roles = tuple(
        replace(
            role,
            policies=(
                {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": allowed[role.name], "Resource": where}],
                },
            ),
        )
        for role in trusting.roles
    )
    return replace(trusting, roles=roles, bucket=furnished.bucket, objects=furnished.objects)


async def _publish(settings: Settings) -> None:
    assert isinstance(settings.publishing, Directory)
    publisher = directory_publisher(settings.publishing.directory, ISSUER, settings.publishing.max_age)
    await publish_ring(settings, None, publisher)


async def _round_trip(stage: _Stage) -> dict[str, str]:
    """Fetch over the real endpoint, and ask AWS who we are. Raises CredentialsUnavailable."""
    from aiobotocore.config import AioConfig
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.handlers import disable_signing

    from agent.clients.aws import SealedSession

    # In a thread that nobody waits for, so that a signal need not wait for its patience to end.
    fetched = (await aside(access(stage.settings, "backup", None).fetch_patiently, _PATIENCE)).document
    # What lies around in the environment must not be able to break it: profiles, proxies, certificates.
    session = SealedSession()
    session.unregister("choose-signer.sts", disable_signing)  # that is for the exchange, which needs no credentials
    client = session.create_client(
        "sts",
        region_name=stage.settings.sts.region,
        endpoint_url=stage.sandbox.endpoint_url,
        aws_access_key_id=fetched["AccessKeyId"],
        aws_secret_access_key=fetched["SecretAccessKey"],
        aws_session_token=fetched["Token"],
        config=AioConfig(proxies={}),
    )
    try:
        async with client as sts:
            identity = await sts.get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise CredentialsUnavailable(
            f"the sandbox AWS did not say who we are: {type(error).__name__}", hint="try it again: rolecall demo --once"
        ) from error
    return {"arn": identity["Arn"], "account": identity["Account"], "expiration": fetched["Expiration"]}


def _screen(stage: _Stage) -> list[str]:
    admin = stage.settings.listen.admin
    _write_environment(stage)
    home, command = shlex.quote(str(stage.home)), _command()
    python = shlex.quote(sys.executable)
    fault = '{"kind": "status", "status": 503, "times": 3}'
    ends = SystemClock().now() + min(
        role.duration for role in stage.settings.token_roles.values()
    )  # both came just now
    unnoticed = f"# AWS is down, and nobody notices: what is held lasts until {ends.astimezone():%H:%M}"
    get = f"get_object(Bucket='{BUCKET}', Key='hello.txt')['Body'].read()"
    sample = f"import botocore.session as b; print(b.get_session().create_client('s3').{get})"
    return [
        paint("rolecall is on call.", "bold")
        + f" A sandbox AWS ({stage.sandbox.endpoint_url}), a fresh key, its issuer's site and the agent",
        f"run; the roles {paint('backup', 'cyan')} and {paint('reports', 'cyan')} are served. In another terminal:",
        "",
        f"  . {home}/backup.env          {paint('# or reports.env, which may only read', 'dim')}",
        "  aws sts get-caller-identity",
        f"  aws s3 cp s3://{BUCKET}/hello.txt -",
        f'  {python} -c "{sample}"',
        "",
        f"  {command} status -c {home}/rolecall.toml",
        f"  {command} who -c {home}/rolecall.toml     {paint('# whom the agent sees, and what is granted', 'dim')}",
        f"  curl -X PUT {stage.sandbox.control_url}/faults -d '{fault}'",
        f"      {paint(unnoticed, 'dim')}",
        "",
        f"Look at http://{admin}/ (status), http://{admin}/metrics and {stage.home}/rolecall.toml",
        "Ctrl-C ends it all and leaves nothing behind.",
    ]


def _command() -> str:
    """How this program was started, to be pasted: as a command, or as a module, whose file cannot be run."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m agent"
    return shlex.quote(str(started.absolute()))


def _write_environment(stage: _Stage) -> None:
    """A file for each role, to be sourced: the same as `rolecall env`, and where the sandbox is."""
    from agent.cli.env import as_shell

    for role in stage.settings.roles:
        env = environment(access(stage.settings, role, None), {})
        region = stage.settings.sts.region
        there = {"AWS_ENDPOINT_URL": stage.sandbox.endpoint_url, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
        path = stage.home / f"{role}.env"
        path.touch(mode=0o600)
        path.write_text(as_shell(replace(env, settings={**env.settings, **there})) + "\n")
