import asyncio
import json
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web

from agent.errors import AgentError, KeyUnavailable, TokenRefused, TokenUnavailable
from agent.events import ProviderAnswered, ProviderFailed
from agent.keys.pem import read_passphrase
from agent.secret import Secret
from agent.tokens import Token
from agent.tokens.oauth2.asking import ClientSecret, Place, PrivateKeyJwt, Wanted
from agent.tokens.oauth2.source import FRESH, OAuth2Tokens
from tests.fakes.certificate import certificate
from tests.fakes.clock import START, settle
from tests.fakes.memory_key import MemoryKey
from tests.fakes.oauth_provider import NOW, SECRET, a_jwt, nested, unsigned
from tests.unit.tokens.oauth2.conftest import Bench

pytestmark = pytest.mark.long

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


async def refused(source: OAuth2Tokens, kind: type[AgentError]) -> AgentError:
    """What it raises instead of a token; that there is nothing secret in it; and that there is something to do."""
    with pytest.raises(kind) as caught:
        await source.token()
    assert type(caught.value) is kind
    assert caught.value.hint
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert "canary" not in shown
    assert a_jwt()[:30] not in shown
    return caught.value


def gives(bench: Bench, token: str, **more: object) -> None:
    bench.provider.answer = {"access_token": token, "token_type": "Bearer", **more}


async def test_the_token_of_the_answer_is_given_with_its_own_exp(bench: Bench) -> None:
    token = await bench.asking().token()

    assert token.value.reveal() == a_jwt()
    assert token.expires_at == START + HOUR


async def test_what_is_configured_is_what_is_asked_for(bench: Bench) -> None:
    wanted = Wanted(scope="a b", audience="sts.amazonaws.com", resource=("https://one.example", "urn:two"))

    await bench.asking(wanted=wanted).token()

    assert bench.provider.forms == [
        {
            "grant_type": ["client_credentials"],
            "scope": ["a b"],
            "audience": ["sts.amazonaws.com"],
            "resource": ["https://one.example", "urn:two"],
        }
    ]


async def test_an_id_token_is_given_where_that_is_what_is_wanted(bench: Bench) -> None:
    bench.provider.answer = {"access_token": "opaque", "id_token": a_jwt(n=1)}

    assert (await bench.asking(wanted=Wanted("id_token", "openid")).token()).value.reveal() == a_jwt(n=1)


async def test_all_who_ask_at_once_share_one_answer(bench: Bench) -> None:
    source = bench.asking()

    tokens = await asyncio.gather(*(source.token() for _ in range(50)))

    assert {token.value.reveal() for token in tokens} == {a_jwt()}
    assert len(bench.provider.forms) == 1


async def test_a_caller_who_gives_up_takes_it_from_nobody(bench: Bench) -> None:
    source = bench.asking()
    first = asyncio.ensure_future(source.token())
    await settle()
    second = asyncio.ensure_future(source.token())
    await settle()

    first.cancel()

    assert (await second).value.reveal() == a_jwt()
    assert len(bench.provider.forms) == 1


async def test_a_token_that_was_just_given_is_given_again(bench: Bench) -> None:
    source = bench.asking()
    await source.token()
    await bench.clock.advance(FRESH - SECOND)
    await source.token()

    assert len(bench.provider.forms) == 1


async def test_after_a_while_a_new_one_is_asked_for(bench: Bench) -> None:
    source = bench.asking()
    await source.token()
    gives(bench, a_jwt(n=2))
    await bench.clock.advance(FRESH + SECOND)

    assert (await source.token()).value.reveal() == a_jwt(n=2)


@pytest.mark.parametrize("status", [503, 400])
async def test_what_is_held_stays_in_use_until_its_end_whatever_the_provider_says(bench: Bench, status: int) -> None:
    source = bench.asking()
    await source.token()
    bench.provider.status, bench.provider.answer = status, {"error": "invalid_client"}

    for _ in range(5):
        await bench.clock.advance(FRESH)
        assert (await source.token()).value.reveal() == a_jwt()

    await bench.clock.advance(FRESH)
    await refused(source, TokenUnavailable if status == 503 else TokenRefused)


