"""How are we, for people?

One page with nothing from elsewhere in it: no script, no font, no picture that is fetched. It asks to be loaded
again by itself, and everything that is put into it is escaped.
"""

import base64
import hashlib
from datetime import datetime, timedelta
from html import escape
from typing import Final

from agent.clock import instant
from agent.status.rules import RuleState, RuleStatus
from agent.status.sign_ins import SignInStatus
from agent.status.snapshot import KeyStatus, RoleState, RoleStatus, SessionStatus, StatusSnapshot
from agent.status.style import STYLE
from agent.status.tokens import TokenState, TokenStatus

#: How often the page is loaded again, in seconds.
_AGAIN: Final = 10

#: Beyond this, tokens minted by this machine's own clock would soon be refused.
_CLOCK_OFF: Final = timedelta(seconds=60)

_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

#: Our own style, known by its hash, and an icon that is part of the page; nothing else, and in nobody's frame.
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

#: For each state: its tone in the style, its words, and how much it wants to be seen.
_STATES: Final[dict[RoleState, tuple[str, str, int]]] = {
    "bare": ("bad", "no credentials", 0),
    "ending": ("bad", "failing, ending soon", 1),
    "failing": ("warn", "failing, still good", 2),
    "starting": ("idle", "starting", 3),
    "good": ("good", "on call", 4),
    "idle": ("idle", "on demand", 5),
}

#: The same of tokens for others.
_TOKENS: Final[dict[TokenState, tuple[str, str]]] = {
    "bare": ("bad", "no token"),
    "failing": ("warn", "failing, still good"),
    "starting": ("idle", "starting"),
    "good": ("good", "at hand"),
    "idle": ("idle", "on demand"),
}

#: The same of rules for tokens that others show.
_RULES: Final[dict[RuleState, tuple[str, str]]] = {
    "bare": ("bad", "no keys"),
    "failing": ("warn", "keys not read again"),
    "starting": ("idle", "starting"),
    "good": ("good", "on call"),
}

#: How many sessions of a role are listed, the worst first; who wants all reads the JSON.
_LISTED: Final = 50

_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='5.5' fill='none' stroke='%230f7b52' stroke-width='3'/%3E%3C/svg%3E"
)


def render(now: StatusSnapshot) -> str:
    """The whole page."""
    roles = sorted(now.roles, key=lambda role: (_STATES[role.state][2], role.role))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{_AGAIN}">
