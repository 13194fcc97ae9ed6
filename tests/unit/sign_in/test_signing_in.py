import asyncio
import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from agent.errors import CredentialsRefused, CredentialsUnavailable, SignInNeeded
from agent.secret import Secret
from agent.sign_in import Answer, Registration, SignIn
from agent.sign_in.cache import Cache
from agent.sign_in.signing_in import DeviceCode, Means, by_browser, by_device
from tests.fakes.center import PORTAL, REGISTERED, REGISTERED_UNTIL, START_URL, FakeCenter, given, refused, tokens
from tests.fakes.clock import START, FakeClock

STARTED = given(
    verificationUri="https://device.example.com",
    verificationUriComplete="https://device.example.com?user_code=BCDF-GHJK",
    userCode="BCDF-GHJK",
    deviceCode="canary-device",
    expiresIn=600,
    interval=5,
)
PENDING = refused("AuthorizationPendingException")


class Person:
    """Somebody at a browser, who answers as told: with the code and state of the address that was shown."""

    def __init__(self, **answer: str) -> None:
        self.answer = answer
        self.url = ""
        self.pages: list[str] = []
        self._going: asyncio.Task[None] | None = None

    def __call__(self, url: str) -> None:
        self.url = url
        self._going = asyncio.ensure_future(self._go())

    @property
    def asked(self) -> Mapping[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}

    async def _go(self) -> None:
        answer = {"state": self.asked["state"], **self.answer}
        back = self.asked["redirect_uri"]
        async with aiohttp.ClientSession() as session, session.get(back, params=answer) as page:
            self.pages.append(await page.text())

    async def done(self) -> None:
        assert self._going is not None
        await self._going


class Bench:
    def __init__(self, home: Path) -> None:
        self.center = FakeCenter(register_client=REGISTERED, create_token=tokens("1", refresh="refresh-1"))
        self.clock = FakeClock()
        self.cache = Cache(home, PORTAL)
        self.means = Means(PORTAL, self.cache, self.center, self.clock, Random(7))

    async def by_browser(self, person: Person) -> SignIn:
        try:
            return await by_browser(self.means, port=0, show=person)
        finally:
            await person.done()

    async def by_device(self) -> tuple[SignIn, list[DeviceCode]]:
        shown: list[DeviceCode] = []
        signing_in = asyncio.ensure_future(by_device(self.means, show=shown.append))
        for _ in range(4000):
            if signing_in.done():
                break
            await asyncio.sleep(0.0005)
            await self.clock.advance(timedelta(seconds=1))
        return await signing_in, shown

    @property
    def asked_for_token(self) -> Mapping[str, object]:
        return next(asked for operation, asked in self.center.asked if operation == "create_token")

    def kept(self) -> SignIn | None:
        found = self.cache.read()
        return None if found is None else found.sign_in


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_what_the_browser_brings_becomes_a_sign_in_that_is_kept(bench: Bench) -> None:
    person = Person(code="the-code")
    signed_in = await bench.by_browser(person)
    kept = bench.kept()
    assert kept is not None
    assert kept.access_token == signed_in.access_token == Secret("access-1")
    assert kept.refresh_token == Secret("refresh-1")
    assert kept.expires_at == START + timedelta(hours=1)
    assert "You are signed in" in person.pages[0]
    asked = bench.asked_for_token
    assert (asked["grantType"], asked["code"]) == ("authorization_code", "the-code")
    assert asked["redirectUri"] == person.asked["redirect_uri"]


async def test_the_address_is_the_one_that_the_aws_cli_would_show(bench: Bench) -> None:
    person = Person(code="c")
    await bench.by_browser(person)
    assert person.url.startswith("https://oidc.example.com/authorize?response_type=code&client_id=client&")
    asked = person.asked
    assert asked["scopes"] == "sso:account:access"
    assert asked["code_challenge_method"] == "S256"
    verifier = str(bench.asked_for_token["codeVerifier"])
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert asked["code_challenge"] == challenge
    assert verifier not in person.url
    assert 43 <= len(verifier) <= 128