async def test_a_token_that_sts_would_find_old_is_not_shown_to_it_again(bench: Bench) -> None:
    """This machine's clock is an hour slow, and STS has just said so."""
    source = bench.asking()
    await source.token()
    gives(bench, a_jwt(iat=NOW + 3600, exp=NOW + 7200))
    bench.provider.headers["Date"] = "Fri, 20 Nov 2026 13:00:00 GMT"

    bench.aws_time.learn(START + HOUR)

    assert (await source.token()).expires_at == START + 2 * HOUR


async def test_a_clock_that_is_an_hour_fast_keeps_no_token_from_sts(bench: Bench) -> None:
    bench.clock.step(HOUR + SECOND)

    assert (await bench.asking().token()).expires_at == START + HOUR


async def test_a_token_of_one_minute_is_good_for_who_waits_for_it_and_no_longer(bench: Bench) -> None:
    bench.aws_time.learn(START)
    gives(bench, a_jwt(exp=NOW + 60), expires_in=60)
    source = bench.asking()
    await source.token()
    await bench.clock.advance(31 * SECOND)
    await source.token()

    assert len(bench.provider.forms) == 2


async def test_expires_in_counts_where_it_is_less_than_exp_says(bench: Bench) -> None:
    gives(bench, a_jwt(), expires_in=120)
    source = bench.asking()
    await source.token()
    await bench.clock.advance(61 * SECOND)
    await source.token()

    assert len(bench.provider.forms) == 2


async def test_a_token_that_is_over_by_the_clock_of_sts_is_not_shown_to_it(bench: Bench) -> None:
    """The provider's clock is two hours slow."""
    bench.aws_time.learn(START + 2 * HOUR)

    error = await refused(bench.asking(), TokenUnavailable)

    assert "by the clock of STS" in error.what


# --- when the provider is asked again


async def test_nobody_asks_again_before_it_is_due(bench: Bench) -> None:
    bench.provider.status, bench.provider.answer = 401, {"error": "invalid_client"}
    source = bench.asking()
    for _ in range(50):
        await refused(source, TokenRefused)
    assert len(bench.provider.forms) == 1

    await bench.clock.advance(21 * SECOND)
    await refused(source, TokenRefused)

    assert len(bench.provider.forms) == 2


async def test_the_wait_grows_with_each_refusal_and_not_beyond_five_minutes(bench: Bench) -> None:
    bench.provider.status, bench.provider.answer = 401, {"error": "invalid_client"}
    source = bench.asking()
    for _ in range(6):
        await refused(source, TokenRefused)
        await bench.clock.advance(timedelta(minutes=5))

    assert len(bench.provider.forms) == 6


async def test_somebody_who_has_mended_it_need_not_wait(bench: Bench) -> None:
    bench.provider.status = 401
    source = bench.asking()
    await refused(source, TokenRefused)
    bench.provider.status = 200

    source.retry_now()

    assert await source.token()


@pytest.mark.parametrize(("status", "wait"), [(429, "120"), (503, "Fri, 20 Nov 2026 12:02:00 GMT")])
async def test_a_provider_is_left_alone_for_as_long_as_it_asks(bench: Bench, status: int, wait: str) -> None:
    bench.provider.status, bench.provider.headers["Retry-After"] = status, wait
    source = bench.asking()
    await refused(source, TokenUnavailable)
    bench.provider.status = 200
    await bench.clock.advance(119 * SECOND)
    await refused(source, TokenUnavailable)

    await bench.clock.advance(2 * SECOND)

    assert await source.token()
    assert len(bench.provider.forms) == 2