<title>{escape(_title(now))}</title>
<link rel="icon" href="{_ICON}">
<style>{STYLE}</style>
</head>
<body>
<header><h1>rolecall</h1><span>{escape(now.version)}</span><span>{escape(instant(now.taken_at))}</span></header>
<main>
{_summary(now)}
<ul class="roles">
{"".join(_role(role) for role in roles)}</ul>
<div class="rest">
{_keys(now)}
{_tokens(now)}{_rules(now)}{_machine(now)}
</div>
</main>
<footer>
<span>Running for {span(now.running_for)}</span>
<a href="metrics">Metrics</a><a href="status.json">JSON</a><a href="readyz">Ready?</a><a href="livez">Alive?</a>
<span>Loaded again every {_AGAIN} s</span>
</footer>
</body>
</html>
"""


def span(length: timedelta) -> str:
    """A span as people say it, in its two largest units: `3 d 4 h`, `1 h 5 min`, `47 min`, `32 s`."""
    seconds = int(max(length, timedelta(0)).total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"


def _title(now: StatusSnapshot) -> str:
    return f"rolecall: {_verdict(now)[1]}"


def _verdict(now: StatusSnapshot) -> tuple[str, str]:
    """The tone and the sentence of the whole."""
    if not now.roles and (now.tokens or now.rules):
        return _without_roles(now)
    count, states = len(now.roles), [role.state for role in now.roles]
    bad = sum(state in {"bare", "ending"} for state in states)
    if bad:
        return "bad", f"{bad} of {_roles(count)} {'needs' if bad == 1 else 'need'} somebody"
    if "failing" in states:
        return "warn", f"{_roles(count)} on call, {states.count('failing')} not being renewed"
    if "starting" in states:
        return "idle", f"{states.count('starting')} of {_roles(count)} starting"
    return "good", f"{_roles(count)} on call"


def _without_roles(now: StatusSnapshot) -> tuple[str, str]:
    """The same where there are tokens for others, or rules for theirs, and no roles."""
    states = [*(one.state for one in now.tokens), *(one.state for one in now.rules)]
    audiences, rules = len(now.tokens), len(now.rules)
    kinds = [f"tokens for {audiences} audience{'' if audiences == 1 else 's'}"] if audiences else []
    kinds += [f"{rules} rule{'' if rules == 1 else 's'} for tokens of others"] if rules else []
    what = " and ".join(kinds)
    if bad := states.count("bare"):
        return "bad", f"{what}: {bad} need{'s' if bad == 1 else ''} somebody"
    if "failing" in states:
        return "warn", f"{what}: {states.count('failing')} not being renewed"
    return ("idle", f"{what}, starting") if "starting" in states else ("good", f"{what}, on call")


def _roles(count: int) -> str:
    return "1 role" if count == 1 else f"{count} roles"


def _summary(now: StatusSnapshot) -> str:
    tone, sentence = _verdict(now)
    return f'<p class="summary {tone}">{escape(sentence)}</p>'


def _role(role: RoleStatus) -> str:
    """A role as the worst of its sessions, and all of them if that is not the role as a whole alone."""
    tone, words, _ = _STATES[role.state]
    worst = role.worst
    key_id = worst.key_id if worst else ""
    facts = [
        ("Ends", _moment(role.expires_at)),
        ("Renewed", _moment(role.last_success)),
        ("Given to", escape(", ".join(role.callers)) or "nobody yet"),
        ("Next attempt", _next_attempt(role)),
        ("Key id", f"<code>…{escape(key_id)}</code>" if key_id else "none"),
    ]
    if role.failures:
        facts.append(("Failures in a row", str(role.failures)))
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f"""<li class="card role {tone}">
{_dial(worst)}
<div><h2>{escape(role.role)} <span class="badge">{words}</span></h2><code class="arn">{_arn(role.arn)}</code></div>
{_problem(worst)}<dl>{listed}</dl>
{_sessions(role)}</li>
"""


def _next_attempt(role: RoleStatus) -> str:
    if role.worst is None:
        return "when somebody asks"
    return "under way" if role.next_attempt_in is None else f"in {span(role.next_attempt_in)}"


def _sessions(role: RoleStatus) -> str:
    """Each session of a role that has more than one, or one that is less than the role."""
    if not any(one.about for one in role.sessions):
        return ""
    shown = sorted(role.sessions, key=lambda one: (_STATES[one.state][2], one.about))
    rows = "".join(_session_row(one) for one in shown[:_LISTED])
    more = f"<tr><td>and {len(shown) - _LISTED} more</td></tr>" if len(shown) > _LISTED else ""
    return f"""<div class="parts scroll"><table>
<thead><tr><th>Session</th><th>State</th><th>Ends</th><th>Given to</th></tr></thead>
<tbody>{rows}{more}</tbody></table></div>
"""


def _session_row(one: SessionStatus) -> str:
    tone, words, _ = _STATES[one.state]
    about = escape(one.about) or "the whole role"
    given = escape(", ".join(one.callers[:5])) + (" …" if len(one.callers) > 5 else "")
    cells = (about, f'<span class="badge {tone}">{words}</span>', _moment(one.expires_at), given or "nobody yet")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _arn(arn: str) -> str:
    """The ARN, to be broken where its parts meet."""
    return escape(arn).replace(":", ":<wbr>").replace("/", "/<wbr>")


def _moment(moment: datetime | None) -> str:
    """An instant, its time of day first: the date matters to few."""
    if moment is None:
        return "not yet"
    written = instant(moment)
    day, time = written.rstrip("Z").split("T")
    return f'<time datetime="{written}" title="{day}">{time}</time> <span class="about">UTC</span>'


def _problem(worst: SessionStatus | None) -> str:
    if worst is None or not worst.problem:
        return ""
    hint = f"<span>{escape(worst.hint)}</span>" if worst.hint else ""
    return f'<p class="problem"><b>{escape(worst.problem)}</b>{hint}</p>\n'


def _dial(worst: SessionStatus | None) -> str:
    """How much is left of the set held, as a ring."""
    left = worst.left if worst and worst.usable and worst.left else timedelta(0)
    share = 100 * left / worst.lifetime if worst and worst.lifetime else 0.0
    number, _, unit = span(left).partition(" ")
    if left >= timedelta(hours=1):
        hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
        number, unit = f"{hours}:{minutes:02}", "hours left"
    elif not left:
        number, unit = "0", "left"
    else:
        unit += " left"
    arc = f'<circle class="left" cx="40" cy="40" r="34" pathLength="100" stroke-dasharray="{share:.1f} 100"/>'
    return (
        f'<svg class="dial" viewBox="0 0 80 80" role="img" aria-label="{span(left)} left">'
        f'<circle cx="40" cy="40" r="34"/>{arc if left else ""}'
        f'<text x="40" y="42">{number}</text><text class="unit" x="40" y="54">{unit}</text></svg>'
    )


def _keys(now: StatusSnapshot) -> str:
    if not now.keys and now.rules and not now.roles:
        return '<section class="card"><h3>Signing keys</h3>None: nothing here needs a token of ours.</section>'
    if not now.keys:
        return '<section class="card"><h3>Signing keys</h3>None: tokens come from elsewhere.</section>'
    rows = "".join(_key_row(key) for key in now.keys)
    return f"""<section class="card"><h3>Signing keys</h3><div class="scroll"><table>
