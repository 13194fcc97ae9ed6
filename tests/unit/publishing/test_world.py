"""Is an issuer's site seen as AWS sees it, and is each fault called by its right name?"""

import asyncio
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import get_args

import aiohttp
import pytest
from aiohttp import web

from agent.clock import SystemClock
from agent.errors import IssuerUnreadable
from agent.publishing import Sight, Sighting
from agent.publishing.judgement import judge
from agent.publishing.world import PublicSite
from agent.sandbox import Fault, Provider
from agent.sandbox.faults import SiteAnswer, SiteTls
from agent.sandbox.listen import listening
from agent.sandbox.tls import new_authority, server_context
from tests.fakes.clock import FakeClock
from tests.unit.publishing.looked_at import ISSUER, looked_at, ours, signer, write

pytestmark = pytest.mark.long

DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
KEYS = f"{ISSUER}/.well-known/jwks.json"


async def test_a_healthy_site_gives_its_keys_to_the_last_member(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        sight: Sight = seen.site
        assert await sight.look() == Sighting(ours(), 300)


async def test_nothing_is_said_against_a_healthy_site(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        verdicts = await seen.verdicts()
        assert {one.level for one in verdicts} == {"good"}
        said = "\n".join(one.what for one in verdicts)
        for part in (
            "the certificate of oidc.example.com is in order until 2099-12-31T00:00:00Z",
            f"the discovery document is readable: {DISCOVERY}, ",
            f"its issuer is the tokens' own, byte for byte: {ISSUER}",
            "the key old is shown as it is (RS256)",
            "the key elliptic is shown as it is (ES256)",
            "the key set may be kept for 5m",
        ):
            assert part in said


@pytest.mark.parametrize("issuer", [f"{ISSUER}/", f"{ISSUER}/site-a", f"{ISSUER}/a/b/", "https://other.example.com"])
async def test_an_issuer_may_have_a_path_and_a_slash_at_its_end(issuer: str, tmp_path: Path) -> None:
    async with looked_at(tmp_path, issuer=issuer) as seen:
        assert (await seen.site.look()).keys == ours()
        assert await seen.complaints() == []


#: Each fault of a site, and what is wrong then, in our words. Whoever looks must not believe what is "bad" here.
TOLD: list[tuple[Fault, str, str]] = [
    (Fault("site", site="expired"), "bad", "the certificate of oidc.example.com has expired: CN=oidc.example.com is g"),
    (Fault("site", site="other_name"), "bad", "the certificate of oidc.example.com is for another name: CN=elsewhere"),
    (Fault("site", site="self_signed"), "bad", "the certificate of oidc.example.com is signed by itself"),
    (
        Fault("site", site="unknown_authority"),
        "bad",
        "the certificate of oidc.example.com leads to no authority that is known here: CN=an authority nobody trusts",
    ),
    (Fault("certificate"), "bad", "the certificate of oidc.example.com leads to no authority that is known here"),
    (
        Fault("site", site="no_intermediate"),
        "bad",
        "oidc.example.com shows its own certificate alone, without that of its signer, CN=rolecall sandbox intermed",
    ),
    (Fault("site", site="wrong_order"), "doubt", "oidc.example.com shows its certificates in a wrong order"),
    (
        Fault("site", site="redirect", about="https://www.example.com/x"),
        "bad",
        f"{DISCOVERY} redirects (302) to https://www.example.com/x, where AWS need not follow",
    ),
    (
        Fault("site", site="redirect", document="jwks"),
        "bad",
        f"{KEYS} redirects (302) to /moved.json, where AWS need not follow",
    ),
    *(
        (
            Fault("site", site="status", status=status),
            "bad",
            f"{DISCOVERY} answers {status} instead of the discovery document",
        )
        for status in (403, 404, 500, 503)
    ),
    (Fault("site", site="status", status=404, document="jwks"), "bad", f"{KEYS} answers 404 instead of the key set"),
    (
        Fault("site", site="bytes", document="discovery"),
        "bad",
        f"{DISCOVERY} is served as application/octet-stream, not as application/json",
    ),
    (Fault("site", site="html"), "bad", f"{DISCOVERY} shows a web page instead of the discovery document"),
    (Fault("site", site="html", document="jwks"), "bad", f"{KEYS} shows a web page instead of the key set"),
    (Fault("site", site="not_json"), "bad", f"the discovery document at {DISCOVERY} is no JSON object"),
    (Fault("site", site="empty", document="jwks"), "bad", f"the key set at {KEYS} is empty"),
    (
        Fault("site", site="truncated", document="jwks"),
        "bad",
        "oidc.example.com hung up in the middle of the key set",
    ),
    (Fault("site", site="gzip"), "bad", f"{DISCOVERY} is compressed (gzip), though that was not asked for"),
    (Fault("site", site="drop"), "bad", "oidc.example.com hung up without an answer"),
    (
        Fault("site", site="week", document="jwks"),
        "doubt",
        "the key set may be kept for 7d",
    ),
    (
        Fault("site", site="no_cache_control", document="jwks"),
        "doubt",
        "nothing is said on how long the key set may be kept, and CloudFront then keeps it for a day",
    ),
    (
        Fault("site", site="issuer_slash"),
        "bad",
        f"the issuer in the discovery document is '{ISSUER}/', and tokens say '{ISSUER}'",
    ),
    (
        Fault("site", site="issuer_case"),
        "bad",
        f"the issuer in the discovery document is 'HTTPS://oidc.example.com', and tokens say '{ISSUER}'",
    ),
    (
        Fault("site", site="issuer_http"),
        "bad",
        f"the issuer in the discovery document is 'http://oidc.example.com', and tokens say '{ISSUER}'",
    ),
    (
        Fault("site", site="issuer_missing"),
        "bad",
        f"the issuer in the discovery document is missing, and tokens say '{ISSUER}'",
    ),
    (Fault("site", site="jwks_elsewhere"), "bad", "the proxy does not lead to keys.example.net"),
    (
        Fault("site", site="jwks_http"),
        "bad",
        "the jwks_uri is http://oidc.example.com/.well-known/jwks.json, and AWS fetches over https alone",
    ),
    (Fault("site", site="jwks_missing"), "bad", "the discovery document has no jwks_uri"),
    (
        Fault("site", site="members_missing"),
        "bad",
        "the discovery document has no response_types_supported, which AWS needs",
    ),
    (Fault("site", site="keys_too_many"), "bad", "the key set has 101 RSA keys, and AWS reads no more than 100 of a k"),
    (Fault("site", site="keys_none"), "bad", "the key set has no keys"),
]


def named(value: object) -> str:
    return f"{value.kind}-{value.site}-{value.document}" if isinstance(value, Fault) else ""


@pytest.mark.parametrize(("fault", "level", "what"), TOLD, ids=named)
async def test_each_fault_of_a_site_gets_its_own_sentence(fault: Fault, level: str, what: str, tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        seen.sandbox.faults.add(fault)
        complaints = await seen.complaints()
        assert next(one for one in complaints if one[1].startswith(what))[0] == level
        consequences = [one for one in complaints if not one[1].startswith(what)]
        assert consequences == (
            [("bad", "the discovery document has no subject_types_supported, which AWS needs")]
            if fault.site == "members_missing"
            else []
        )
        if level == "bad":
            with pytest.raises(IssuerUnreadable) as caught:
                await seen.site.look()
            assert caught.value.what.startswith(what)
            assert caught.value.hint
        else:
            assert (await seen.site.look()).keys == ours()
        seen.sandbox.faults.clear()
        assert await seen.complaints() == []  # and nothing of it lingers


#: What is wrong with a single key: AWS believes the rest.
KEYS_TOLD: list[tuple[Fault, list[tuple[str, str]], set[str]]] = [
    (
        Fault("site", site="key_changed", about="old"),
        [("bad", "the key old is shown, but it is not ours: n is different")],
        {"elliptic"},
    ),
    (
        Fault("site", site="key_changed", about="elliptic"),
        [("bad", "the key elliptic is shown, but it is not ours: x is different")],
        {"old"},
    ),
    (Fault("site", site="key_dropped", about="old"), [("bad", "the key old is not shown")], {"elliptic"}),
    (
        Fault("site", site="kid_twice", about="old"),
        [("bad", "2 keys are shown under the kid old")],
        {"elliptic"},
    ),
    (
        Fault("site", site="kid_missing", about="old"),
        [("bad", "the key old is not shown"), ("doubt", "1 of the keys shown have no kid")],
        {"elliptic"},
    ),
    (Fault("site", site="key_foreign"), [], {"old", "elliptic"}),
    (Fault("site", site="no_store"), [], {"old", "elliptic"}),
]


@pytest.mark.parametrize(("fault", "complaints", "intact"), KEYS_TOLD, ids=named)
async def test_a_key_that_was_touched_by_hand_does_not_count_as_seen(
    fault: Fault, complaints: list[tuple[str, str]], intact: set[str], tmp_path: Path
) -> None:
    async with looked_at(tmp_path) as seen:
        seen.sandbox.faults.add(fault)
        assert await seen.complaints() == complaints
        sighting = await seen.site.look()
        assert {kid for kid, key in ours().items() if sighting.keys.get(kid) == key} == intact


def test_every_fault_of_a_site_is_told_of() -> None:
    """All but the slow and the stale, which have tests of their own."""
    told = {fault.site for fault, *_ in [*TOLD, *KEYS_TOLD] if fault.kind == "site"}
    assert told | {"slow", "stale"} == {*get_args(SiteTls), *get_args(SiteAnswer)}


class Watched(FakeClock):
    """Tells when somebody has gone to sleep for so long."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.asleep = asyncio.Event()
        self._seconds = seconds

    async def sleep(self, seconds: float) -> None:
        if seconds == self._seconds:
            self.asleep.set()
        await super().sleep(seconds)


async def test_an_answer_that_comes_after_five_seconds_has_not_come(tmp_path: Path) -> None:
    clock = Watched(6)
    async with looked_at(tmp_path, clock=clock) as seen, asyncio.TaskGroup() as tasks:
        seen.sandbox.faults.add(Fault("site", site="slow"))
        looking = tasks.create_task(seen.site.inspect())
        await asyncio.wait_for(clock.asleep.wait(), 20)
        await clock.advance(timedelta(seconds=5.1))
        discovery = (await looking).discovery
        assert discovery.failure
        assert discovery.failure.what == (
            "the discovery document did not come from oidc.example.com within 5 s, and AWS waits no longer"
        )
        assert discovery.tls
        assert discovery.tls.verified


async def test_an_answer_that_comes_just_in_time_is_a_doubt(tmp_path: Path) -> None:
    clock = Watched(4)
    async with looked_at(tmp_path, clock=clock) as seen, asyncio.TaskGroup() as tasks:
        seen.sandbox.faults.add(Fault("site", site="slow", seconds=4, document="jwks", times=1))
        looking = tasks.create_task(seen.complaints())
        await asyncio.wait_for(clock.asleep.wait(), 20)
        await clock.advance(timedelta(seconds=4))
        assert await looking == [("doubt", "the key set took 4.0 s, and AWS waits for 5 s")]


async def test_a_stale_copy_lacks_the_new_key_and_says_so(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        seen.sandbox.faults.add(Fault("site", site="stale"))
        expected = ours("old", "elliptic", "new")
        write(seen.directory, [*expected.values()])
        sighting = await seen.site.look()
        assert sighting == Sighting(ours(), 0)
        first, second, third = (one for one in await seen.verdicts(expected) if one.level != "good")
        assert first.what == "the key new is not shown"
        assert first.hint.endswith("so if it is published, wait or invalidate the cache")
        assert second.what == (
            "a cache shows a copy of the discovery document that is 2h old, though it may be kept for 5m alone"
        )
        assert third.what.startswith("a cache shows a copy of the key set")
        seen.sandbox.faults.clear()
        assert (await seen.site.look()).keys == expected


async def test_an_announced_key_may_still_be_missing(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        verdicts = await seen.verdicts(ours("old", "elliptic", "new"), ["new"])
        assert [(one.level, one.what) for one in verdicts if one.level != "good"] == [
            ("doubt", "the key new, which is to sign later, cannot be seen yet")
        ]


async def test_the_thumbprint_for_iam_is_that_of_the_top_certificate_shown(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        tls = (await seen.site.inspect()).discovery.tls
        assert tls
        assert tls.private
        assert [one.subject for one in tls.chain] == ["CN=oidc.example.com", "CN=rolecall sandbox intermediate"]
        assert len(tls.chain[1].thumbprint) == 40
        said = [one.what for one in await seen.verdicts() if "thumbprint" in one.what]
        assert said == [
            f"it is from a private CA: the provider in IAM must have the thumbprint {tls.chain[1].thumbprint}"
        ]


async def test_without_the_ca_bundle_the_site_is_not_believed_but_still_looked_at(tmp_path: Path) -> None:
    async with looked_at(tmp_path, ca_bundle=None) as seen:
        with pytest.raises(IssuerUnreadable, match="leads to no authority that is known here"):
            await seen.site.look()
        inspection = await seen.site.inspect()
        assert inspection.keys == ours()
        complaints = [one for one in judge(inspection, ours()) if one.level != "good"]
        assert [one.level for one in complaints] == ["bad"]
        assert inspection.discovery.tls
        assert inspection.discovery.tls.chain[-1].thumbprint in complaints[0].hint


async def test_the_thumbprint_that_is_named_is_the_one_that_makes_sts_believe(tmp_path: Path) -> None:
    """The sandbox's STS, which shares no line with us, sees the same site and judges for itself."""
    async with looked_at(tmp_path) as seen, aiohttp.ClientSession() as http:
        seen.sandbox.faults.add(Fault("site", site="unknown_authority"))

        async def status() -> int:
            form = {
                "Action": "AssumeRoleWithWebIdentity",
                "Version": "2011-06-15",
                "RoleArn": seen.sandbox.world.roles[0].arn,
                "RoleSessionName": "tester",
                "WebIdentityToken": signer("old").sign(signer("old").claims(SystemClock().now())),
            }
            async with http.post(seen.sandbox.endpoint_url, data=form) as answer:
                return answer.status

        assert await status() == 400
        (verdict,) = (one for one in await seen.verdicts() if one.level == "bad")
        thumbprint = re.search(r"thumbprint ([0-9a-f]{40})$", verdict.hint)
        assert thumbprint
        world = seen.sandbox.world
        seen.sandbox.world = replace(world, providers=(Provider(ISSUER, thumbprints=(thumbprint[1],)),))
        assert await status() == 200


async def test_a_certificate_that_ends_soon_is_a_doubt(tmp_path: Path) -> None:
    near = FakeClock(SystemClock().now().replace(year=2099, month=12, day=20))
    async with looked_at(tmp_path, clock=near) as seen:
        assert await seen.complaints() == [
            (
                "doubt",
                "the certificate of oidc.example.com ends soon: CN=oidc.example.com is good until 2099-12-31T00:00:00Z",
            )
        ]


async def test_every_look_sees_the_certificate_of_now(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        for wrong in (False, True, False, True):
            seen.sandbox.faults.replace([Fault("site", site="self_signed")] if wrong else [])
            assert (await seen.complaints() != []) == wrong


async def test_the_proxy_of_the_environment_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with looked_at(tmp_path, issuer="https://nowhere.invalid", proxy=None) as seen:
        assert seen.sandbox.proxy_url
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, seen.sandbox.proxy_url)
        with pytest.raises(IssuerUnreadable, match=r"the name nowhere\.invalid is not known here"):
            await seen.site.look()


@pytest.mark.parametrize("written", [None, b"no certificates"])
async def test_a_ca_bundle_that_cannot_be_used_is_named(written: bytes | None, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    if written is not None:
        bundle.write_bytes(written)
    async with looked_at(tmp_path, ca_bundle=bundle) as seen:
        with pytest.raises(IssuerUnreadable) as caught:
            await seen.site.inspect()
        assert caught.value.what == (
            f"the CA bundle {bundle} cannot be used: "
            + ("No such file or directory" if written is None else "it holds no certificates")
        )


async def test_a_site_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(new_authority("x").pem)
    for url, proxy, what in (
        ("https://127.0.0.1:1", None, r"127\.0\.0\.1 cannot be reached"),
        (ISSUER, "http://127.0.0.1:1", "the proxy cannot be reached"),
    ):
        site = PublicSite(url, clock=SystemClock(), ca_bundle=tmp_path / "ca.pem", proxy=proxy)
        with pytest.raises(IssuerUnreadable, match=what):
            await site.look()


async def test_a_proxy_that_wants_a_password_is_said_to_want_one() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(IssuerUnreadable) as caught:
            await PublicSite(ISSUER, clock=SystemClock(), proxy=proxy).look()
    assert caught.value.what == "the proxy does not lead to oidc.example.com: it answers 407"
    assert "without signing in (407)" in caught.value.hint


@pytest.mark.parametrize("uri", ["https://", "https://[", "https://a b/", "https://oidc.example.com:port/"])
async def test_a_jwks_uri_that_is_no_address_is_said_to_be_none(uri: str, tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        place = seen.directory / ".well-known" / "openid-configuration"
        place.write_text(json.dumps({**json.loads(place.read_text()), "jwks_uri": uri}))
        told = f"the key set cannot be at {uri}, which is no address"
        if uri == "https://a b/":
            told = "the proxy does not lead to a b: it answers 403"
        assert await seen.complaints() == [("bad", told)]


async def test_a_server_without_tls_is_told_from_one_that_is_down(tmp_path: Path) -> None:
    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response()

    async with listening(serve, "127.0.0.1", 0, None) as url:
        site = PublicSite(url.replace("http:", "https:"), clock=SystemClock())
        with pytest.raises(IssuerUnreadable, match=r"127\.0\.0\.1 and we cannot agree on how to speak TLS"):
            await site.look()


async def test_what_goes_on_for_ever_is_not_read_to_its_end(tmp_path: Path) -> None:
    cookies: list[bool] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        cookies.append("Cookie" in request.headers)
        assert request.headers["Accept-Encoding"] == "identity"
        assert request.headers["User-Agent"].startswith("rolecall/")
        answer = web.StreamResponse(headers={"Content-Type": "application/json", "Set-Cookie": "seen=yes"})
        await answer.prepare(request)
        for _ in range(1024):  # 64 MB: more than anybody would wait for
            await answer.write(b" " * 65536)
            await asyncio.sleep(0)  # so that a line that was cut is noticed
        cookies.append(True)
        return answer

    authority = new_authority("x")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    async with listening(serve, "127.0.0.1", 0, server_context(authority, ["127.0.0.1"], tmp_path)) as url:
        site = PublicSite(url, clock=SystemClock(), ca_bundle=tmp_path / "ca.pem")
        for _ in range(2):
            with pytest.raises(IssuerUnreadable, match="the discovery document is longer than 1 MB"):
                await site.look()
    assert cookies == [False, False]
