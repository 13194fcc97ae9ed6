"""Where do the AWS profiles of the agent's user stand, and what reads them?"""

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioProcessProvider, AioProfileProviderBuilder
from botocore.configloader import load_config, raw_config_parse
from botocore.configprovider import ConfigValueStore, ConstantProvider
from botocore.exceptions import ConfigNotFound
from botocore.handlers import disable_signing, set_operation_specific_signer
from botocore.utils import JSONFileCache

from agent.clients.sealed import Sealed, defaults
from agent.clock import instant
from agent.errors import ConfigurationError


class ProfileSession(Sealed):
    """A session that knows the profiles of the shared files, for the calls that lead from one to its credentials.

    Of the environment it knows where the files are, and nothing else; of the profiles, what they say of credentials:
    endpoints, proxies and CAs are those of `config` and `ca_bundle`.
    """

    def __init__(self, profile: str, config: AioConfig, ca_bundle: str | None) -> None:
        """Read the profiles. Raises ConfigurationError where `profile` is not among them."""
        super().__init__("sts", "sso", "sso-oidc", "signin")
        files = _files()
        self._read = _read(files)
        if profile not in self._read["profiles"]:
            raise ConfigurationError(
                f"there is no AWS profile {profile} in {' or '.join(files.values())}",
                hint="correct its name, or write it there; the files are those of the user the agent runs as",
            )
        settings = defaults() | {name: ConstantProvider(path) for name, path in files.items()}
        settings |= {"profile": ConstantProvider(profile), "ca_bundle": ConstantProvider(ca_bundle)}
        self.register_component("config_store", ConfigValueStore(mapping=settings))
        self.set_default_client_config(config)
        self.register("choose-signer", set_operation_specific_signer)
        self.register("choose-signer.sts.AssumeRoleWithWebIdentity", disable_signing)

    @property
    def full_config(self) -> dict[str, Any]:
        """The contents of both files."""
        return self._read

    def get_scoped_config(self) -> dict[str, Any]:
        """What a profile says of clients: nothing that we would use."""
        return {}


def _files(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Where the files are: AWS SDKs and Tools Reference Guide, "Finding and changing the location"."""
    places = {
        "config_file": environment.get("AWS_CONFIG_FILE") or "~/.aws/config",
        "credentials_file": environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
    }
    return {name: str(Path(path).expanduser()) for name, path in places.items()}


def _read(files: Mapping[str, str]) -> dict[str, Any]:
    """Both files, in the one shape that botocore wants; either is enough."""
    read: dict[str, Any] = {"profiles": {}}
    with suppress(ConfigNotFound):
        read = dict(load_config(files["config_file"]))
    with suppress(ConfigNotFound):
        for name, words in raw_config_parse(files["credentials_file"]).items():
            read["profiles"][name] = read["profiles"].get(name, {}) | words
    return read


def sign_ins() -> Any:
    """Where `aws sso login` leaves the sign-in of the agent's user; one that is renewed is written back."""
    return JSONFileCache(str(Path("~/.aws/sso/cache").expanduser()), dumps_func=_written)


def _written(value: object) -> str:
    return json.dumps(value, default=instant)  # what is not JSON there is an instant


class Profiles(AioProfileProviderBuilder):
    """botocore's ways from a profile to credentials, of which a process ends when it is not waited for any more."""

    _session: ProfileSession

    def _create_process_provider(self, profile_name: str) -> AioProcessProvider:
        return AioProcessProvider(
            profile_name=profile_name, load_config=lambda: self._session.full_config, popen=_started
        )


class _Mortal:
    """A process that is killed with whoever waits for it: one that hangs must not be joined by another each time."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        try:
            return await self._process.communicate()
        except asyncio.CancelledError:
            self._process.kill()
            await self._process.wait()
            raise


async def _started(*command: str, **about: Any) -> _Mortal:
    return _Mortal(await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, **about))
