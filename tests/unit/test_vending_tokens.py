"""Does everybody get the tokens that they are granted, each his own, by the rules that hold for credentials?"""

import asyncio
from datetime import timedelta
from typing import Self

import pytest

from agent.callers import Facts, Origin, Peer
from agent.clock import RemoteClock
from agent.errors import (
    CallerDenied,
    CallerUnknown,
    CredentialsNotReady,
    CredentialsUnavailable,
    KeyUnavailable,
    RoleAmbiguous,
    RoleUnknown,
)
from agent.events import CredentialsVended, RosterFull, TokenDenied, TokenRenewalFailed, TokenRenewed, TokenVended
from agent.leases import TOKENS
from agent.roster import Making, Roster, TokenRoster
from agent.schedule import RefreshPolicy
from agent.sessions import Keeper, Session
from agent.tokens import IssuedToken
from agent.tokens.self_signed import Identity, SelfSigned
from agent.vending import TokenVendor, Vendor
from agent.wording import TokenGrant, Wording
from tests.fakes.clock import FakeClock, settle
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported

TEN = timedelta(minutes=10)
ALICE, BOB = (frozenset({("unix.uid", uid), ("unix.user", name)}) for uid, name in (("1", "alice"), ("2", "bob-b")))
USERS = TokenGrant("vault", ALICE, Wording("user:${USER}", TEN, ("read", "write")), "grants#1")
ANYONE = TokenGrant("vault", frozenset(), Wording("somebody", TEN), "grants#2")


class Stage:
    """A vendor of tokens that are made when somebody asks, and who keeps them fresh."""

    def __init__(self, *grants: TokenGrant, room: int = 100) -> None:
        self.base = FakeClock()
        self.clock = RemoteClock(self.base)
        self.key = MemoryKey()
        self.reported = Reported()
        self.ids = iter(range(1, 10_000))
        self.keeper = Keeper([], clock=self.clock, concurrency=4, spread=lambda: 0.5)
        names = {grant.name: "" for grant in grants}
        making = Making(self.make, self.keeper, self.clock, self.reported, room)
        self.roster: TokenRoster = Roster({}, names, making, TOKENS)
        self.vendor: TokenVendor = Vendor(self.roster, [], grants, self.reported, TOKENS)

    def make(self, audience: str, wording: Wording) -> Session[IssuedToken]:
        identity = Identity(
            "https://oidc.example.com", wording.subject, audience, wording.lifetime, claims=wording.as_claims()
        )
        source = SelfSigned(
            lambda: self.key, identity, self.clock, token_id=lambda: f"jti-{next(self.ids)}", report=self.reported
        )
        return Session(
            audience,
            source,
            RefreshPolicy(reserve=timedelta(0)),
            clock=self.clock,
            report=self.reported,
            spread=lambda: 0.5,
            about=wording.about,
            kind=TOKENS,
        )

    async def __aenter__(self) -> Self:
        self.keeping = asyncio.ensure_future(self.keeper.keep_fresh())
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.keeping.cancel()
        await asyncio.gather(self.keeping, return_exceptions=True)

    async def ask(self, facts: Facts, audience: str = "vault", *scopes: str, shown: bytes | None = None) -> IssuedToken:
        def cut(granted: Wording) -> Wording:
            return granted.asking(scopes) if scopes else granted

        asking = asyncio.ensure_future(self.vendor.vend(peer(facts, shown), audience, cut))
        await self.base.advance(timedelta(seconds=1))
        name, token = await asking
        assert name == token.audience
        return token


def peer(facts: Facts, shown: bytes | None = None) -> Peer:
    return Peer(Origin("127.0.0.1", facts=facts), shown)


async def test_callers_who_differ_have_tokens_of_their_own_and_those_alike_share_one() -> None:
    async with Stage(USERS, TokenGrant("vault", BOB, Wording("user:${USER}", TEN), "grants#3"), ANYONE) as stage:
        alice, bob, other, another = [
            await stage.ask(facts) for facts in (ALICE, BOB, frozenset(), frozenset({("unix.uid", "3")}))
        ]
        assert len({alice.id, bob.id, other.id}) == 3
        assert other is another
        assert await stage.ask(ALICE | {("systemd.unit", "a.service")}) is alice
        assert stage.vendor.vend_held(peer(ALICE), "vault") == ("vault", alice)
        assert [one.about for one in stage.reported.of(TokenRenewed)] == [
            "grants#1: user alice",
            "grants#3: user bob-b",
            "",
        ]


async def test_less_is_another_token_and_more_is_none() -> None:
    async with Stage(USERS) as stage:
        whole, less = await stage.ask(ALICE), await stage.ask(ALICE, "vault", "write")
        assert (whole.scope, less.scope) == ("read write", "write")
        assert whole.id != less.id
        assert await stage.ask(ALICE, "vault", "write", "read") is whole


