import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from agent.errors import KeyUnavailable, TokenUnavailable
from agent.keys.pem import read_passphrase
from agent.tokens.oauth2.asking import ClientCertificate, Place
from agent.tokens.oauth2.source import FRESH
from agent.tokens.oauth2.web import Answer, Web
from tests.fakes.certificate import certificate
from tests.fakes.clock import START, FakeClock
from tests.fakes.oauth_provider import OAuthProvider, oauth_provider
from tests.unit.tokens.oauth2.conftest import Bench

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def raw(folder: Path, answer: bytes) -> AsyncIterator[tuple[str, Path]]:
    """A server over TLS that says just this to whoever comes, and hangs up."""
    ca, context = certificate(folder)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", ca


async def got(folder: Path, answer: bytes) -> Answer:
    return (await got_by(folder, answer))[0]


async def got_by(folder: Path, answer: bytes) -> tuple[Answer, timedelta | None]:
    """The answer, and how long it asks to be left alone."""
    async with raw(folder, answer) as (url, ca):
        web = Web(Place(ca_bundle=ca), FakeClock())
        return await web.get(url), web.wait


def http(*headers: str, body: bytes = b"{}", status: str = "200 OK") -> bytes:
    head = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(head).encode() + body


async def test_an_answer_is_taken_apart(tmp_path: Path) -> None:
    answer, wait = await got_by(
        tmp_path,
        http(
            "Content-Type: Application/JSON; charset=utf-8",
            "Date: Fri, 20 Nov 2026 12:00:00 GMT",
            "Retry-After: 7",
            body=b'{"a": 1}',
            status="429 Too Many",
        ),
    )

    assert (answer.status, answer.document, answer.media_type) == (429, {"a": 1}, "application/json")
    assert (answer.told, wait) == (START, timedelta(seconds=7))


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("Fri, 20 Nov 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Fri, 20 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("9" * 400, timedelta(hours=1)),
        ("soon", None),
        ("-1", None),
        ("", None),
        ("Fri, 99 Nov 2026 12:05:00 GMT", None),
    ],
)
async def test_how_long_it_wants_to_be_left_alone_is_seconds_or_a_date(
    tmp_path: Path, header: str, wait: timedelta | None
) -> None:
    _, asked = await got_by(tmp_path, http("Date: Fri, 20 Nov 2026 12:00:00 GMT", f"Retry-After: {header}"))

    assert asked == wait


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 20 Nov 99999 12:00:00 GMT"])
async def test_a_date_that_is_none_tells_no_time(tmp_path: Path, date: str) -> None:
    assert (await got(tmp_path, http(f"Date: {date}"))).told is None


async def test_a_date_without_a_zone_is_utc(tmp_path: Path) -> None:
    answer = await got(tmp_path, http("Date: Fri, 20 Nov 2026 12:00:00 -0000"))

    assert answer.told == datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "hung up without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (http(body=b"{}").replace(b"Content-Length: 2", b"Content-Length: 200"), "hung up in the middle"),
        (http(body=b"x" * 300_000), "too long"),
    ],
)
async def test_what_is_no_whole_answer_is_said_to_be_none(tmp_path: Path, answer: bytes, said: str) -> None:
    with pytest.raises(TokenUnavailable, match=said) as caught:
        await got(tmp_path, answer)

    assert caught.value.hint
    assert caught.value.__context__ is None  # what aiohttp raises has the headers of the request


async def test_who_speaks_no_tls_is_said_not_to(tmp_path: Path) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TokenUnavailable, match="cannot agree on TLS"):
            await Web(Place(), FakeClock()).get(f"https://127.0.0.1:{port}/")


async def test_old_tls_is_not_spoken(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    ca, context = certificate(tmp_path / "old")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    async with oauth_provider(tmp_path / ".", context) as provider:
        with pytest.raises(TokenUnavailable, match=r"cannot agree on TLS|it hung up while"):
            await Web(Place(ca_bundle=ca), FakeClock()).get(provider.url)


@pytest.mark.parametrize("content", [None, "no certificates", ""])
async def test_a_ca_bundle_that_is_none_is_said_to_be_the_matter(tmp_path: Path, content: str | None) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)

    with pytest.raises(TokenUnavailable, match="CA bundle") as caught:
        await Web(Place(ca_bundle=bundle), FakeClock()).get("https://127.0.0.1:1/")

    assert "identity.ca_bundle" in caught.value.hint


async def test_an_address_that_is_none_is_said_to_be_none() -> None:
    with pytest.raises(TokenUnavailable, match="no address"):
        await Web(Place(), FakeClock()).get("https://[half/")


async def test_a_proxy_that_is_not_there_is_said_to_be_the_matter() -> None:
    with pytest.raises(TokenUnavailable, match="proxy cannot be reached"):
        await Web(Place(proxy="http://127.0.0.1:1"), FakeClock()).get("https://login.example.com/")


