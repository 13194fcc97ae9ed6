"""A real Vault, in memory, for as long as a test wants it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

#: The program that build.sh beside this builds: where VAULT_BINARY says, or on the PATH.
BINARY: Final = os.environ.get("VAULT_BINARY") or shutil.which("vault-for-tests")
WHY_NOT: Final = "there is no vault-for-tests; build it: tests/live/vault/build.sh FOLDER, and set VAULT_BINARY or PATH"


@dataclass
class Vault:
    """`root` is a token that may do everything, `unseal_key` what opens it; both empty until `initialise`."""

    address: str
    root: str = field(default="", repr=False)
    unseal_key: str = field(default="", repr=False)

    def initialise(self) -> None:
        made = self.write("sys/init", secret_shares=1, secret_threshold=1)
        self.root, self.unseal_key = made["root_token"], made["keys"][0]
        self.unseal()
        self.write("sys/mounts/transit", type="transit")

    def unseal(self) -> None:
        self.write("sys/unseal", key=self.unseal_key)

    def seal(self) -> None:
        self.write("sys/seal")

    def read(self, path: str) -> dict[str, Any]:
        return self._call("GET", path, None)

    def write(self, path: str, /, **members: object) -> dict[str, Any]:
        return self._call("PUT", path, members)

    def delete(self, path: str) -> None:
        self._call("DELETE", path, None)

    def token(self, **members: object) -> str:
        """A token, by what auth/token/create takes."""
        return str(self.write("auth/token/create", **members)["auth"]["client_token"])

    def policy(self, name: str, rules: Mapping[str, str]) -> None:
        """Paths and the capabilities on them, separated by blanks."""
        written = "\n".join(
            f'path "{path}" {{ capabilities = {json.dumps(capabilities.split())} }}'
            for path, capabilities in rules.items()
        )
        self.write(f"sys/policies/acl/{name}", policy=written)

    def _call(self, method: str, path: str, members: Mapping[str, object] | None) -> dict[str, Any]:
        body = None if members is None else json.dumps(members).encode()
        request = Request(f"{self.address}/v1/{path}", body, {"X-Vault-Token": self.root}, method=method)
        try:
            with urlopen(request, timeout=20) as answer:
                return dict(json.loads(answer.read() or b"{}"))
        except HTTPError as error:
            raise AssertionError(f"Vault says {error.code} to {method} {path}: {error.read()!r}") from error


@contextmanager
def running_vault(**environment: str) -> Iterator[Vault]:
    """Start one, not initialised yet, with more in its environment."""
    assert BINARY is not None, WHY_NOT
    whole = {**os.environ, **environment}
    with subprocess.Popen([BINARY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=whole, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Vault(process.stdout.readline().strip())
        finally:
            process.stdin.close()  # which ends it
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
