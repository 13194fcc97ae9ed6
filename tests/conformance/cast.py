"""Which clients are there, how is each started, and how long may it try?"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.live.host import BUCKET

HERE = Path(__file__).parent / "clients"
ROOT = Path(__file__).parents[2]

#: Where `clients/build.sh` puts the commands of the compiled clients.
BUILT = Path(os.environ.get("CONFORMANCE_CLIENTS") or ROOT / ".cache") / "conformance"

OBJECT, BODY = "hello.txt", "hello"
ARN = "arn:aws:sts::123456789012:assumed-role/backup/"

#: What runs an AWS CLI, of either version.
_CLI = "tests.conformance.clients.with_cli"
#: Debian's, by its path: what PATH finds as aws may be of either version.
_CLI_2 = "/usr/bin/aws"


@dataclass(frozen=True, slots=True)
class Client:
    """One SDK as a program.

    Attributes:
        name: in commands and files.
        title: in the table.
        command: how it is started.
        patience: how many seconds one request may take at most, by the client's own time-outs and number of tries,
            and several times over: a busy machine is no finding.
        lacks: why it cannot be run here; "" if it can.
        release: tells its version; "" if it cannot be told.
    """

    name: str
    title: str
    command: tuple[str, ...]
    patience: float
    lacks: Callable[[], str]
    release: Callable[[], str]

    @property
    def remembers(self) -> bool:
        """Whether it keeps credentials from one request to the next: a command does not live that long."""
        return _CLI not in self.command

    @property
    def reads(self) -> str:
        """How what it says begins when it has its role: S3 clients say what an object holds, others who they are."""
        return BODY if OBJECT in self.command else ARN


def _python(name: str, title: str, patience: float, *, package: str = "", words: Sequence[str] = ()) -> Client:
    """A client in this Python, by its package."""
    package = package or name

    def lacks() -> str:
        found = importlib.util.find_spec(package) is not None
        return "" if found else f"{package} is not installed: pip install --editable '.[dev,conformance]'"

    def release() -> str:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return ""

    module = _CLI if package == "awscli" else f"tests.conformance.clients.with_{name}"
    return Client(name, title, (sys.executable, "-m", module, *words), patience, lacks, release)


def _cli_2() -> Client:
    """The second AWS CLI, as the distribution has it."""

    def release() -> str:
        if not Path(_CLI_2).exists():
            return ""
        told = subprocess.run([_CLI_2, "--version"], capture_output=True, text=True, check=False)
        return told.stdout.split(" ")[0].replace("/", " ")

    def lacks() -> str:
        found = release()
        return "" if found.startswith("aws-cli 2") else f"{_CLI_2} is not AWS CLI v2: apt-get install awscli"

    return Client("cli2", "AWS CLI v2", (sys.executable, "-m", _CLI, _CLI_2), 30, lacks, release)


def _built(name: str, title: str, patience: float, release: Callable[[], str], words: Sequence[str] = ()) -> Client:
    """A client that build.sh builds."""
    command = BUILT / name

    def lacks() -> str:
        return "" if shutil.which(command) else f"{name} is not built: tests/conformance/clients/build.sh"

    return Client(name, title, (str(command), *words), patience, lacks, release)


def _locked(file: str, pattern: str, name: str) -> Callable[[], str]:
    """The version that a lock file says."""

    def release() -> str:
        path = HERE / file
        found = re.search(pattern, path.read_text()) if path.exists() else None
        return f"{name} {found[1]}" if found else ""

    return release


def _javascript() -> str:
    """The version of the one package that the program imports."""
    path = HERE / "javascript/package-lock.json"
    if not path.exists():
        return ""
    packages = json.loads(path.read_text())["packages"]
    return f"@aws-sdk/client-sts {packages['node_modules/@aws-sdk/client-sts']['version']}"


CAST: tuple[Client, ...] = (
    _python("boto3", "boto3", 20),
    _python("aiobotocore", "aiobotocore", 20),
    _python("cli1", "AWS CLI v1", 30, package="awscli", words=(sys.executable, "-m", "awscli")),
    _cli_2(),
    _python("awscrt", "awscrt", 30),
    _python("pyarrow", "C++ (pyarrow)", 40, words=(BUCKET, OBJECT)),
    _python("obstore", "object_store (obstore)", 40, words=(BUCKET, OBJECT)),
    _built("javascript", "JavaScript v3", 25, _javascript),
    _built("go", "Go v2", 45, _locked("go/go.mod", r"aws-sdk-go-v2/config v(\S+)", "aws-sdk-go-v2/config")),
    _built(
        "java",
        "Java v2",
        40,
        _locked("java/pom.xml", r"software\.amazon\.awssdk[\s\S]*?<version>([\d.]+)<", "software.amazon.awssdk"),
    ),
    _built("rust", "Rust", 25, _locked("rust/Cargo.lock", r'name = "aws-config"\nversion = "([^"]+)"', "aws-config")),
    _built("minio", "minio-go", 40, _locked("minio/go.mod", r"minio-go/v7 v(\S+)", "minio-go"), words=(BUCKET, OBJECT)),
)
