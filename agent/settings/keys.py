"""What may the operator say about who holds the private key?"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from agent.keys import Algorithm
from agent.settings.section import Section
from agent.settings.spelling import FilePath, SecretPath, one_of

#: Custodians that a later version will know.
LATER: Final = ("pkcs11", "tpm2", "aws_kms", "vault_transit")


class Pem(Section):
    """Private keys in PEM files: one file, or all *.pem of a directory. Just one of `file` and `directory` is set.

    `algorithm` None leaves it to the key: RS256 for RSA, and the one that fits the curve for EC.
    """

    custodian: Annotated[Literal["pem"], one_of(Literal["pem"])]
    file: SecretPath | None = Field(None, examples=['"/etc/rolecall/key.pem"'])
    directory: FilePath | None = Field(None, examples=['"/var/lib/rolecall/keys"'])
    passphrase_file: SecretPath | None = Field(None, examples=['"credential:key-passphrase"'])
    algorithm: Annotated[Algorithm, one_of(Algorithm)] | None = Field(None, examples=['"ES256"'])

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """One file, or one directory."""
        if "file" in words and "directory" in words:
            yield "file", 'cannot stand beside "directory"; keep the one where the key is'
        elif "file" not in words and "directory" not in words:
            yield "", 'does not say where the key is; write directory = "/var/lib/rolecall/keys", or file = "…"'


Key = Pem

#: The kinds of [key], by their `custodian`.
CUSTODIANS: Final[Mapping[str, type[Key]]] = {"pem": Pem}