async def test_a_proxy_that_refuses_is_said_to_do_so() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TokenUnavailable, match=r"proxy does not lead to login\.example\.com: it answers 407"):
            await Web(Place(proxy=f"http://127.0.0.1:{port}"), FakeClock()).get("https://login.example.com/")


# --- a certificate of ours


def put(folder: Path, name: str) -> Path:
    """A certificate and its key as a client has them: replaced, where they are there already."""
    (folder / name).mkdir()
    path, _ = certificate(folder / name)
    text = (folder / name / "server.pem").read_text()
    key = folder / "client.key"
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    key.write_text(text[text.index("-----BEGIN PRIVATE KEY") :])
    (folder / "client.pem").write_bytes(path.read_bytes())
    return path


def ours(folder: Path) -> ClientCertificate:
    key = folder / "client.key"
    return ClientCertificate(folder / "client.pem", key, lambda: read_passphrase(key, what="client key"))


def wanting(context: ssl.SSLContext, *authorities: Path) -> ssl.SSLContext:
    context.verify_mode = ssl.CERT_REQUIRED
    for path in authorities:
        context.load_verify_locations(path)
    return context


@asynccontextmanager
async def mutual(folder: Path, *authorities: Path) -> AsyncIterator[OAuthProvider]:
    """A provider that wants a certificate of one of these."""
    (folder / "provider").mkdir()
    ca, context = certificate(folder / "provider")
    async with oauth_provider(folder, wanting(context, *authorities)) as provider:
        provider.ca = ca
        yield provider


async def test_a_certificate_that_is_replaced_is_shown_from_then_on(tmp_path: Path) -> None:
    """Each of them is alone in being let in, for as long as it is the one."""
    first = put(tmp_path, "first")
    async with mutual(tmp_path, first) as provider:
        web = Web(Place(ca_bundle=provider.ca), FakeClock(), ours(tmp_path))
        assert (await web.post(f"{provider.url}/token", b"a=b", {})).status == 200

        put(tmp_path, "second")
        with pytest.raises(TokenUnavailable, match=r"having been shown our certificate|hung up"):
            await web.post(f"{provider.url}/token", b"a=b", {})


async def test_a_certificate_gets_a_token_at_the_address_for_certificates(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    put(tmp_path / "ours", "client")
    bench.provider.document = {"mtls_endpoint_aliases": {"token_endpoint": f"{bench.provider.url}/mutual"}}
    source = bench.asking(ours(tmp_path / "ours"))

    await source.token()

    assert [request.path for request in bench.provider.requests] == ["/mutual"]
    assert bench.provider.forms[0]["client_id"] == ["our-client"]


async def test_while_certificate_and_key_do_not_fit_the_token_that_is_held_is_used(
    bench: Bench, tmp_path: Path
) -> None:
    """As between the two steps of a replacement."""
    (tmp_path / "ours").mkdir()
    put(tmp_path / "ours", "first")
    source = bench.asking(ours(tmp_path / "ours"))
    await source.token()
    other = put(tmp_path / "ours", "second")
    (tmp_path / "ours" / "client.pem").write_bytes((tmp_path / "ours" / "first" / "ca.pem").read_bytes())
    await bench.clock.advance(FRESH + timedelta(seconds=1))
    assert await source.token()
    assert len(bench.provider.forms) == 1

    (tmp_path / "ours" / "client.pem").write_bytes(other.read_bytes())
    await bench.clock.advance(timedelta(seconds=21))
    assert await source.token()

    assert len(bench.provider.forms) == 2


def removed(folder: Path) -> None:
    (folder / "client.pem").unlink()


def no_key(folder: Path) -> None:
    (folder / "client.key").unlink()


def encrypted(folder: Path) -> None:
    key = folder / "client.key"
    plain = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary")))


def open_to_all(folder: Path) -> None:
    (folder / "client.key").chmod(0o644)


@pytest.mark.parametrize("change", [removed, no_key, encrypted, open_to_all])
async def test_a_certificate_that_cannot_be_shown_is_said_to_be_the_matter(
    bench: Bench, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    (tmp_path / "ours").mkdir()
    put(tmp_path / "ours", "client")
    change(tmp_path / "ours")

    with pytest.raises(KeyUnavailable, match="client") as caught:
        await bench.asking(ours(tmp_path / "ours")).token()

    assert caught.value.hint
    assert not bench.provider.forms


async def test_a_public_document_is_read_without_showing_a_certificate(tmp_path: Path) -> None:
    put(tmp_path, "client")
    web = Web(Place(), FakeClock(), replace(ours(tmp_path), certificate=Path("/nowhere")))

    with pytest.raises(TokenUnavailable, match="cannot be reached"):
        await web.get("https://127.0.0.1:1/")