async def test_a_provider_that_asks_for_patience_before_it_says_where_it_is_has_it(bench: Bench) -> None:
    bench.provider.discovery_status, bench.provider.headers["Retry-After"] = 503, "120"
    source = bench.asking()
    await refused(source, TokenUnavailable)
    bench.provider.discovery_status = 200
    await bench.clock.advance(119 * SECOND)
    await refused(source, TokenUnavailable)
    await bench.clock.advance(2 * SECOND)

    assert await source.token()
    assert bench.provider.discoveries == 2


async def test_one_who_says_to_come_back_next_year_is_asked_in_an_hour(bench: Bench) -> None:
    bench.provider.status, bench.provider.headers["Retry-After"] = 503, "31536000"
    source = bench.asking()
    await refused(source, TokenUnavailable)
    bench.provider.status = 200
    await bench.clock.advance(HOUR + SECOND)

    assert await source.token()


# --- what the provider says instead


FINAL = {
    "invalid_client": "client_secret_file",
    "unauthorized_client": "client_credentials",
    "unsupported_grant_type": "client_credentials",
    "invalid_scope": "identity.scope",
    "invalid_target": "identity.resource",
    "invalid_request": "[identity]",
    "invalid_grant": "its own log",
    "access_denied": "identity.audience",
    "invalid_dpop_proof": "DPoP",
    "a_code_of_its_own": "a_code_of_its_own",
}


@pytest.mark.parametrize("code", FINAL)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
async def test_an_error_that_somebody_has_to_mend_says_who_and_where(bench: Bench, code: str, status: int) -> None:
    bench.provider.status = status
    bench.provider.answer = {"error": code, "error_description": f"No,\n{SECRET} will not do"}

    error = await refused(bench.asking(), TokenRefused)

    assert f"refuses us a token: {code} (No, … will not do)" in error.what
    assert FINAL[code] in f"{error.what} {error.hint}"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (429, {"error": "invalid_client"}),
        (500, {}),
        (502, "<html>"),
        (503, {"error": "temporarily_unavailable"}),
        (504, ""),
        (400, {"error": "temporarily_unavailable"}),
        (400, {"error": "server_error"}),
        (408, ""),
    ],
)
async def test_trouble_that_passes_is_said_to_pass(bench: Bench, status: int, answer: Any) -> None:
    bench.provider.status, bench.provider.answer = status, answer

    error = await refused(bench.asking(), TokenUnavailable)

    assert "passes" in error.hint


