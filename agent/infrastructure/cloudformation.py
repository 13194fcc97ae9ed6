"""How is the AWS side of one account written for CloudFormation?

One template per account, as YAML: it is made to be read and changed by people, and JSON has no comments. All strings
are quoted, so none is taken for a number, a date or a boolean. Pure.
"""

from collections.abc import Sequence
from typing import Final

from agent.infrastructure import Account, Role, Trust
from agent.infrastructure.literals import comment, filled, identifier, quoted, yaml
from agent.infrastructure.trust import policy_of, provider_arn

_PROVIDER_PARAMETER: Final = """\
Parameters:
  CreateProvider:
    Type: String
    Default: "true"
    AllowedValues: ["true", "false"]
    Description: Whether to create the identity provider - an account has one per issuer, and it may be there already.
"""

_PERMISSIONS_PARAMETER: Final = """\
  PermissionsOf@ID@:
    Type: CommaDelimitedList
    Default: ""
    Description: @WHAT@
"""

_PROVIDER_CONDITION: Final = """\

Conditions:
  ProviderIsOurs: !Equals [!Ref CreateProvider, "true"]
"""

_PERMISSIONS_CONDITION: Final = """\
  PermissionsGivenTo@ID@: !Not [!Equals [!Join ["", !Ref PermissionsOf@ID@], ""]]
"""

_PROVIDER: Final = """\

Resources:
  Issuer:  # @ARN@
    Type: AWS::IAM::OIDCProvider
    Condition: ProviderIsOurs
    Properties:
      Url: @URL@
      ClientIdList: [@AUDIENCE@]
      Tags: [{Key: "managed-by", Value: "rolecall"}]
"""

_ROLE: Final = """\

  @ID@:
    Type: AWS::IAM::Role
    Properties:
      RoleName: @ROLE@
      Path: @PATH@
      Description: "For workloads outside AWS, through rolecall"
      MaxSessionDuration: @SECONDS@
      ManagedPolicyArns: !If [PermissionsGivenTo@ID@, !Ref PermissionsOf@ID@, !Ref AWS::NoValue]
      Tags: [{Key: "managed-by", Value: "rolecall"}]
      AssumeRolePolicyDocument:@TRUST@
"""

#: The provider must be there before a role can name it; a reference says so, and only where it is made here.
_OURS_OR: Final = "!If [ProviderIsOurs, !Ref Issuer, {}]"

_OUTPUT: Final = """\
  ArnOf@ID@:
    Description: @WHAT@
    Value: !GetAtt @ID@.Arn
"""


def cloudformation(trust: Trust, account: Account, roles: Sequence[Role]) -> str:
    """The text of a template for an account: provider, roles, and a parameter for what each role may do."""
    ids: list[str] = []
    for role in roles:
        ids.append(identifier(role.names[0], ["Issuer", *ids], allowed=""))
    named = list(zip(ids, roles, strict=True))
    arn = provider_arn(trust.issuer, account)
    provider = filled(_PROVIDER, arn=comment(arn), url=quoted(trust.issuer), audience=quoted(trust.audience))
    policy = yaml(policy_of(trust, account), 8).replace(
        _federated(quoted(arn)), _federated(_OURS_OR.format(quoted(arn)))
    )
    return "".join(
        [
            _heading(trust, account, ids[0]),
            _PROVIDER_PARAMETER,
            *(_permissions(name, role) for name, role in named),
            _PROVIDER_CONDITION,
            *(filled(_PERMISSIONS_CONDITION, id=name) for name in ids),
            provider,
            *(_role(name, role, policy) for name, role in named),
            "\nOutputs:\n",
            *(filled(_OUTPUT, id=name, what=quoted(f"The ARN of {_title(role)}")) for name, role in named),
        ]
    )


def _heading(trust: Trust, account: Account, example: str) -> str:
    return f"""\
# What AWS account {account.number} must know before rolecall's roles work there.
#
# 1. Publish the issuer's documents first: AWS reads them from {comment(trust.issuer)}
#    when the provider is created.
# 2. Say in PermissionsOf... what each role may do; until then it may do nothing. With that account's credentials:
#      aws cloudformation deploy --stack-name rolecall --template-file {account.label}.yaml \\
#        --capabilities CAPABILITY_NAMED_IAM \\
#        --parameter-overrides PermissionsOf{example}=arn:{account.partition}:iam::aws:policy/ReadOnlyAccess
# 3. Another stack or team has made the provider already? CreateProvider=false, and see to it that its
#    client ids hold {comment(trust.audience)}.
AWSTemplateFormatVersion: "2010-09-09"
Description: "Roles for workloads outside AWS through rolecall, for account {account.number}"

"""


def _permissions(name: str, role: Role) -> str:
    what = quoted(f"What {_title(role)} may do: ARNs of managed policies, separated by commas")
    return filled(_PERMISSIONS_PARAMETER, id=name, what=what)


def _role(name: str, role: Role, policy: str) -> str:
    seconds = str(int(role.max_session.total_seconds()))
    return filled(_ROLE, id=name, role=quoted(role.role), path=quoted(role.path), seconds=seconds, trust=policy)


def _title(role: Role) -> str:
    return " and ".join(role.names)


def _federated(value: str) -> str:
    """A line of the policy; in strings quotes are escaped, so nothing else in it can look like this."""
    return f'"Federated": {value}'
