"""How is the running agent? For the terminal."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from agent.cli.configuration import settings_of
from agent.cli.patience import Pace, RealPace
from agent.cli.reach import status_of
from agent.cli.terminal import paint, say, warn
from agent.errors import AgentUnreachable, ConfigurationError
from agent.settings import Settings

HELP = "what the running agent holds, and what is wrong"
EXAMPLE = "rolecall status --watch"

_STYLES = {"good": "green", "starting": "cyan", "failing": "yellow", "ending": "red", "bare": "red", "idle": "cyan"}

#: How many sessions of a role are listed.
_LISTED = 20

#: How often `--watch` looks, in seconds.
_EVERY = 2.0

#: An empty screen (ECMA-48).
_CLEAR = "\x1b[2J\x1b[H"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add --watch."""
    parser.add_argument("--watch", action="store_true", help="keep looking, every 2 seconds")


def run(arguments: argparse.Namespace) -> int:
    """Show it; 0 if every role is ready, else 1. Watching ends with Ctrl-C, and that is 0. Raises AgentUnreachable."""
    settings = settings_of(arguments.config)
    if not arguments.watch:
        status = status_of(settings)
        told = _told(settings, status, as_json=arguments.json)
        if (other := another_configuration(settings, status)) is not None:
            warn(other)
        print(told)
        return 0 if status.get("ready") else 1
    with contextlib.suppress(KeyboardInterrupt):
        _watch(settings, RealPace(), as_json=arguments.json)
    return 0


