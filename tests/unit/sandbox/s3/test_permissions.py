"""May a session do what its role and its own policies allow, and no more?"""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.unit.sandbox.desk import BUCKET, desk, may, permitted, refused
from tests.unit.sandbox.scene import ROLE


def told(action: str, resource: str, reason: str) -> tuple[int, str, str]:
    session = "arn:aws:sts::123456789012:assumed-role/demo/tester"
    text = f'User: {session} is not authorized to perform: {action} on resource: "{resource}" {reason}'
    return 403, "AccessDenied", text


def test_what_no_policy_allows_is_denied(tmp_path: Path) -> None:
    with desk(tmp_path, permitted(may("s3:GetObject", f"arn:aws:s3:::{BUCKET}/hello.txt"))) as at:
        s3 = at.s3()
        s3.get_object(Bucket=BUCKET, Key="hello.txt")
        for action, resource, call in (
            ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/k", lambda: s3.put_object(Bucket=BUCKET, Key="k")),
            ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}", lambda: s3.list_objects_v2(Bucket=BUCKET)),
            ("s3:ListAllMyBuckets", "*", s3.list_buckets),
            ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/k", lambda: s3.get_object(Bucket=BUCKET, Key="k")),
        ):
            assert refused(call) == told(
                action, resource, f"because no identity-based policy allows the {action} action"
            )
        assert refused(lambda: s3.head_object(Bucket=BUCKET, Key="k"))[0] == 403


def test_who_may_not_list_is_not_told_what_is_missing(tmp_path: Path) -> None:
    with desk(tmp_path, permitted(may("s3:GetObject", "*"))) as at:
        reason = "because no identity-based policy allows the s3:ListBucket action"
        answer = refused(lambda: at.s3().get_object(Bucket=BUCKET, Key="missing"))
        assert answer == told("s3:ListBucket", f"arn:aws:s3:::{BUCKET}", reason)


def test_a_deny_wins(tmp_path: Path) -> None:
    deny = {**may("s3:GetObject", "*"), "Effect": "Deny"}
    with desk(tmp_path, permitted(may("s3:*", "*"), deny)) as at:
        answer = refused(lambda: at.s3().get_object(Bucket=BUCKET, Key="hello.txt"))
        resource = f"arn:aws:s3:::{BUCKET}/hello.txt"
        assert answer == told("s3:GetObject", resource, "with an explicit deny in an identity-based policy")


def policy(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def test_a_session_policy_narrows_and_never_widens(tmp_path: Path) -> None:
    world = permitted(may(["s3:GetObject", "s3:ListBucket"], "*"))
    with desk(tmp_path, world) as at:
        s3 = at.s3(Policy=policy(may(["s3:GetObject", "s3:PutObject"], "*")))
        s3.get_object(Bucket=BUCKET, Key="hello.txt")
        bucket = f"arn:aws:s3:::{BUCKET}"
        assert refused(lambda: s3.list_objects_v2(Bucket=BUCKET)) == told(
            "s3:ListBucket", bucket, "because no session policy allows the s3:ListBucket action"
        )
        assert refused(lambda: s3.put_object(Bucket=BUCKET, Key="k")) == told(
            "s3:PutObject", f"{bucket}/k", "because no identity-based policy allows the s3:PutObject action"
        )
        denying = at.s3(Policy=policy(may("*", "*"), {**may("s3:GetObject", "*"), "Effect": "Deny"}))
        assert refused(lambda: denying.get_object(Bucket=BUCKET, Key="hello.txt")) == told(
            "s3:GetObject", f"{bucket}/hello.txt", "with an explicit deny in a session policy"
        )


def test_a_managed_session_policy_narrows_too(tmp_path: Path) -> None:
    arn = "arn:aws:iam::123456789012:policy/look"
    world = permitted(
        may("s3:*", "*"), managed_policies={arn: json.loads(policy(may(["s3:ListBucket", "s3:GetObject"], "*")))}
    )
    with desk(tmp_path, world) as at:
        s3 = at.s3(PolicyArns=[{"arn": arn}])
        s3.list_objects_v2(Bucket=BUCKET)
        assert refused(lambda: s3.put_object(Bucket=BUCKET, Key="k"))[1] == "AccessDenied"


def test_policies_can_speak_of_prefix_tags_and_subject(tmp_path: Path) -> None:
    listing = may(
        "s3:ListBucket",
        "*",
        Condition={
            "StringLike": {"s3:prefix": "${aws:PrincipalTag/Team}/*"},
            "StringEquals": {"oidc.example.com:sub": "host:practice", "aws:PrincipalArn": ROLE},
        },
    )
    getting = may("s3:GetObject", f"arn:aws:s3:::{BUCKET}/${{aws:PrincipalTag/Team}}/*")
    world = permitted(listing, getting, objects={"web/a": b"a", "api/a": b"b"})
    claims = {"https://aws.amazon.com/tags": {"principal_tags": {"Team": ["web"]}}}
    with desk(tmp_path, world) as at:
        s3 = at.s3(claims=claims)
        assert s3.list_objects_v2(Bucket=BUCKET, Prefix="web/")["KeyCount"] == 1
        assert refused(lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="api/"))[1] == "AccessDenied"
        assert s3.get_object(Bucket=BUCKET, Key="web/a")["Body"].read() == b"a"
        assert refused(lambda: s3.get_object(Bucket=BUCKET, Key="api/a"))[1] == "AccessDenied"
