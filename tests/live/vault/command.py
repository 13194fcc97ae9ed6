"""The command `vault`, as far as the commands that we write go: HTTP requests to a real Vault."""

import sys
from pathlib import Path

_PROGRAM = """#!{python} -I
import json, os, sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

def call(method, path, body=None):
    url = os.environ["VAULT_ADDR"] + "/v1/" + path
    data = None if body is None else json.dumps(body).encode()
    try:
        urlopen(Request(url, data, {{"X-Vault-Token": os.environ["VAULT_TOKEN"]}}, method=method), timeout=20).close()
    except HTTPError as error:
        sys.exit(f"vault: {{error.code}} {{error.read().decode()}}")

match sys.argv[1:]:
    case ["read", path]:
        call("GET", path)
    case ["auth", "enable", path, kind] if path.startswith("-path="):
        call("POST", "sys/auth/" + path.removeprefix("-path="), {{"type": kind}})
    case ["write", path, "-"]:
        call("PUT", path, json.load(sys.stdin))
    case other:
        sys.exit(f"vault: {{other}} is not known here")
"""


def install(folder: Path) -> None:
    """Write the program into a folder that is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vault").write_text(_PROGRAM.format(python=sys.executable))
    (folder / "vault").chmod(0o755)
