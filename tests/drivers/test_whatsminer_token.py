from __future__ import annotations

import base64
import shutil
import subprocess
from hashlib import sha256

import orjson
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from drivers.whatsminer.md5crypt import md5crypt
from drivers.whatsminer.token import Token, TokenTableFullError, open_reply, parse_token, seal
from farmctl.errors import CredentialError, MalformedReplyError

OPENSSL = shutil.which("openssl")

VECTORS = [
    ("admin", "BQ5hoXV9", "RxmaDUO33TS7O26yeMHZ81"),
    ("", "a", "8CfZSfErbeskipdhZHtvu."),
    ("x" * 33, "jbzkfQls", "NFM37M.a4q8dA70ntOWUp1"),
    ("p\u00e4ssw\u00f6rd-16bytes", "./09AZaz", "RawydXQ5fbVmmPibWVZz.1"),
    ("super", "ab", "6WUbsbKiyZd3YCTeLiC6G/"),
]
"""Made with passlib 1.7.4."""


@pytest.mark.parametrize(("password", "salt", "digest"), VECTORS)
def test_md5crypt_is_what_passlib_makes(password: str, salt: str, digest: str) -> None:
    assert md5crypt(password, salt) == digest


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize(("password", "salt", "digest"), VECTORS)
def test_md5crypt_is_what_openssl_makes(password: str, salt: str, digest: str) -> None:
    made = subprocess.run(
        [OPENSSL or "", "passwd", "-1", "-salt", salt, password],
        capture_output=True,
        check=True,
        text=True,
    )
    assert made.stdout.strip().split("$")[3] == digest


def test_a_salt_longer_than_eight_letters_is_cut_as_crypt_does() -> None:
    assert md5crypt("admin", "BQ5hoXV9more") == md5crypt("admin", "BQ5hoXV9") == md5crypt("admin", "BQ5hoXV9$x")


def token(password: str = "admin") -> Token:  # noqa: S107 - the factory's
    return parse_token(
        {"STATUS": "S", "Code": 134, "Msg": {"time": "4811", "salt": "BQ5hoXV9", "newsalt": "jbzkfQls"}},
        password,
        until_s=1.0,
        peer="m",
    )


def aes(key: bytes) -> Cipher[modes.ECB]:
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - the vendor's protocol prescribes it


def test_a_write_decrypts_to_the_command_its_parameters_and_the_sign() -> None:
    made = token()
    outer = orjson.loads(seal(made, "power_off", {"respbefore": "true"}))
    plain = aes(made.key).decryptor().update(base64.b64decode(outer["data"]))
    assert outer["enc"] == 1
    assert len(plain) % 16 == 0
    assert orjson.loads(plain.rstrip(b"\0")) == {"cmd": "power_off", "respbefore": "true", "token": made.sign}


def test_sign_and_key_follow_from_password_and_salts() -> None:
    assert token().sign == "jmWUVURLr/DBY7SvgLU4b/"  # passlib: md5crypt(md5crypt("admin", salt) + time, newsalt)
    assert token().key == sha256(b"RxmaDUO33TS7O26yeMHZ81").digest()
    assert token().key != token("other").key


def test_an_encrypted_answer_is_opened_and_a_plain_one_is_read() -> None:
    made = token()
    plain = b'{"STATUS":"S","When":1,"Code":131,"Msg":"API command OK","Description":""}'
    sealed = base64.b64encode(aes(made.key).encryptor().update(plain + b"\0" * (-len(plain) % 16)))
    assert open_reply(made, {"enc": sealed.decode()}, "m").code == 131
    assert open_reply(made, {"STATUS": "E", "Code": 135, "Msg": "check token err"}, "m").code == 135


@pytest.mark.parametrize("sealed", ["AAAA", "no base64!", base64.b64encode(b"\x01" * 16).decode()])
def test_an_answer_that_cannot_be_decrypted_is_malformed(sealed: str) -> None:
    with pytest.raises(MalformedReplyError):
        open_reply(token(), {"enc": sealed}, "m")


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ({"STATUS": "E", "Code": 136, "Msg": "over max connect"}, TokenTableFullError),
        ({"STATUS": "E", "Code": 45, "Msg": "permission denied"}, CredentialError),
        ({"STATUS": "E", "Code": 132, "Msg": "can't access write cmd"}, CredentialError),
        ({"STATUS": "E", "Code": 14, "Msg": "invalid cmd"}, MalformedReplyError),
        ({"STATUS": "S", "Code": 134, "Msg": {"time": "1"}}, MalformedReplyError),
    ],
)
def test_a_token_that_is_not_given_says_why(reply: dict[str, object], fault: type[Exception]) -> None:
    with pytest.raises(fault, match=r"10\.0\.0\.9"):
        parse_token(reply, "admin", until_s=0.0, peer="10.0.0.9:4028")
