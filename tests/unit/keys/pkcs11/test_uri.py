import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigurationError
from agent.keys.pkcs11.uri import KeyUri, read

LABELS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("pkcs11:token=hsm;object=rolecall", KeyUri(token="hsm", label="rolecall")),
        ("pkcs11:object=my%20key;type=private", KeyUri(label="my key")),
        ("pkcs11:id=%01%aB;token=The%20Software%20PKCS%2311", KeyUri(token="The Software PKCS#11", id=b"\x01\xab")),
        ("pkcs11:serial=60bd9e1679210d58;id=a%00", KeyUri(serial="60bd9e1679210d58", id=b"a\x00")),
        ("pkcs11:object=M%c3%bcller", KeyUri(label="Müller")),
        ("pkcs11:object=a=b,(c)&d", KeyUri(label="a=b,(c)&d")),
    ],
)
def test_a_key_is_told_as_in_the_rfc(uri: str, meant: KeyUri) -> None:
    assert read(uri) == meant


@given(token=st.none() | LABELS, serial=st.none() | LABELS, label=LABELS, identity=st.none() | st.binary(min_size=1))
def test_every_name_is_read_as_it_was_spelt(
    token: str | None, serial: str | None, label: str, identity: bytes | None
) -> None:
    told = KeyUri(token, serial, label, identity)

    assert read(str(told)) == told
    assert str(told).isascii()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("rolecall", "the name of the key is no PKCS#11 URI"),
        ("pkcs11:", "the PKCS#11 URI has a part without a name in it, which says nothing here"),
        ("pkcs11:token=hsm", "the PKCS#11 URI does not say which key of the token it is"),
        ("pkcs11:object=a;object=b", 'the PKCS#11 URI has two values for "object"'),
        ("pkcs11:object=", 'the PKCS#11 URI has a value for "object" that RFC 7512 does not allow'),
        ("pkcs11:object=a b", 'the PKCS#11 URI has a value for "object" that RFC 7512 does not allow'),
        ("pkcs11:id=%1", 'the PKCS#11 URI has a value for "id" that RFC 7512 does not allow'),
        ("pkcs11:object=%ff", "the PKCS#11 URI has a label that is not UTF-8"),
        ("pkcs11:object=a;type=cert", "the PKCS#11 URI names an object that is no private key"),
        ("pkcs11:object=a;model=b", 'the PKCS#11 URI has "model" in it, which says nothing here'),
        ("pkcs11:object=a;x-vendor=b", 'the PKCS#11 URI has "x-vendor" in it, which says nothing here'),
        ("pkcs11:object=a?module-path=/x.so", 'the PKCS#11 URI has "module-path" in it'),
        ("pkcs11:object=a?pin-source=file:/pin", 'the PKCS#11 URI has "pin-source" in it'),
    ],
)
def test_what_names_no_key_has_its_sentence(uri: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(uri)

    assert caught.value.what == said
    assert caught.value.hint


@pytest.mark.parametrize("uri", ["pkcs11:object=a?pin-value=canary", "pkcs11:object=a;pin-value=canary"])
def test_a_pin_in_it_is_refused_and_not_shown(uri: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(uri)

    assert caught.value.what == 'the PKCS#11 URI has "pin-value" in it'
    assert "canary" not in f"{caught.value.what} {caught.value.hint}"