async def test_each_is_told_of_once_with_its_id_and_a_new_one_again() -> None:
    async with Stage(USERS) as stage:
        for _ in range(5):
            await stage.ask(ALICE)
        assert [(one.audience, one.id, one.facts) for one in stage.reported.of(TokenVended)] == [
            ("vault", "jti-1", ALICE)
        ]
        await stage.base.advance(timedelta(minutes=6))
        await stage.ask(ALICE)
        assert [one.id for one in stage.reported.of(TokenVended)] == ["jti-1", "jti-2"]
        assert stage.reported.of(CredentialsVended) == []


async def test_what_is_held_is_given_while_the_key_is_away_and_then_nothing_is() -> None:
    async with Stage(USERS) as stage:
        held = await stage.ask(ALICE)
        stage.key.failure = KeyUnavailable("the key is locked", hint="unlock it")
        await stage.base.advance(timedelta(minutes=8))
        assert await stage.ask(ALICE) is held
        assert stage.reported.of(TokenRenewalFailed)[0].held_until == held.expires_at
        await stage.base.advance(timedelta(minutes=2))
        with pytest.raises(KeyUnavailable, match="locked"):
            await stage.ask(ALICE)
        (denied,) = stage.reported.of(TokenDenied)
        assert (denied.audience, denied.reason, denied.facts) == ("vault", "unavailable", ALICE)


@pytest.mark.parametrize(
    ("facts", "audience", "kind", "reason", "told"),
    [
        (BOB, "vault", CallerDenied, "not_granted", "vault"),
        (BOB, "nosuch", CallerDenied, "not_granted", ""),
        (ALICE, "nosuch", RoleUnknown, "unknown_role", ""),
        (ALICE, "", RoleAmbiguous, "ambiguous", ""),
    ],
)
async def test_who_is_refused_is_told_in_words_of_audiences(
    facts: Facts, audience: str, kind: type[Exception], reason: str, told: str
) -> None:
    async with Stage(USERS, TokenGrant("orders", ALICE, Wording("user:alice", TEN), "grants#2")) as stage:
        with pytest.raises(kind) as caught:
            await stage.ask(facts, audience)
        assert "role" not in str(caught.value)
        assert [(one.audience, one.reason) for one in stage.reported.of(TokenDenied)] == [(told, reason)]
        assert stage.vendor.vend_held(peer(facts), audience) is None


async def test_a_token_that_nobody_knows_is_worth_saying() -> None:
    by_token = TokenGrant("vault", frozenset({("token.file", "/a")}), Wording("somebody", TEN), "grants#1")
    async with Stage(by_token) as stage:
        for shown in (None, b"not-the-one-of-16-characters"):
            with pytest.raises(CallerUnknown):
                await stage.ask(BOB, shown=shown)


async def test_what_the_grant_names_and_nobody_knows_of_the_caller_gives_nothing() -> None:
    async with Stage(TokenGrant("vault", frozenset(), Wording("unit:${UNIT}", TEN), "grants#1")) as stage:
        with pytest.raises(CallerDenied, match=r"grants#1 names \$\{UNIT\}"):
            await stage.ask(ALICE)
        assert list(stage.roster.kept()) == []


async def test_whoever_makes_up_names_takes_no_room_from_others() -> None:
    units = TokenGrant("vault", frozenset(), Wording("unit:${USER_UNIT}", TEN), "grants#1")
    mallory = frozenset({("unix.uid", "1000"), ("systemd.unit", "user@1000.service")})
    async with Stage(units, room=8) as stage:
        for number in range(4):
            await stage.ask(mallory | {("systemd.user_unit", f"{number}.service")})
        with pytest.raises(CredentialsUnavailable, match="no room for another session of audience vault"):
            await stage.ask(mallory | {("systemd.user_unit", "one-more.service")})
        (full,) = stage.reported.of(RosterFull)
        assert (full.name, full.by, full.payer, full.mine) == ("vault", "audience", "user 1000", 4)
        assert (await stage.ask(frozenset({("unix.uid", "1001"), ("systemd.user_unit", "a.service")}))).audience


async def test_what_nobody_asks_for_any_more_is_signed_no_more() -> None:
    async with Stage(USERS) as stage:
        tidy = asyncio.ensure_future(stage.roster.keep_tidy())
        await stage.ask(ALICE)
        await stage.base.advance(timedelta(minutes=30))
        assert list(stage.roster.kept()) == []
        signed = len(stage.key.signed)
        await stage.base.advance(timedelta(hours=1))
        assert len(stage.key.signed) == signed
        tidy.cancel()


async def test_a_first_token_that_does_not_come_is_on_its_way() -> None:
    stage = Stage(USERS)  # whose keeper does not live
    with pytest.raises(CredentialsNotReady, match="tokens of audience vault are still on their way"):
        await stage.ask(ALICE)
