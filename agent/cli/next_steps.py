"""What is there to do after a first configuration has been written?"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.cli.first_configuration import TLS_CREDENTIAL, Answers
from agent.cli.terminal import paint
from agent.infrastructure import Account
from agent.patterns import is_pattern

#: Where systemd/rolecall.service looks for everything.
SERVICE_DIRECTORY: Final = Path("/etc/rolecall")
#: Where the service may write: StateDirectory= in the unit.
SERVICE_STATE: Final = Path("/var/lib/rolecall")
#: The user as whom the service runs, and the name of its group; see systemd/rolecall.sysusers.
SERVICE_USER: Final = "rolecall"


@dataclass(frozen=True, slots=True)
class Written:
    """What has been written: the configuration's path, the discovery document's URL, and by whom.

    `adopted` says whether the service's user owns what the agent writes, and its group has the token files.
    """

    answers: Answers
    configuration: Path
    discovery: str
    accounts: tuple[Account, ...]
    by_root: bool
    adopted: bool


def next_steps(written: Written) -> str:
    """Say what to do, each step with its commands, for a terminal."""
    answers = written.answers
    start = _service(written) if answers.service else _process(written)
    return "\n".join(
        [
            "",
            paint("Next:", "bold"),
            *_shown(written),
            "  2. Tell AWS about it, and say there what the roles may do:",
            *(line for account in written.accounts for line in _applied(answers.directory, account)),
            *start,
        ]
    )


def _shown(written: Written) -> Iterator[str]:
    """How the world comes to see the documents."""
    answers = written.answers
    match answers.publishing.get("to"):
        case "s3":
            terraform = f"terraform -chdir={shlex.quote(f'{answers.directory}/terraform/hosting')}"
            yield f"  1. Make the bucket and what shows it at {answers.issuer} (docs/hosting.md), and publish:"
            yield _command(f"{terraform} init")
            yield _command(f"{terraform} apply")
            yield _command(f"rolecall publish -c {written.configuration}")
            yield "     When AWS can read this, go on:"
        case "https":
            yield f"  1. Lead {answers.issuer} to this machine, port 443 (docs/publishing.md)."
            yield "     The documents are there while the agent runs: begin with step 3. When AWS can read this, go on:"
        case _:
            yield f"  1. Serve {answers.site} at {answers.issuer}. When AWS can read this, go on:"
    yield _command(f"curl {written.discovery}")


def _applied(directory: Path, account: Account) -> Iterator[str]:
    command = f"terraform -chdir={shlex.quote(f'{directory}/terraform/{account.label}')}"
    yield _command(f"{command} init")
    yield _command(f"{command} apply")
    yield f"     (or deploy {directory}/cloudformation/{account.label}.yaml)"


def _process(written: Written) -> Iterator[str]:
    """A process that somebody starts."""
    answers = written.answers
    yield "  3. Look it over, and start:"
    yield _command(f"rolecall check -c {written.configuration}")
    yield _command(f"rolecall run -c {written.configuration}")
    if written.by_root:  # root has made files that a service of another user is to read
        yield "     As a service it runs as another user, who has to own what is private (or begin with --service):"
        site = "" if answers.publishing else f" {answers.site}"
        yield _command(f"chown -R USER: {answers.keys}{site} {answers.directory}/tokens")
    role = _first(answers)
    if unit := answers.granted.get(role, {}).get("unit"):
        command = f"rolecall who -c {written.configuration} {role} --unit {shlex.quote(unit)}"
        yield f"  4. See who has it: {_word(command)}"
    else:
        yield f"  4. Use it: {_word(f'rolecall exec -c {written.configuration} {role} -- aws sts get-caller-identity')}"


def _service(written: Written) -> Iterator[str]:
    """The unit of systemd."""
    answers, configuration = written.answers, written.configuration
    yield "  3. Look it over, and start:"
    if adoption := list(_adoption(written)):
        yield "     (the agent's user comes with systemd/rolecall.sysusers; the tokens it reads by its group)"
        yield from adoption
    if drop_in := list(_drop_in(written)):
        yield "     (the unit has to know what is particular here: systemctl edit rolecall.service)"
        yield from map(_command, ["[Service]", *drop_in])
    yield _command(f"rolecall check -c {configuration}")
    yield _command("systemctl enable --now rolecall.service")
    role = _first(answers)
    unit = answers.granted.get(role, {}).get("unit", f"{role}.service")
    folder = shlex.quote(f"/etc/systemd/system/{_file_of(unit)}.d")
    yield f"  4. Give a service its role; here it is {unit}:"
    yield _command(f"mkdir -p {folder}")
    yield _command(f"rolecall env -c {configuration} {role} --format systemd >{folder}/rolecall.conf")
    yield _command(f"systemctl daemon-reload && systemctl restart {shlex.quote(unit)}")


def _adoption(written: Written) -> Iterator[str]:
    directory, own = shlex.quote(str(written.answers.directory)), shlex.quote(str(written.answers.own))
    if not written.by_root:
        yield _command(f"chown -R root:root {directory}")
    if not written.adopted:
        yield _command("systemd-sysusers")
        yield _command(f"chown -R {SERVICE_USER}:{SERVICE_USER} {own}")
        if written.answers.with_token:
            yield _command(f"chgrp {SERVICE_USER} {directory}/tokens/* && chmod 640 {directory}/tokens/*")


def _drop_in(written: Written) -> Iterator[str]:
    if written.answers.publishing.get("to") == "https":
        yield "AmbientCapabilities=CAP_NET_BIND_SERVICE"
        yield "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"
        yield "SocketBindAllow=tcp:443"
        yield f"LoadCredential={TLS_CREDENTIAL}:{written.answers.publishing['private_key']}"
    if written.answers.own != SERVICE_STATE:
        yield f"ReadWritePaths={written.answers.own}"
    if written.configuration != SERVICE_DIRECTORY / "rolecall.toml":
        yield "ExecStart="
        yield f"ExecStart=/usr/bin/rolecall run --config {written.configuration}"


def _file_of(unit: str) -> str:
    """The unit whose drop-in counts for all that a pattern fits: mostly their template."""
    before, at, _ = unit.partition("@")
    return f"{before}@.{unit.rpartition('.')[2]}" if at and is_pattern(unit) else unit


def _first(answers: Answers) -> str:
    return next(iter(answers.roles))


def _command(command: str) -> str:
    return f"       {_word(command)}"


def _word(command: str) -> str:
    return paint(re.sub(r"\s+", " ", command), "cyan")
