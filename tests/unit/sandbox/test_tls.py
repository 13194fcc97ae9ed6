"""Is the right certificate shown, and the wrong one when that is asked for?"""

import ssl
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509

from agent.clock import SystemClock
from agent.sandbox import Fault
from agent.sandbox.tls import context_of, new_authority, new_leaf, server_context
from tests.fakes.clock import START, FakeClock
from tests.unit.sandbox.scene import ISSUER, scene


async def test_the_sites_own_certificate_is_verified(tmp_path: Path) -> None:
    async with scene(tmp_path, tls=True, clock=FakeClock(SystemClock().now())) as here:
        assert here.sandbox.ca_file
        assert here.sandbox.endpoint_url.startswith("https://127.0.0.1:")
        assert here.sandbox.site_urls[ISSUER].startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=here.sandbox.ca_file)
        async with here.http.post(here.sandbox.endpoint_url, data=here.parameters(), ssl=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await here.assume()


async def test_the_endpoint_can_show_a_wrong_certificate_and_a_right_one_again(tmp_path: Path) -> None:
    async with scene(tmp_path, tls=True, clock=FakeClock(SystemClock().now())) as here:
        trusting = ssl.create_default_context(cafile=here.sandbox.ca_file)
        for wrong in (False, True, False):
            here.sandbox.faults.replace([Fault("certificate")] if wrong else [])
            connector = aiohttp.TCPConnector(ssl=trusting)
            async with aiohttp.ClientSession(connector=connector) as fresh:
                call = fresh.post(here.sandbox.endpoint_url, data={"Action": "x"})
                if wrong:
                    with pytest.raises(aiohttp.ClientConnectorCertificateError):
                        await call
                else:
                    (await call).release()


async def test_no_key_is_left_on_disk(tmp_path: Path) -> None:
    server_context(new_authority("a"), ["x"], tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_certificates_are_good_whatever_the_sandbox_takes_the_time_for(tmp_path: Path) -> None:
    longago = FakeClock(START - timedelta(days=3650))
    async with scene(tmp_path, tls=True, clock=longago) as here:
        trusting = ssl.create_default_context(cafile=here.sandbox.ca_file)
        async with here.http.post(here.sandbox.endpoint_url, data=here.parameters(), ssl=trusting) as answer:
            assert answer.status == 200


def test_an_authority_may_have_one_above_it_and_none_below() -> None:
    root = new_authority("root")
    between = new_authority("between", root)
    leaf = new_leaf(between, ["oidc.example.com", "127.0.0.1"])
    between.certificate.verify_directly_issued_by(root.certificate)
    leaf.certificate.verify_directly_issued_by(between.certificate)
    assert between.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_a_leaf_without_an_authority_is_signed_by_itself(tmp_path: Path) -> None:
    leaf = new_leaf(None, ["oidc.example.com"], START)
    leaf.certificate.verify_directly_issued_by(leaf.certificate)
    assert leaf.certificate.not_valid_after_utc == START
    context_of(leaf, [leaf.certificate], tmp_path)
    assert list(tmp_path.iterdir()) == []
