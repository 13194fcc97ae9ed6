"""The commands, as processes, with keys in each custodian: the first key, tokens by it, the next one, and a theft."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import pytest

from agent.clients.signed import kms_client
from tests.fakes import softhsm, swtpm
from tests.fakes.moto import REGION, endpoint, moto
from tests.fakes.vault import TOKEN as VAULT_TOKEN
from tests.fakes.vault import fake_vault
from tests.fakes.vault_versions import keep_versions
from tests.live.host import sandboxed
from tests.live.walking import on_site

pytestmark = pytest.mark.long


@dataclass
class Custody:
    """What [key] says, what else it takes to get at the keys, and whether the first of them is there already."""

    key: str
    has_key: bool = False
    environ: dict[str, str] = field(default_factory=dict)


def _secret(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@asynccontextmanager
async def in_a_token(home: Path) -> AsyncIterator[Custody]:
    if softhsm.LACKING:
        pytest.skip(f"needs {softhsm.LACKING}")
    place = home / "hsm"
    place.mkdir()
    with softhsm.softhsm(place) as hsm:
        hsm.token()
        pin = _secret(home / "pin", softhsm.PIN)
        key = (
            f'custodian = "pkcs11"\nmodule = "{softhsm.MODULE}"\ntoken = "hsm"\nlabel = "rolecall"\npin_file = "{pin}"'
        )
        yield Custody(key, environ={"SOFTHSM2_CONF": str(place / "softhsm2.conf")})


@asynccontextmanager
async def in_a_tpm(home: Path) -> AsyncIterator[Custody]:
    if swtpm.MISSING:
        pytest.skip(f"needs {swtpm.MISSING}")
    with swtpm.running() as tpm:
        yield Custody(f'custodian = "tpm2"\ndirectory = "{home}/keys"\ntcti = "{tpm.tcti}"')


@asynccontextmanager
async def in_kms(home: Path) -> AsyncIterator[Custody]:
    profile = "[kms]\naws_access_key_id = AKIAEXAMPLEEXAMPLE12\naws_secret_access_key = canary-secret-of-a-profile\n"
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(_secret(home / "credentials", profile))}
    with moto() as url:
        key = f'custodian = "aws_kms"\nkey_id = "alias/rolecall"\nregion = "{REGION}"\nendpoint_url = "{url}"\n'
        async with kms_client(endpoint(url)) as client:
            first = await client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
            await client.create_alias(AliasName="alias/rolecall", TargetKeyId=first["KeyMetadata"]["KeyId"])
        yield Custody(f'{key}credentials = "profile:kms"\nmake_keys = true', has_key=True, environ=files)


@asynccontextmanager
async def in_vault(home: Path) -> AsyncIterator[Custody]:
    token = _secret(home / "vault-token", VAULT_TOKEN)
    with fake_vault() as fake:
        keep_versions(fake)
        key = f'custodian = "vault_transit"\naddress = "{fake.address}"\nkey = "rolecall"\ntoken_file = "{token}"'
        yield Custody(key)


@pytest.mark.parametrize("place", [in_a_token, in_a_tpm, in_kms, in_vault])
async def test_every_command_does_with_it_what_it_does_with_files(
    tmp_path: Path, place: Callable[[Path], AbstractAsyncContextManager[Custody]]
) -> None:
    async with (
        place(tmp_path) as custody,
        sandboxed(tmp_path, key=custody.key, rotation=f'[rotation]\nstate = "{tmp_path}/keys"') as (host, _),
    ):

        async def told(*words: str, said: str | None = "") -> str:
            code, out, errors = await host.rolecall(*words, "-c", str(host.config), **custody.environ)
            assert (code, errors if said is not None else None) == (0, said), errors
            return out

        if not custody.has_key:
            await told("keys", "new", "--kind", "ec-p256", said=NEW)
        token = (await told("token", "mint")).strip()
        both = json.loads(await told("keys", "rotate", "--json"))
        assert jwt.get_unverified_header(token)["kid"] == both[0]["kid"]
        assert [key["state"] for key in both] == ["signing", "announced"]
        assert on_site(host) == [key["kid"] for key in both]
        [left] = json.loads(await told("keys", "rotate", "--emergency", "--yes", "--json", said=None))
        assert (left["kid"], left["state"]) == (both[1]["kid"], "signing")
        token = (await told("token", "mint")).strip()
        assert jwt.get_unverified_header(token)["kid"] == left["kid"]
        assert on_site(host) == [left["kid"]]


NEW = "Before tokens that it signs are shown to AWS, let the world see it: rolecall publish\n"