ANSWERS: dict[str, tuple[Any, type[AgentError], str]] = {
    "HTML": ("<html>canary", TokenUnavailable, "no JSON"),
    "cut off": (json.dumps({"access_token": a_jwt()})[:-3], TokenUnavailable, "no JSON"),
    "an array": ([a_jwt()], TokenUnavailable, "no JSON"),
    "nested without end": ("[" * 100_000, TokenUnavailable, "no JSON"),
    "nothing": ({}, TokenRefused, "no access_token"),
    "a number": ({"access_token": 42}, TokenRefused, "no access_token"),
    "an id_token alone": ({"id_token": a_jwt()}, TokenRefused, "no access_token"),
    "opaque": ({"access_token": "canary-opaque"}, TokenRefused, "no signed JWT"),
    "a JWT in a JWT": ({"access_token": nested()}, TokenRefused, "no signed JWT"),
    "encrypted": ({"access_token": "canary.canary.canary.canary.canary"}, TokenRefused, "encrypted"),
    "alg none": ({"access_token": unsigned()}, TokenRefused, "not signed"),
    "alg none with a signature": ({"access_token": a_jwt(header={"alg": "none"})}, TokenRefused, "not signed"),
    "alg HS256": ({"access_token": a_jwt(header={"alg": "HS256"})}, TokenRefused, "signed with HS256"),
    "alg PS256": ({"access_token": a_jwt(header={"alg": "PS256"})}, TokenRefused, "signed with PS256"),
    "alg an object": ({"access_token": a_jwt(header={"alg": {"canary": 1}})}, TokenRefused, "nothing known"),
    "no exp": ({"access_token": a_jwt(exp=None), "expires_in": 3600}, TokenRefused, "no exp"),
    "exp a text": ({"access_token": a_jwt(exp="canary")}, TokenRefused, "exp that is no date"),
    "exp true": ({"access_token": a_jwt(exp=True)}, TokenRefused, "exp that is no date"),
    "no sub and no iat": ({"access_token": a_jwt(sub=None, iat=None)}, TokenRefused, "no sub, no iat"),
    "expired": ({"access_token": a_jwt(iat=NOW - 7200, exp=NOW - 3600)}, TokenUnavailable, "has ended already"),
    "never begun": ({"access_token": a_jwt(exp=NOW)}, TokenUnavailable, "has ended already"),
    "two audiences": ({"access_token": a_jwt(aud=["a", "b"])}, TokenRefused, "2 audiences"),
    "no audience": ({"access_token": a_jwt(aud=[])}, TokenRefused, "no aud"),
    "too long": ({"access_token": a_jwt(more="x" * 20_000)}, TokenRefused, "characters long"),
    "endless": ("x" * 300_000, TokenUnavailable, "too long to be an answer"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_is_no_token_for_aws_is_not_given(bench: Bench, name: str) -> None:
    bench.provider.answer, kind, said = ANSWERS[name]

    assert said in (await refused(bench.asking(), kind)).what


async def test_an_id_token_that_is_not_there_is_asked_for_with_a_scope(bench: Bench) -> None:
    error = await refused(bench.asking(wanted=Wanted("id_token")), TokenRefused)

    assert "openid" in error.hint
    assert 'identity.token = "access_token"' in error.hint


EXPECTED = Wanted(expected_subject="rolecall", expected_audience="sts.amazonaws.com")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "another"}, "is for 'another' (its aud), not for 'sts.amazonaws.com'"),
        ({"azp": "another"}, "is for 'another' (its azp)"),
        ({"sub": "another"}, "speaks of 'another', not of 'rolecall'"),
    ],
)
async def test_a_token_for_somebody_else_is_not_shown_to_sts(bench: Bench, claims: Any, said: str) -> None:
    gives(bench, a_jwt(**claims))

    assert said in (await refused(bench.asking(wanted=EXPECTED), TokenRefused)).what


@pytest.mark.parametrize("claims", [{}, {"aud": ["sts.amazonaws.com"]}, {"aud": "x", "azp": "sts.amazonaws.com"}])
async def test_a_token_that_is_as_expected_is_given(bench: Bench, claims: Any) -> None:
    gives(bench, a_jwt(**claims))

    assert await bench.asking(wanted=EXPECTED).token()


# --- on the way there


async def test_a_redirect_is_not_followed(bench: Bench) -> None:
    bench.provider.status, bench.provider.headers["Location"] = 307, f"{bench.provider.url}/mutual"

    assert "redirects" in (await refused(bench.asking(), TokenRefused)).what
    assert len(bench.provider.forms) == 1