async def test_state_and_verifier_are_others_each_time(bench: Bench) -> None:
    first, second = Person(code="c"), Person(code="c")
    await bench.by_browser(first)
    await bench.by_browser(second)
    for name in ("state", "code_challenge"):
        assert first.asked[name] != second.asked[name]
    assert len(first.asked["state"]) >= 32


async def test_this_program_is_registered_once(bench: Bench) -> None:
    await bench.by_browser(Person(code="c"))
    await bench.by_browser(Person(code="c"))
    assert bench.center.number_of("register_client") == 1
    _, asked = bench.center.asked[0]
    assert asked["grantTypes"] == ["authorization_code", "refresh_token"]
    assert asked["redirectUris"] == ["http://127.0.0.1/oauth/callback"]
    assert (asked["clientType"], asked["issuerUrl"], asked["scopes"]) == ("public", START_URL, ["sso:account:access"])


async def test_a_registration_for_the_other_way_or_that_is_about_to_end_is_made_anew(bench: Bench) -> None:
    for until, grants in ((REGISTERED_UNTIL, ()), (START + timedelta(hours=20), ("authorization_code",))):
        bench.cache.keep_registration(Registration("old", Secret("s"), until, PORTAL.scopes, grants))
        person = Person(code="c")
        await bench.by_browser(person)
        assert person.asked["client_id"] == "client"


async def test_who_denies_it_in_the_browser_is_not_signed_in(bench: Bench) -> None:
    person = Person(error="access_denied")
    with pytest.raises(SignInNeeded, match="denied"):
        await bench.by_browser(person)
    assert bench.kept() is None
    assert bench.center.number_of("create_token") == 0
    assert "denied" in person.pages[0]


async def test_a_code_that_was_used_before_signs_nobody_in_and_both_are_told(bench: Bench) -> None:
    bench.center.say("create_token", refused("InvalidGrantException"))
    person = Person(code="used")
    with pytest.raises(SignInNeeded) as caught:
        await bench.by_browser(person)
    assert "used already" in caught.value.what
    assert "Nobody was signed in" in person.pages[0]
    assert bench.kept() is None


async def test_a_forged_answer_before_the_right_one_changes_nothing(bench: Bench) -> None:
    class Attacked(Person):
        async def _go(self) -> None:
            async with aiohttp.ClientSession() as session:
                for query in ({"code": "forged", "state": "guessed"}, {"error": "access_denied", "state": ""}):
                    async with session.get(self.asked["redirect_uri"], params=query) as page:
                        assert page.status == 400
            await super()._go()

    await bench.by_browser(Attacked(code="right"))
    assert bench.asked_for_token["code"] == "right"


async def test_nobody_is_waited_for_longer_than_ten_minutes(bench: Bench) -> None:
    signing_in = asyncio.ensure_future(by_browser(bench.means, port=0, show=lambda _: None))
    for _ in range(2000):
        if signing_in.done():
            break
        await asyncio.sleep(0.001)
        if bench.clock.sleepers:
            await bench.clock.advance(timedelta(minutes=1))
    with pytest.raises(SignInNeeded, match="nobody came back from the browser in 10 minutes"):
        await signing_in
    assert bench.clock.now() - START <= timedelta(minutes=12)


async def test_a_registration_that_is_not_taken_is_not_used_again(bench: Bench) -> None:
    bench.center.say("create_token", refused("InvalidClientException", 401), tokens("1"))
    with pytest.raises(SignInNeeded):
        await bench.by_browser(Person(code="c"))
    await bench.by_browser(Person(code="c"))
    assert bench.center.number_of("register_client") == 2


async def test_an_outage_is_told_as_one(bench: Bench) -> None:
    bench.center.say("register_client", CredentialsUnavailable("down", hint="wait"))
    with pytest.raises(CredentialsUnavailable, match="down"):
        await by_browser(bench.means, port=0, show=lambda _: pytest.fail("there is nowhere to go"))
    bench.center.say("register_client", refused("InvalidRequestException"))
    with pytest.raises(CredentialsRefused) as caught:
        await by_browser(bench.means, port=0, show=lambda _: pytest.fail("there is nowhere to go"))
    assert "identity_center.start_url" in caught.value.hint