def another_configuration(settings: Settings, status: Mapping[str, Any]) -> ConfigurationError | None:
    """What is odd about an agent that has other roles than the configuration, as a warning; None if it has the same."""
    named = [role.get("role") for role in status["roles"] if isinstance(role, Mapping)]
    there, here = {name for name in named if isinstance(name, str)}, settings.roles.keys()
    differing = [("only there", sorted(there - here)), ("only here", sorted(here - there))]
    told = "; ".join(f"{_few(names)} {where}" for where, names in differing if names)
    if not told:
        return None
    return ConfigurationError(
        f"the agent at {settings.listen.admin} does not run with {settings.path}, its roles are others: {told}",
        hint="if it is the one that you mean, restart it or name its configuration with -c; if not, look at [listen]",
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _watch(settings: Settings, pace: Pace, *, as_json: bool) -> NoReturn:
    """Look again and again; an agent that is away, as during a restart, is waited for."""
    while True:
        try:
            status = status_of(settings)
            told = _told(settings, status, as_json=as_json, indent=None)
        except AgentUnreachable as error:
            say(f"error: {error.what}")
        else:
            print((_CLEAR if sys.stdout.isatty() and not as_json else "") + told, flush=True)
            if not as_json and (other := another_configuration(settings, status)) is not None:
                warn(other)
        pace.sleep(_EVERY)


def _told(settings: Settings, status: Mapping[str, Any], *, as_json: bool, indent: int | None = 2) -> str:
    if as_json:
        return json.dumps(status, indent=indent, ensure_ascii=False)
    try:
        return "\n".join(lines(status))
    except (KeyError, TypeError, ValueError):
        raise AgentUnreachable(
            f"the agent at {settings.listen.admin} tells its status in other words than this command knows",
            hint="are they of one version? restart the agent after an upgrade",
        ) from None


def lines(status: Mapping[str, Any]) -> Iterator[str]:
    """What a person wants to know, the most urgent in colour."""
    yield f"rolecall {status['version']}, running for {_span(status['running_for_seconds'])}"
    offset = status["clock_offset_seconds"]
    if offset is not None and abs(offset) > 60:
        behind = "behind" if offset > 0 else "ahead of"
        yield paint(f"this machine's clock is {_span(abs(offset))} {behind} AWS's: mend it", "red")
    width = max((len(role["role"]) for role in status["roles"]), default=0)
    for role in status["roles"]:
        yield _role(role, width)
        if role["problem"]:
            yield f"  {'':<{width}}  {role['problem']} ({role['failures']} in a row)"
        if role["hint"]:
            yield paint(f"  {'':<{width}}  {role['hint']}", "dim")
        if role["callers"]:
            yield paint(f"  {'':<{width}}  given to {_few(role['callers'])}", "dim")
        yield from _sessions(role, width)
    yield from _sign_ins(status)
    yield from _tokens(status)
    yield from _rules(status)
    for key in status["keys"]:
        soon = f" in {_span(key['next_in_seconds'])}" if key.get("next_in_seconds") is not None else ""
        unseen = ", not seen at the issuer" if key.get("published") is False else ""
        ahead = f": {key['next']}{soon}" if key.get("next") else ""
        yield f"key {key['kid']} {key['algorithm']} {key['state']}{unseen}{ahead}"
    for listener in status["listeners"]:
        yield f"{listener['name']} at {listener['address']}"


def _sign_ins(status: Mapping[str, Any]) -> Iterator[str]:
    """Who has to sign in."""
    for one in status.get("sign_ins", []):
        until = f" until {one['ends_at']} at the latest" if one["ends_at"] else ""
        needed = f": run {one['command']}" if one["state"] in {"due", "over"} else ""
        style = {"due": "yellow", "over": "red"}.get(one["state"], "green")
        said = {"unknown": "not looked at yet", "due": "ending"}.get(one["state"], one["state"])
        yield f"sign-in at {one['source']} {paint(said, style)}{until}{needed}"


def _tokens(status: Mapping[str, Any]) -> Iterator[str]:
    """The tokens for others."""
    for one in status.get("tokens", []):
        state = paint(one["state"], _STYLES.get(one["state"], "bold"))
        held = "made when somebody asks" if one["state"] == "idle" else f"{one['held']} of {one['kept']} held"
        yield f"tokens for {one['audience']} {state}, {held}"
        if one["problem"]:
            yield f"  {one['problem']} ({one['failures']} in a row)"
        if one["hint"]:
            yield paint(f"  {one['hint']}", "dim")
        if one["callers"]:
            yield paint(f"  given to {_few(one['callers'])}", "dim")


def _rules(status: Mapping[str, Any]) -> Iterator[str]:
    """The rules for tokens that others show."""
    for one in status.get("rules", []):
        state = paint(one["state"], _STYLES.get(one["state"], "bold"))
        held = "1 key" if one["keys"] == 1 else f"{one['keys'] or 'no'} keys"
        yield f"rule {one['rule']} {state}, {held} of {one['issuer']}"
        if one["problem"]:
            yield f"  {one['problem']}"
        if one["hint"]:
            yield paint(f"  {one['hint']}", "dim")


def _sessions(role: Mapping[str, Any], width: int) -> Iterator[str]:
    """Each session of a role of which parts are given; those that were made on demand may be many."""
    sessions = role.get("sessions", [])
    if not any(one["about"] for one in sessions):
        return
    for one in sorted(sessions, key=lambda one: one["ready"])[:_LISTED]:
        yield f"  {'':<{width}}  {one['about'] or 'the whole role'}: {_held(one)}"
    if len(sessions) > _LISTED:
        yield paint(f"  {'':<{width}}  … and {len(sessions) - _LISTED} more sessions: --json shows all", "dim")


def _held(one: Mapping[str, Any]) -> str:
    """How a session stands, and what it holds."""
    state = paint(one["state"], _STYLES.get(one["state"], "bold"))
    return f"{state}, " + (
        f"…{one['key_id_ending']}, {_span(one['left_seconds'])} left" if one["usable"] else "nothing to give"
    )


def _role(role: Mapping[str, Any], width: int) -> str:
    state = paint(f"{role['state']:<8}", _STYLES.get(role["state"], "bold"))
    if role["state"] == "idle":
        return f"  {role['role']:<{width}}  {state}  fetched when somebody asks"
    held = f"…{role['key_id_ending']}, {_span(role['left_seconds'])} left" if role["usable"] else "nothing to give"
    ahead = role["next_attempt_in_seconds"]
    age = "" if role["age_seconds"] is None else f", refreshed {_span(role['age_seconds'])} ago"
    following = "" if ahead is None else f", next refresh in {_span(ahead)}"
    return f"  {role['role']:<{width}}  {state}  {held}{age}{following}"


def _span(seconds: float) -> str:
    """The two largest units of a span."""
    whole = int(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    told = [f"{number}{unit}" for number, unit in parts if number]
    return " ".join(told[:2]) or "0s"
