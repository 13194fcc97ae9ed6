"""How is the chain tried, from the configuration to what a program receives?

Everything here reads. Nothing is published, no ring is written, no lock is taken, and what STS gives is thrown away.
"""

import asyncio
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, assert_never

from agent import __version__, jose
from agent.assembly.credentials import OpenedSts
from agent.assembly.doctor_callers import callers_link
from agent.assembly.doctor_exchange import Exchanges
from agent.assembly.doctor_rules import rules_link
from agent.assembly.doctor_sign_in import sign_in_link
from agent.assembly.doctor_tokens import Elsewhere
from agent.assembly.rotation import public_site, ring_file, rotation
from agent.assembly.tokens import mint
from agent.clock import Clock, RemoteClock
from agent.doctor import Check, Tried, endpoint, environment, issuer, key, provider, roles, token
from agent.doctor import clock as clocks
from agent.doctor.diagnosis import Diagnosis, broken
from agent.errors import (
    AgentError,
    AgentUnreachable,
    ConfigurationError,
    KeyUnavailable,
    TokenRefused,
    TokenUnavailable,
)
from agent.infrastructure import Account, Trust
from agent.infrastructure.trust import policy_of
from agent.keys import SigningKey
from agent.publishing.discovery import published
from agent.publishing.inspection import Inspection
from agent.publishing.world import PublicSite
from agent.rotation import Rotation
from agent.secret import Secret
from agent.settings import IdentityCenterRole, IdentityPoolRole, Role, SelfSigned, Settings, StsRole
from agent.settings.credentials import arn_partition
from agent.settings.keys import paths_of
from agent.settings.oauth2 import OAuth2
from agent.settings.spelling import UNIT_CREDENTIALS
from agent.threads import aside

#: Who holds which lock, by the kernel (proc(5)): to ask is not to take one.
_LOCKS: Final = Path("/proc/locks")


_NOBODY_NEEDS: Final = "no role is had for a token"
_NO_ROLES: Final = "there is no role to ask it for"


@dataclass(frozen=True, slots=True)
class Around:
    """What is not in the configuration.

    Attributes:
        clock: this machine's.
        credentials_directory: where systemd puts what it hands to the agent's unit.
        agent: the running agent, if there is one.
        environ: the environment in which programs would be started.
        everybody: what sets variables for everybody who signs in.
        telling: hears what is being waited for.
    """

    clock: Clock
    credentials_directory: Path | None
    agent: endpoint.Agent
    environ: Mapping[str, str] = field(repr=False)  # whatever lies around, keys among it
    everybody: Path = environment.EVERYBODY
    telling: Callable[[str], None] = lambda _: None


async def examine(settings: Settings, first: Tried, around: Around) -> Diagnosis:
    """Try every link; `first` is what there is to say of the configuration. Raises nothing that a person can cause."""
    async with AsyncExitStack() as stack:
        return Diagnosis((first, *await _Chain(settings, around, stack).tried()))


@dataclass(frozen=True, slots=True)
class _Looked:
    """What became of looking at the issuer."""

    inspection: Inspection | None
    trouble: AgentError | None = None