async def test_a_stranger_in_its_place_is_told_nothing(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other")

    error = await refused(bench.asking(place=Place(bench.provider.issuer, ca_bundle=other)), TokenUnavailable)

    assert "is not trusted by" in error.what
    assert bench.provider.discoveries == len(bench.provider.forms) == 0


async def test_one_who_hangs_is_waited_for_no_longer_than_ten_seconds(bench: Bench) -> None:
    hanging = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        hanging.set()
        await asyncio.sleep(3600)
        raise AssertionError

    bench.provider.handler = hang
    source = bench.asking()
    asked = asyncio.ensure_future(source.token())
    await hanging.wait()

    await bench.clock.advance(11 * SECOND)

    with pytest.raises(TokenUnavailable, match="within 10 s"):
        await asked


async def test_an_answer_that_trickles_is_no_answer(bench: Bench) -> None:
    begun = asyncio.Event()

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            begun.set()
            await asyncio.sleep(0.05)

    bench.provider.handler = trickle
    asked = asyncio.ensure_future(bench.asking().token())
    await begun.wait()

    await bench.clock.advance(11 * SECOND)

    with pytest.raises(TokenUnavailable, match="within 10 s"):
        await asked


async def test_nobody_there_is_said_so(bench: Bench) -> None:
    place = Place(token_endpoint="https://127.0.0.1:1/token", ca_bundle=bench.provider.ca)

    assert "cannot be reached" in (await refused(bench.asking(place=place), TokenUnavailable)).what


async def test_the_document_of_another_issuer_is_not_believed(bench: Bench) -> None:
    bench.provider.document = {"issuer": "https://another.example.com"}

    assert "another issuer" in (await refused(bench.asking(), TokenRefused)).what
    assert not bench.provider.forms


async def test_the_document_is_read_once_while_all_is_well_and_anew_when_it_is_not(bench: Bench) -> None:
    source = bench.asking()
    await source.token()
    await bench.clock.advance(FRESH + SECOND)
    await source.token()
    assert bench.provider.discoveries == 1

    bench.provider.document = {"token_endpoint": f"{bench.provider.url}/moved"}
    await bench.clock.advance(HOUR)
    await refused(source, TokenRefused)
    bench.provider.document = {}
    await bench.clock.advance(21 * SECOND)

    assert await source.token()


async def test_a_token_endpoint_that_is_named_needs_no_document(bench: Bench) -> None:
    place = Place(token_endpoint=f"{bench.provider.url}/token", ca_bundle=bench.provider.ca)

    await bench.asking(place=place).token()

    assert bench.provider.discoveries == 0


# --- who we are


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("first\n")
    path.chmod(0o600)
    return path


def from_file(path: Path) -> ClientSecret:
    return ClientSecret(lambda: read_passphrase(path, what="client secret"))


async def test_a_secret_that_is_replaced_is_used_at_once(bench: Bench, secret_file: Path) -> None:
    bench.provider.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    source = bench.asking(from_file(secret_file))
    await source.token()
    secret_file.write_text("second\n")
    await bench.clock.advance(FRESH + SECOND)
    await source.token()

    assert [form["client_secret"] for form in bench.provider.forms] == [["first"], ["second"]]


def emptied(path: Path) -> None:
    path.write_text("")


def several_lines(path: Path) -> None:
    path.write_text("canary\nsecond\n")


def opened(path: Path) -> None:
    path.chmod(0o644)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Path.unlink, "does not exist"),
        (emptied, "is empty"),
        (several_lines, "more than one line"),
        (opened, "open to others"),
    ],
)
async def test_a_secret_that_cannot_be_one_is_not_sent(
    bench: Bench, secret_file: Path, change: Callable[[Path], None], said: str
) -> None:
    change(secret_file)

    assert said in (await refused(bench.asking(from_file(secret_file)), KeyUnavailable)).what
    assert not bench.provider.forms


async def test_a_secret_that_has_been_put_right_is_used_at_once(bench: Bench, secret_file: Path) -> None:
    """Nobody was asked in vain, so nobody has to be left alone."""
    secret_file.write_text("")
    source = bench.asking(from_file(secret_file))
    for _ in range(3):
        await refused(source, KeyUnavailable)
    secret_file.write_text("second")

    assert await source.token()
    assert (bench.provider.discoveries, len(bench.provider.forms)) == (1, 1)


def assertions(bench: Bench) -> list[dict[str, Any]]:
    return [
        jwt.decode(form["client_assertion"][0], options={"verify_signature": False}) for form in bench.provider.forms
    ]


async def test_a_key_that_is_rotated_under_way_signs_the_next_one(bench: Bench) -> None:
    keys = [MemoryKey(), MemoryKey()]
    source = bench.asking(PrivateKeyJwt(lambda: keys[0], lambda: "an-id", lambda _: None))
    await source.token()
    keys.reverse()
    await bench.clock.advance(FRESH + SECOND)
    await source.token()

    kids = [jwt.get_unverified_header(form["client_assertion"][0])["kid"] for form in bench.provider.forms]
    assert kids == [keys[1].public.kid, keys[0].public.kid]