async def test_two_sign_ins_at_once_both_come_to_an_end_and_one_is_kept(bench: Bench) -> None:
    bench.center.say("create_token", lambda asked: tokens(str(asked["code"]), refresh="r"))
    first, second = Person(code="one"), Person(code="two")
    both = asyncio.gather(bench.by_browser(first), bench.by_browser(second))
    while not both.done():
        await asyncio.sleep(0.002)
        await bench.clock.advance(timedelta(seconds=0.2))
    kept = bench.kept()
    assert kept is not None
    assert kept.access_token.reveal() in {one.access_token.reveal() for one in await both}


async def test_a_device_shows_a_code_and_waits_until_somebody_has_entered_it(bench: Bench) -> None:
    bench.center.say("start_device_authorization", STARTED)
    bench.center.say("create_token", PENDING, PENDING, tokens("1", refresh="refresh-1"))
    signed_in, shown = await bench.by_device()
    assert shown == [
        DeviceCode(
            "https://device.example.com",
            "BCDF-GHJK",
            "https://device.example.com?user_code=BCDF-GHJK",
            timedelta(minutes=10),
        )
    ]
    assert signed_in.access_token == Secret("access-1")
    assert bench.kept() is not None
    assert bench.asked_for_token["deviceCode"] == "canary-device"
    _, registered = bench.center.asked[0]
    assert "redirectUris" not in registered


async def test_a_device_asks_no_faster_than_it_is_told(bench: Bench) -> None:
    at: list[float] = []

    def timed(answer: Answer) -> object:
        def reply(_: Mapping[str, object]) -> Answer:
            at.append(bench.clock.steady())
            return answer

        return reply

    slow = refused("SlowDownException")
    bench.center.say("start_device_authorization", STARTED)
    bench.center.say("create_token", *(timed(one) for one in (PENDING, slow, slow, PENDING, tokens("1"))))  # type: ignore[arg-type]  # as there
    await bench.by_device()
    assert [later - earlier for earlier, later in pairwise(at)] == [5, 10, 15, 15]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (refused("ExpiredTokenException"), "nobody allowed it in time"),
        (refused("AccessDeniedException"), "somebody denied it"),
        (refused("InvalidGrantException"), "used already, or has ended"),
    ],
)
async def test_a_device_code_that_comes_to_nothing_is_told(bench: Bench, reply: Answer, said: str) -> None:
    bench.center.say("start_device_authorization", STARTED)
    bench.center.say("create_token", PENDING, reply)
    with pytest.raises(SignInNeeded) as caught:
        await bench.by_device()
    assert said in caught.value.what
    assert bench.kept() is None


async def test_a_device_gives_up_when_its_code_has_ended_whatever_it_is_told(bench: Bench) -> None:
    bench.center.say("start_device_authorization", STARTED)
    bench.center.say("create_token", PENDING)
    with pytest.raises(SignInNeeded, match="nobody entered the code in time"):
        await bench.by_device()
    assert bench.clock.now() - START <= timedelta(minutes=11)


async def test_a_device_lives_through_an_outage(bench: Bench) -> None:
    bench.center.say("start_device_authorization", STARTED)
    bench.center.say("create_token", CredentialsUnavailable("down"), refused("500", 500), tokens("1"))
    signed_in, _ = await bench.by_device()
    assert signed_in.access_token == Secret("access-1")


@pytest.mark.parametrize("missing", ["verificationUri", "userCode", "deviceCode", "expiresIn"])
async def test_nonsense_is_not_shown_to_anybody(bench: Bench, missing: str) -> None:
    members = {name: value for name, value in STARTED.members.items() if name != missing}
    bench.center.say("start_device_authorization", given(**members))
    with pytest.raises(CredentialsRefused):
        await by_device(bench.means, show=lambda _: pytest.fail("shown"))
