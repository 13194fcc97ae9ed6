"""Does all of it work, and what is to be mended first if it does not?"""

import argparse
import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.assembly.doctor import Around, examine
from agent.cli.check import files
from agent.cli.configuration import settings_of
from agent.cli.environment import trouble_with_file
from agent.cli.keys import credentials_directory
from agent.cli.reach import Access, access, seen, status_of
from agent.cli.terminal import Progress, paint, show_json
from agent.clock import SystemClock
from agent.doctor import Finding, Severity, Tried, configuration
from agent.doctor.diagnosis import Diagnosis
from agent.doctor.endpoint import NotAllowed, Served
from agent.doctor.environment import EVERYBODY
from agent.errors import AgentUnreachable, CallerDenied, ConfigurationError
from agent.settings import Settings
from agent.settings.doubts import warnings
from agent.threads import aside

HELP = "try the whole chain against the real world, link by link, and say what to mend first"
EXAMPLE = "sudo -u rolecall rolecall doctor"

#: How somebody else's role is tried.
_AS_CALLER = "see who has it with rolecall who, and run this as one of them"

_MARKS: dict[Severity, tuple[str, str]] = {"error": ("✗", "red"), "warning": ("!", "yellow"), "note": ("·", "cyan")}


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments beyond those of every verb: what is tried is all there is."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Say what was found, worst first; 0 if nothing is broken, 1 if something is, 2 if that is the configuration."""
    try:
        settings = settings_of(arguments.config)
    except ConfigurationError as error:
        show(Diagnosis((configuration.refused(error.what, error.hint),)), as_json=arguments.json)
        return 2
    with Progress() as progress:
        diagnosis = asyncio.run(diagnosed(settings, os.environ, progress))
    show(diagnosis, as_json=arguments.json)
    return int(diagnosis.is_broken)


async def diagnosed(
    settings: Settings, environ: Mapping[str, str], progress: Progress, everybody: Path = EVERYBODY
) -> Diagnosis:
    """Try every link, in this environment and that of everybody who signs in."""
    inside = environ.get("CREDENTIALS_DIRECTORY")
    doubts = [*warnings(settings), *(doubt for _, doubt in files(settings, Path(inside) if inside else None))]
    around = Around(
        clock=SystemClock(),
        credentials_directory=credentials_directory(),
        agent=_Running(settings),
        environ=environ,
        everybody=everybody,
        telling=progress.show,
    )
    return await examine(settings, configuration.read(str(settings.path), doubts), around)


class _Running:
    """The agent, over its listeners."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def status(self) -> Mapping[str, Any]:
        try:
            return await aside(status_of, self._settings)
        except ConfigurationError as error:  # nobody knows the port
            raise AgentUnreachable(error.what, hint=error.hint) from error

    async def fetch(self, role: str) -> Served:
        reach = self._access(role)
        if reach.unit_tokens is not None:
            raise NotAllowed(f"role {role} is for units that show a token of their own", hint=_AS_CALLER)
        try:
            reply = await aside(reach.fetch)
        except CallerDenied as error:
            if reach.token is None and self._is_for_others(role):
                said = f"role {role} is granted to callers by what they are, and this is none of them"
                raise NotAllowed(said, hint=_AS_CALLER) from error
            raise
        return Served(reply.document, trouble_with_file(reach))

    async def who(self) -> Mapping[str, Any]:
        return await aside(seen, Access("", self._settings.listen.credentials))

    def _is_for_others(self, role: str) -> bool:
        """Whether somebody else gets the role without a token."""
        grants = [grant for grant in self._settings.grants if role in grant.roles]
        return any(grant.named and not {"token_file", "unit_token"} & {*grant.named} for grant in grants)

    def _access(self, role: str) -> Access:
        try:
            return access(self._settings, role, None)
        except ConfigurationError as error:
            files = [path for grant in self._settings.grants if role in grant.roles for path in grant.token_file]
            if any(map(_is_closed, files)) and not any(os.access(path, os.R_OK) for path in files):
                raise NotAllowed(error.what, hint="run this as a user who can read one") from error
            raise


def _is_closed(path: Path) -> bool:
    """Whether there may be a file that this user cannot read; not so if there is none."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return not os.access(path, os.R_OK)


def show(diagnosis: Diagnosis, *, as_json: bool) -> None:
    """Print it, for a program or for a person."""
    if as_json:
        show_json(
            {
                "good": not diagnosis.is_broken,
                "verdict": diagnosis.verdict,
                "findings": [_described(finding) for finding in diagnosis.findings],
                "links": [_link(one) for one in diagnosis.tried],
            }
        )
        return
    for finding in diagnosis.findings:
        mark, style = _MARKS[finding.severity]
        sure = "" if finding.sure == "certain" else f" ({finding.sure})"
        print(f"{paint(mark, style)} {paint(finding.link, 'bold')}: {_plain(finding.what)}{sure}")
        print(f"    {_plain(finding.hint)}")
    for one in diagnosis.tried:
        if one.good and not one.is_broken:
            print(f"{paint('✓', 'green')} {one.link}: {one.good}")
        if one.not_tried:
            print(f"{paint('-', 'dim')} {one.link}: not tried, because {one.not_tried}")
    style = "red" if diagnosis.is_broken else "green"
    print(paint(diagnosis.verdict[:1].upper() + diagnosis.verdict[1:] + ".", style))


def _plain(text: str) -> str:
    """Without what would steer a terminal: variables and files of others are quoted here."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _described(finding: Finding) -> dict[str, str]:
    return {
        "link": finding.link,
        "severity": finding.severity,
        "sure": finding.sure,
        "what": finding.what,
        "hint": finding.hint,
    }


def _link(tried: Tried) -> dict[str, object]:
    state = "good" if tried.good or not tried.not_tried else "not tried"
    if any(finding.severity == "warning" for finding in tried.findings):
        state = "doubtful"
    if tried.is_broken:
        state = "broken"
    return {"link": tried.link, "state": state, "good": tried.good or None, "not_tried": tried.not_tried or None}