async def test_a_key_that_is_gone_is_an_error_of_the_key(bench: Bench) -> None:
    key = MemoryKey()
    key.failure = KeyUnavailable("the device is gone", hint="plug it in")

    error = await refused(bench.asking(PrivateKeyJwt(lambda: key, lambda: "an-id", lambda _: None)), KeyUnavailable)

    assert error.what == "the device is gone"


@pytest.mark.parametrize("off", [HOUR, -HOUR])
async def test_a_clock_that_is_an_hour_off_is_put_right_by_the_provider(bench: Bench, off: timedelta) -> None:
    """The first JWT is for another time, and refused; the provider's Date says which time it is."""
    bench.clock.step(off)
    key = MemoryKey()

    async def judge(_: web.Request) -> web.StreamResponse:
        good = abs(assertions(bench)[-1]["iat"] - NOW) < 30
        body = bench.provider.answer if good else {"error": "invalid_client"}
        return web.json_response(body, status=200 if good else 401, headers=bench.provider.headers)

    bench.provider.handler = judge

    token = await bench.asking(PrivateKeyJwt(lambda: key, lambda: "an-id", lambda _: None)).token()

    assert isinstance(token, Token)
    assert len(bench.provider.forms) == 2


@pytest.mark.parametrize("date", ["Fri, 20 Nov 2026 15:00:00 GMT", "yesterday"])
async def test_a_date_that_is_wrong_spoils_nothing_that_works(bench: Bench, date: str) -> None:
    """The JWT is by a clock that has done so far, and after each refusal by our own again."""
    key, refusing = MemoryKey(), [False]

    async def judge(_: web.Request) -> web.StreamResponse:
        now = bench.clock.now().timestamp()
        good = abs(assertions(bench)[-1]["iat"] - now) < 30 and not refusing[0]
        body = {"access_token": a_jwt(exp=NOW + 10**6)} if good else {"error": "invalid_client"}
        return web.json_response(body, status=200 if good else 401, headers={"Date": date})

    bench.provider.handler = judge
    source = bench.asking(PrivateKeyJwt(lambda: key, lambda: "an-id", lambda _: None))
    await source.token()
    refusing[0] = True
    await bench.clock.advance(FRESH + SECOND)
    await source.token()
    refusing[0] = False
    asked = len(bench.provider.forms)
    await bench.clock.advance(FRESH + SECOND)
    await source.token()

    assert len(bench.provider.forms) == asked + 1
    assert isinstance(bench.told[-1], ProviderAnswered)


async def test_with_a_clock_that_is_right_a_refusal_is_taken_at_its_word(bench: Bench) -> None:
    bench.provider.status, bench.provider.answer = 401, {"error": "invalid_client"}
    key = MemoryKey()

    await refused(bench.asking(PrivateKeyJwt(lambda: key, lambda: "an-id", lambda _: None)), TokenRefused)

    assert len(bench.provider.forms) == 1


async def test_nothing_of_it_shows_itself(bench: Bench) -> None:
    source = bench.asking(ClientSecret(lambda: Secret(SECRET)))

    token = await source.token()

    assert "canary" not in f"{source!r}{token!r}{vars(source)!r}"


async def test_each_answer_and_each_failure_is_told_once(bench: Bench) -> None:
    source = bench.asking()
    await source.token()
    bench.provider.status = 503
    await bench.clock.advance(FRESH + SECOND)
    await asyncio.gather(*(source.token() for _ in range(5)))
    bench.provider.status = 200
    await bench.clock.advance(SECOND)
    await source.token()

    good, bad, good_again = bench.told
    assert good == ProviderAnswered(bench.provider.issuer, START + HOUR, 0)
    assert isinstance(bad, ProviderFailed)
    assert (bad.failures, bad.held_until) == (1, START + HOUR)
    assert isinstance(bad.error, TokenUnavailable)
    assert good_again == ProviderAnswered(bench.provider.issuer, START + HOUR, 1)
