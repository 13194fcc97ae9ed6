"""What did the operator write down?

Read once, whole, and all mistakes said at once. Settings stop at assembly: nothing that works ever sees one.
"""

from agent.settings.aws_callers import AwsCallers
from agent.settings.callers import Callers, Grant
from agent.settings.cognito import Cognito, IdentityPoolRole
from agent.settings.containers import Containers
from agent.settings.credentials import Role, Sts, StsRole
from agent.settings.files import CredentialsFile, KeptFile, TokenFile, WebIdentityTokenFile
from agent.settings.identity_center import IdentityCenter, IdentityCenterRole
from agent.settings.infrastructure import Infrastructure
from agent.settings.keys import AwsKms, Key, Pem, Pkcs11, Tpm2, VaultTransit
from agent.settings.loading import Settings, load
from agent.settings.oauth2 import OAuth2
from agent.settings.outputs import Address, Listen, Log
from agent.settings.publishing import S3, Directory, Https, Publishing
from agent.settings.reading import find
from agent.settings.rotation import Rotation
from agent.settings.tokens import FromFile, Identity, Issuer, SelfSigned
from agent.settings.unit_tokens import UnitTokens
from agent.settings.verifying import Verify

__all__ = [
    "S3", "Address", "AwsCallers", "AwsKms", "Callers", "Cognito", "Containers", "CredentialsFile", "Directory",
    "FromFile", "Grant", "Https", "Identity", "IdentityCenter", "IdentityCenterRole", "IdentityPoolRole",
    "Infrastructure", "Issuer", "KeptFile", "Key", "Listen", "Log", "OAuth2", "Pem", "Pkcs11", "Publishing", "Role",
    "Rotation", "SelfSigned", "Settings", "Sts", "StsRole", "TokenFile", "Tpm2", "UnitTokens", "VaultTransit",
    "Verify", "WebIdentityTokenFile", "find", "load",
]  # fmt: skip
