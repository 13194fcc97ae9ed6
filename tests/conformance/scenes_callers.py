"""What do clients make of tokens, of grants, and of what else is in their environment?"""

import asyncio
import json
import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.proxy import Proxy, listening_proxy
from tests.conformance.stage import Stage, ready_agent, said_environment
from tests.conformance.words import BY_NO_PROXY, BY_TOKEN_FILE, WHILE_OVERLAP, WORKS, Words, after, keeps_working, over
from tests.live.host import TOKEN, agent_on

NEW, OTHER = "a-new-token-of-the-tests-0123456789", "somebody-elses-token-of-the-tests-0123456789"

#: A user that is on every machine, and is not us.
_SOMEBODY_ELSE = "daemon"

#: What leads an SDK astray that looks there before it looks at us.
_HOSTILE = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "a-session-of-long-ago",
    "AWS_PROFILE": "of-somebody-else",
    "AWS_DEFAULT_PROFILE": "of-somebody-else",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/of-somebody-else",
    "AWS_ROLE_SESSION_NAME": "astray",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/astray",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a-token-of-long-ago-0123456789",
}


async def token_changed(stage: Stage) -> Words:
    """The token is replaced, first in the agent's file, then in the client's; last, the old one ends."""
    theirs, ours = stage.host.home / "token-of-clients", stage.host.home / "token"
    theirs.write_text(TOKEN)
    environ = stage.environ | {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(theirs)}
    async with stage.troupe(environ=environ) as troupe:
        async with ready_agent(stage):
            takes = [await troupe.ask("call")]
            ours.write_text(NEW)
            await stage.served(NEW)
            takes.append(await troupe.ask("fresh"))
            theirs.write_text(NEW)
            takes += [await troupe.ask("fresh"), await troupe.ask("call")]
        async with ready_agent(stage, NEW):  # which has never heard of the old one
            last = keeps_working([await troupe.ask("fresh")])
    return after(takes, {name: WORKS if said == WORKS else WHILE_OVERLAP for name, said in last.items()})


async def wrong_token(stage: Stage) -> Words:
    """The agent does not know the token (401), until it stands in its file."""
    known = stage.host.home / "token"
    environ = stage.environ | {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(_beside(stage, TOKEN))}
    known.write_text(OTHER)
    async with stage.troupe(environ=environ) as troupe, ready_agent(stage, OTHER):
        assert await stage.ask() == 401
        first = await troupe.ask("call")
        known.write_text(f"{OTHER}\n{TOKEN}\n")
        await stage.served()
        return await over(first, troupe)


async def not_granted(stage: Stage) -> Words:
    """The agent knows the token, but grants it another role (403), until somebody grants it this one."""
    allowed = _beside(stage, OTHER)
    _grant_apart(stage, f'token_file = "{allowed}"', f'token_file = "{stage.host.home}/token"')
    async with stage.troupe() as troupe, ready_agent(stage, OTHER):
        assert await stage.ask() == 403
        first = await troupe.ask("call")
        allowed.write_text(f"{OTHER}\n{TOKEN}\n")
        await stage.served()
        return await over(first, troupe)


async def proxies(stage: Stage) -> Words:
    """All the variables that name a proxy name one that listens; then the same without our NO_PROXY."""
    async with listening_proxy() as proxy, ready_agent(stage):
        named = dict.fromkeys(_names_of_proxies(), proxy.url)
        environ = await said_environment(stage.host, present=named)
        async with stage.troupe(named, environ=environ) as troupe:
            words = keeps_working([await troupe.ask("call")])
        assert proxy.requests == [], f"NO_PROXY is set, and this went to the proxy: {proxy.requests}"
        bare = {name: value for name, value in environ.items() if name.upper() != "NO_PROXY"}
        needs = await _give_away(stage, bare | named, proxy)
    return {name: BY_NO_PROXY if name in needs and said == WORKS else said for name, said in words.items()}


async def executed(stage: Stage) -> Words:
    """`rolecall exec` runs the client, in an environment that leads astray, and with STS down at first."""
    home = stage.host.home / "somebody"
    (home / ".aws").mkdir(parents=True)
    keys = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = of-long-ago\n"
    (home / ".aws/credentials").write_text(f"[default]\n{keys}[of-somebody-else]\n{keys}")
    before = [sys.executable, "-m", "agent", "exec", "backup", "-c", str(stage.host.config), "--timeout", "40s", "--"]
    stage.outage()
    async with (
        agent_on(stage.host) as agent,
        stage.troupe(_HOSTILE | {"HOME": str(home)}, before, environ={}) as troupe,
    ):
        await agent.ready()
        asking = asyncio.ensure_future(troupe.ask("call"))
        await asyncio.sleep(1)
        assert not asking.done()
        stage.well()
        return keeps_working([await asking, await troupe.ask("fresh")])


async def one_address(stage: Stage) -> Words:
    """The address names no role, and there is no token: the kernel says who asks, and each user has a role of his."""
    us = pwd.getpwuid(os.getuid()).pw_name
    _grant_apart(stage, f'user = "{us}"', f'user = "{_SOMEBODY_ELSE}"')
    environ = await said_environment(stage.host, role="")
    assert not [name for name in environ if "TOKEN" in name]
    async with agent_on(stage.host) as agent:
        await agent.ready()
        async with stage.troupe(environ=environ) as troupe:
            words = keeps_working([await troupe.ask(word) for word in ("call", "fresh")])
        any_token = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(_beside(stage, OTHER))}
        async with stage.troupe(any_token, environ=environ) as troupe:
            shown = keeps_working([await troupe.ask("call")])
    assert set(shown.values()) == {WORKS}, f"a token that nobody knows does not harm who needs none: {shown}"
    return {name: WORKS if said == WORKS else BY_TOKEN_FILE for name, said in words.items()}


def _grant_apart(stage: Stage, backup: str, reports: str) -> None:
    """Grant each of the two roles in a way of its own."""
    config = stage.host.config
    granted = f'roles = {json.dumps(list(stage.host.roles))}\ntoken_file = "{stage.host.home}/token"'
    assert granted in config.read_text()
    apart = f'roles = ["backup"]\n{backup}\n[[grants]]\nroles = ["reports"]\n{reports}'
    config.write_text(config.read_text().replace(granted, apart))


async def _give_away(stage: Stage, environ: Mapping[str, str], proxy: Proxy) -> set[str]:
    """Who sends our token to the proxy, if nothing tells it not to. One by one: the proxy knows nobody."""
    guilty = set()
    async with stage.troupe(environ=environ) as troupe:
        for name in troupe.talks:
            proxy.forget()
            await troupe.ask("call", only=[name])
            if TOKEN in proxy.tokens:
                guilty.add(name)
    return guilty


def _names_of_proxies() -> list[str]:
    return [name for known in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (known, known.lower())]


def _beside(stage: Stage, token: str) -> Path:
    """A token file besides the agent's usual one."""
    path = stage.host.home / "token-besides"
    path.write_text(token)
    path.chmod(0o600)
    return path