<thead><tr><th>Key</th><th>Algorithm</th><th>State</th><th>Published</th><th>Next</th></tr></thead>
<tbody>{rows}</tbody></table></div></section>"""


def _key_row(key: KeyStatus) -> str:
    published = {None: "not looked at", True: "yes", False: "no"}[key.published]
    soon = f" in {span(key.next_in)}" if key.next_in is not None else ""
    cells = (f"<code>{escape(key.kid)}</code>", escape(key.algorithm), key.state, published, escape(key.next + soon))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _tokens(now: StatusSnapshot) -> str:
    """The tokens for others, where there are any."""
    if not now.tokens:
        return ""
    rows = "".join(_token_row(one) for one in now.tokens)
    return f"""<section class="card"><h3>Tokens for others</h3><div class="scroll"><table>
<thead><tr><th>Audience</th><th>State</th><th>Held</th><th>Given to</th></tr></thead>
<tbody>{rows}</tbody></table></div></section>
"""


def _token_row(one: TokenStatus) -> str:
    tone, words = _TOKENS[one.state]
    why = f"<br>{escape(one.problem)}" if one.problem else ""
    given = escape(", ".join(one.callers[:5])) + (" …" if len(one.callers) > 5 else "")
    badge = f'<span class="badge {tone}">{words}</span>{why}'
    cells = (f"<code>{escape(one.audience)}</code>", badge, str(one.held), given or "nobody yet")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _rules(now: StatusSnapshot) -> str:
    """The rules for tokens that others show, where there are any."""
    if not now.rules:
        return ""
    rows = "".join(_rule_row(one) for one in now.rules)
    return f"""<section class="card"><h3>Rules for tokens of others</h3><div class="scroll"><table>
<thead><tr><th>Rule</th><th>State</th><th>Keys</th><th>Issuer</th></tr></thead>
<tbody>{rows}</tbody></table></div></section>
"""


def _rule_row(one: RuleStatus) -> str:
    tone, words = _RULES[one.state]
    why = f"<br>{escape(one.problem)}" if one.problem else ""
    badge = f'<span class="badge {tone}">{words}</span>{why}'
    cells = (f"<code>{escape(one.rule)}</code>", badge, str(one.keys), f"<code>{escape(one.issuer)}</code>")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _machine(now: StatusSnapshot) -> str:
    listeners = "".join(
        f"<div><dt>{escape(listener.name)}</dt><dd><code>{escape(listener.address)}</code></dd></div>"
        for listener in now.listeners
    )
    return (
        f'<section class="card"><h3>This machine</h3><dl><div><dt>Clock</dt><dd>{_clock(now.offset)}</dd></div>'
        f"{listeners}{''.join(map(_sign_in, now.sign_ins))}</dl></section>"
    )


def _sign_in(one: SignInStatus) -> str:
    """How the sign-in of a person stands, and what to run."""
    said = {"unknown": "not looked at yet", "good": "good", "due": "ending", "over": "over"}[one.state]
    tone = {"due": "warn", "over": "bad"}.get(one.state, "good")
    ends = f" until {_moment(one.ends_at)} at the latest" if one.ends_at else ""
    run = f"; run <code>{escape(one.command)}</code>" if one.state in {"due", "over"} else ""
    badge = f'<span class="badge {tone}">{said}</span>'
    return f"<div><dt>Sign-in, {escape(one.source)}</dt><dd>{badge}{ends}{run}</dd></div>"


def _clock(offset: timedelta | None) -> str:
    if offset is None:
        return "AWS has not been heard yet"
    if abs(offset) < timedelta(seconds=2):  # AWS tells its time in whole seconds
        return "right"
    words = f"{span(abs(offset))} {'slow' if offset > timedelta(0) else 'fast'}"
    return words if abs(offset) <= _CLOCK_OFF else f'<span class="badge bad">{words}</span>'
