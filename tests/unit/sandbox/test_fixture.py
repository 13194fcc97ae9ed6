"""Can a project that knows nothing of ours use the sandbox in its tests?"""

import asyncio
import os
import sys
import textwrap
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

_SUITE = '''
    """Another project's tests."""
    import os
    from dataclasses import replace

    import boto3
    import pytest
    from botocore.exceptions import ClientError

    from agent.sandbox import Fault


    def test_the_environment_is_all_that_boto3_needs(aws_sandbox, monkeypatch):
        for name, value in aws_sandbox.environment.items():
            monkeypatch.setenv(name, value)
        session = boto3.Session()
        assert session.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/demo/practice")
        assert session.client("s3").list_objects_v2(Bucket="demo-bucket")["KeyCount"] == 1
        actions = [call.action for call in aws_sandbox.sandbox.requests]
        assert actions == ["AssumeRoleWithWebIdentity", "GetCallerIdentity"]


    def test_tokens_can_be_made_and_judged(aws_sandbox):
        sts = boto3.client("sts", endpoint_url=aws_sandbox.sandbox.endpoint_url, region_name="eu-central-1",
                           aws_access_key_id="none", aws_secret_access_key="none")
        ask = {"RoleArn": aws_sandbox.role_arn, "RoleSessionName": "me"}
        sts.assume_role_with_web_identity(WebIdentityToken=aws_sandbox.token(sub="host:me"), **ask)
        with pytest.raises(ClientError, match="Incorrect token audience"):
            sts.assume_role_with_web_identity(WebIdentityToken=aws_sandbox.token(aud="other"), **ask)
        aws_sandbox.sandbox.faults.add(Fault("throttled", times=1))
        sts.assume_role_with_web_identity(WebIdentityToken=aws_sandbox.token(), **ask)  # boto3 tries again
        aws_sandbox.sandbox.world = replace(aws_sandbox.sandbox.world, roles=())
        with pytest.raises(ClientError, match="AccessDenied"):
            sts.assume_role_with_web_identity(WebIdentityToken=aws_sandbox.token(), **ask)
'''


async def test_it_needs_one_line_in_conftest(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["agent.sandbox.fixture"]\n')
    (tmp_path / "test_theirs.py").write_text(textwrap.dedent(_SUITE))
    here = Path(__file__).resolve().parents[3]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio"),
        *(str(tmp_path), "--rootdir", str(tmp_path)),
        env={**environment, "PYTHONPATH": str(here), "AWS_EC2_METADATA_DISABLED": "true"},
        cwd=tmp_path,
        stdout=PIPE,
        stderr=STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"2 passed" in output