class _Chain:
    """The links, and what one learns for the next."""

    def __init__(self, settings: Settings, around: Around, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._around = around
        self._stack = stack
        self._aws_time = RemoteClock(around.clock)
        self._elsewhere = Elsewhere(settings, around.clock, around.credentials_directory)
        self._walk: Rotation | None = None
        self._signing: SigningKey | None = None
        self._exchanges: Exchanges | None = None
        self._status: Mapping[str, Any] | AgentError = {}

    async def tried(self) -> Sequence[Tried]:
        """All links but the configuration, in their order."""
        tell = self._around.telling
        tell("looking at the key, STS, the issuer and the agent …")
        self._status = await self._asked_status()
        key_link, (sts_link, clock_link), looked = await asyncio.gather(self._key_and_on(), self._sts(), self._look())
        before = [key_link, sts_link, clock_link, self._issuer(looked)]
        checks: tuple[tuple[str, Check], ...] = (
            ("having a token judged …", partial(self._token, looked)),
            *self._signing_in(),
            (f"asking STS for {len(self._settings.token_roles)} roles …", self._roles),
            *self._verifying(),
            ("asking the agent, as a program would …", self._endpoint),
            ("looking at whom grants name …", self._callers),
            ("looking at the environment …", self._environment),
        )
        for said, check in checks:
            tell(said)
            before.append(await check(before))
        is_believed = any(one.link == "roles" and one.good for one in before)
        return [issuer.read_by_aws(one) if one.link == "issuer" and is_believed else one for one in before]

    def _signing_in(self) -> Sequence[tuple[str, Check]]:
        """The link of a person's sign-in, where the configuration has one."""
        words = self._settings.identity_center
        if words is None:
            return ()
        return (("looking at who is signed in …", lambda _: sign_in_link(self._settings, words, self._around.clock)),)

    def _verifying(self) -> Sequence[tuple[str, Check]]:
        """The link of rules for tokens that others show, where there are any."""
        if not self._settings.verify:
            return ()
        return (("reading the keys of other issuers …", self._rules),)

    async def _rules(self, _: Sequence[Tried]) -> Tried:
        has_key = self._signing is not None
        return await rules_link(self._settings, self._status, self._around.clock, has_key=has_key)

    @property
    def _needs_none(self) -> bool:
        """Whether nobody needs a token of ours, and there is nothing to make one with."""
        return not self._settings.token_roles and self._settings.issuer is None

    # --- key

    async def _key_and_on(self) -> Tried:
        """Try the key, and let those go on who wait for it."""
        try:
            return await self._key()
        finally:
            self._elsewhere.key_tried(self._signing)

    async def _key(self) -> Tried:
        settings, around = self._settings, self._around
        if settings.key is None and self._needs_none:
            return Tried("key", not_tried=_NOBODY_NEEDS)
        if settings.key is None:
            return self._elsewhere.key_link()
        unit_only = [path for _, path in paths_of(settings.key) if path.is_relative_to(UNIT_CREDENTIALS)]
        if any(not os.access(path, os.R_OK) for path in unit_only):
            return Tried("key", not_tried="systemd hands it to the agent's unit alone: run this as root while it runs")
        try:
            self._walk = rotation(
                settings, around.credentials_directory, publisher=None, clock=around.clock, report=lambda _: None
            )
            self._stack.push_async_callback(self._walk.close)
            await self._walk.start()
            self._signing = self._walk.signer()
            await self._signing.sign(b"rolecall doctor: does this key sign?")
        except AgentError as error:
            return key.unavailable(error)
        ring = self._walk.ring
        assert ring is not None  # or there would be no signer
        keys = key.Keys(ring, self._walk.rules, self._signing.public, around.clock.now())
        tried = key.examined(keys)
        if holder := await aside(self._stranger):
            assert settings.rotation is not None
            other = key.other_agent(holder, str(settings.rotation.state))
            tried = Tried("key", tried.good, (other, *tried.findings))
        return tried

    def _stranger(self) -> int | None:
        """The process that works by our ring, if no agent answers where ours should."""
        file = ring_file(self._settings)
        nobody = isinstance(self._status, AgentUnreachable) and self._status.retryable
        return None if file is None or not nobody else lock_holder(file.path.parent / ".agent.lock")

    # --- STS and the clock

    async def _sts(self) -> tuple[Tried, Tried]:
        if not self._settings.uses_sts:
            return Tried("sts", not_tried=_NO_ROLES), Tried("clock", not_tried=_NO_ROLES)
        opened = OpenedSts(self._settings.sts)
        where = self._settings.sts.endpoint_url or f"AWS, region {self._settings.sts.region}"
        try:
            await self._stack.enter_async_context(opened)
            exchanges = Exchanges(self._settings, opened, self._around.clock, self._aws_time)
            probe = await exchanges.probe()
        except AgentError as error:
            about = "sts.ca_bundle" if isinstance(error, ConfigurationError) and "CA bundle" in error.what else ""
            return clocks.unreachable(error, about), Tried("clock", not_tried="STS does not answer")
        self._exchanges = exchanges
        tried = clocks.answered(probe, where)
        if probe.ahead is None and tried.is_broken:
            return tried, Tried("clock", not_tried="STS has not told the time")
        return tried, clocks.compared(probe.ahead)

    # --- issuer

    async def _look(self) -> _Looked:
        if self._needs_none and not self._elsewhere.makes_them:
            return _Looked(None)
        try:
            site = self._elsewhere.site() if self._elsewhere.makes_them else self._own_site()
            return _Looked(await (await site).inspect())
        except TokenRefused as error:
            words = self._settings.identity
            if isinstance(words, OAuth2) and words.signs:
                # A provider that does not know us may not have found our key, so it is our site that matters now.
                return _Looked(await (await self._own_site()).inspect())
            return _Looked(None, error)
        except AgentError as error:
            return _Looked(None, error)

    async def _own_site(self) -> PublicSite:
        return public_site(self._settings, self._around.clock)

    def _issuer(self, looked: _Looked) -> Tried:
        if looked.inspection is None:
            if looked.trouble is None:
                return Tried("issuer", not_tried=_NOBODY_NEEDS)
            if isinstance(looked.trouble, TokenUnavailable | TokenRefused | KeyUnavailable):
                return Tried("issuer", not_tried="without a token nobody knows which it is")
            return issuer.unreadable(looked.trouble)
        ring = None if self._walk is None or not self._is_ours(looked.inspection) else self._walk.ring
        expected = {} if ring is None else {public.kid: published(public) for public in ring.shown}
        announced = [ring.announced.public.kid] if ring is not None and ring.announced is not None else []
        return issuer.examined(looked.inspection, expected, announced)

    def _is_ours(self, inspection: Inspection) -> bool:
        """Whether it is the issuer for which we keep keys; the token of a file may be another's."""
        return self._settings.issuer is not None and self._settings.issuer.url == inspection.issuer

    # --- token

    async def _token(self, looked: _Looked, before: Sequence[Tried]) -> Tried:
        settings = self._settings
        if self._needs_none and not self._elsewhere.makes_them:
            return Tried("token", not_tried=_NOBODY_NEEDS)
        if isinstance(settings.identity, SelfSigned) and self._signing is None:
            return Tried("token", not_tried="there is no key to sign it with")
        try:
            shown = await self._example()
            claims = jose.unverified(shown.reveal())[1]
        except AgentError as error:
            return token.unavailable(error)
        if broken(before, "issuer") or looked.inspection is None or looked.inspection.key_set is None:
            return Tried("token", not_tried="the keys that the world reads could not be had, or are not ours")
        tried = token.examined(
            shown,
            looked.inspection.key_set.document,
            audience=provider.audience_of(claims),
            issuer=looked.inspection.issuer,
        )
        if isinstance(settings.identity, OAuth2):
            tried = replace(tried, findings=(*tried.findings, *provider.fitting(claims, settings.identity.issuer)))
        return tried

    async def _example(self) -> Secret:
        """A token by this machine's own clock, by which the judge goes, too. Raises AgentError."""
        if self._elsewhere.makes_them:
            return (await self._elsewhere.token()).value
        assert self._signing is not None  # or there is nothing to be tried
        role = next(iter(self._settings.token_roles.values()), None)
        made = await mint(
            self._settings,
            self._signing,
            role,
            clock=self._around.clock,
            token_id=lambda: str(uuid.uuid4()),
            changes={},
        )
        return made.value

    # --- roles

    async def _roles(self, before: Sequence[Tried]) -> Tried:
        if not self._settings.token_roles:
            return Tried("roles", not_tried=_NOBODY_NEEDS)
        if self._exchanges is None or broken(before, "sts"):
            return Tried("roles", not_tried="STS does not answer as it should")
        if isinstance(self._settings.identity, SelfSigned) and self._signing is None:
            return Tried("roles", not_tried="there is no key to sign a token with")
        if self._elsewhere.makes_them and broken(before, "token"):
            return Tried("roles", not_tried="there is no token to show")
        self._exchanges.signing = self._signing
        self._exchanges.elsewhere = self._elsewhere.token if self._elsewhere.makes_them else None
        wanted = [self._wanted(name, role) for name, role in self._settings.token_roles.items()]
        return await roles.examined(wanted, self._exchanges, before)

    def _wanted(self, name: str, role: StsRole) -> roles.Wanted:
        identity = self._settings.identity
        pinned = isinstance(identity, SelfSigned) and identity.pin_roles
        policy = None
        grants = [grant for grant in self._settings.grants if name in grant.roles]
        if isinstance(identity, SelfSigned) and self._settings.issuer is not None:
            trust = Trust(
                self._settings.issuer.url,
                identity.audience,
                identity.subject,
                tags=any([identity.tags, role.tags, *(grant.tags for grant in grants)]),
                source_identity=any([identity.source_identity, *(grant.source_identity for grant in grants)]),
                require_pinning=pinned,
            )
            policy = policy_of(trust, Account(arn_partition(role.arn), role.account))
        return roles.Wanted(name, role.arn, role.session_name, role.duration, pinned or policy is None, policy)

    # --- endpoint and environment

    async def _asked_status(self) -> Mapping[str, Any] | AgentError:
        try:
            return await self._around.agent.status()
        except AgentError as error:
            return error

    async def _endpoint(self, before: Sequence[Tried]) -> Tried:
        if isinstance(self._status, AgentError):
            missing = () if self._settings.roles or self._settings.grants else ("nothing is verified for anybody",)
            return endpoint.absent(self._status, str(self._settings.listen.admin), *missing)
        expected = endpoint.Expected(
            {name: _arn(role) for name, role in self._settings.roles.items()},
            "" if self._signing is None else self._signing.public.kid,
            self._aws_time.now(),
            __version__,
        )

        async def who_am_i(document: Mapping[str, Any]) -> str:
            assert self._exchanges is not None  # or the link of STS is broken, and nobody asks
            return await self._exchanges.who_am_i(document)

        return await endpoint.examined(self._around.agent, self._status, expected, who_am_i, before)

    async def _callers(self, before: Sequence[Tried]) -> Tried:
        if not self._settings.roles and not self._settings.grants:
            return Tried("callers", not_tried="nobody is granted anything")
        answer: Mapping[str, Any] | AgentError | None = None
        if not isinstance(self._status, AgentError) and broken(before, "endpoint") is None:
            try:
                answer = await self._around.agent.who()
            except AgentError as error:
                answer = error
        return await callers_link(self._settings, answer, self._around.everybody)

    async def _environment(self, _: Sequence[Tried]) -> Tried:
        if not self._settings.roles:
            return Tried("environment", not_tried="there is no role for programs to ask for")
        where = self._settings.listen.credentials
        place = environment.Endpoint(
            where.host, where.port, tuple(self._settings.roles), self._settings.sts.endpoint_url
        )
        return await aside(environment.examined, self._around.environ, place, self._around.everybody)


def _arn(role: Role) -> str:
    """The ARN of a role, with * for what AWS alone chooses in it."""
    match role:
        case StsRole():
            return role.arn
        case IdentityPoolRole():
            return role.arn
        case IdentityCenterRole():
            return (
                f"arn:*:iam::{role.account}:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_{role.permission_set}_*"
            )
        case _:
            assert_never(role)


def lock_holder(path: Path, locks: Path = _LOCKS) -> int | None:
    """The process that holds a lock on a file, as far as the kernel says; to ask is not to take it."""
    try:
        facts = path.stat()
        held = re.findall(r"^\d+: FLOCK +\S+ +WRITE +(\d+) \S+:(\d+) ", locks.read_text(), re.MULTILINE)
    except OSError:
        return None
    return next((int(process) for process, inode in held if int(inode) == facts.st_ino), None)
