"""From bytes to JSON's values, and to text without secrets that any database can store."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian_core.domain.errors import CallerError
from guardian_receiver.body import blank_secrets, decode_text, read_object, storable
from guardian_receiver.fields import token_of

SECRET = "aB3-_x9Zq7LmN0pR"


@pytest.mark.parametrize(
    "text",
    [
        '{"Action":"PING","Symbol":"X"}',
        ' \n{"Action":"PING","Symbol":"X"}\r\n',
        '\ufeff{"Action":"PING","Symbol":"X"}',
        '{"Action":"PING","Symbol":"X"}=',
        "%7B%22Action%22%3A%22PING%22%2C%22Symbol%22%3A%22X%22%7D=",
        "%7B%22Action%22%3A%22PING%22%2C+%22Symbol%22%3A%22X%22%7D",
        "payload=%7B%22Action%22%3A%22PING%22%2C%22Symbol%22%3A%22X%22%7D",
        "a=b&payload=%7b%22Action%22%3A%22PING%22%2C%22Symbol%22%3A%22X%22%7d&c=",
    ],
)
def test_an_object_is_found_in_these_wrappings(text: str) -> None:
    pairs, _ = read_object(decode_text(text.encode()))
    assert dict(pairs) == {"Action": "PING", "Symbol": "X"}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is empty"),
        (b"   ", "is empty"),
        (b"hello", "is not JSON"),
        (b'{"Action":', "is not JSON"),
        (b"{'Action': 'PING'}", "is not JSON"),
        (b"[]", "an array"),
        (b'"text"', "a text"),
        (b"12", "a number"),
        (b"NaN", "a number"),
        (b"null", "null"),
        (b"true", "a truth value"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "is not UTF-8"),
        (b'{"a":"\x00"}', "is not JSON"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"a":' * 10_000, "nested too deeply"),
        (b'{"a":1e99999999999999999999}', "out of all bounds"),
        (b"a=b", "is not JSON"),
        (b"%7Bnonsense", "is not JSON"),
    ],
)
def test_what_is_no_object_is_refused_with_a_reason(raw: bytes, said: str) -> None:
    with pytest.raises(CallerError, match=said) as caught:
        read_object(decode_text(raw))
    assert caught.value.field == "body"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (rb'{"Symbol":"BTC\u0000USDT"}', "Symbol"),
        (rb'{"Symbol":"\ud800"}', "Symbol"),
        (rb'{"a":{"b":["\udfff"]}}', "b"),
        (rb'{"a\u0000":1}', "body"),
    ],
)
def test_what_no_text_column_can_hold_is_refused(raw: bytes, field: str) -> None:
    with pytest.raises(CallerError, match="surrogate") as caught:
        read_object(decode_text(raw))
    assert caught.value.field == field


def test_a_whole_surrogate_pair_is_text() -> None:
    assert read_object(r'{"Symbol":"\ud83d\ude00"}')[0] == [("Symbol", "\U0001f600")]


@given(st.binary())
def test_any_body_can_be_stored_as_text(raw: bytes) -> None:
    text = storable(raw)
    assert "\x00" not in text
    text.encode()


@given(st.text(st.characters(exclude_characters="\x00", codec="utf-8")))
def test_text_is_stored_as_it_came(text: str) -> None:
    assert storable(text.encode()) == text


@pytest.mark.parametrize(
    "text",
    [
        f'{{"Token": "{SECRET}", "a": 1}}',
        f'{{"TOKEN" : "{SECRET}"}}',
        f'{{"secret":"{SECRET}"}}',
        f'{{"web_hook-token":"{SECRET}"}}',
        f'{{"To\\u006ben":"{SECRET}"}}',
        f'{{"a":{{"Passphrase":"{SECRET}"}}}}',
        f'{{"Token":["{SECRET}"]}}',
        f'{{"Token":{{"value":"{SECRET}"}},"a":1}}',
        f'{{"note":"{SECRET}"}}',
        '{"Token":"' + "".join(f"\\u{ord(c):04x}" for c in SECRET) + '"}',
        '{"note":"' + "".join(f"\\u{ord(c):04x}" for c in SECRET) + '"}',
        f'{{"Token":"{SECRET}\n broken',
        f'{{"Token":"x\\"{SECRET}", "Token":"{SECRET}"}}',
        f"token={SECRET},symbol=X",
        f"secret: {SECRET}\nlong BTCUSD",
    ],
)
def test_no_copy_of_the_secret_stays(text: str) -> None:
    for presented in (SECRET, "another"):
        blanked = blank_secrets(text, presented)
        if presented == SECRET or "note" not in text:
            assert SECRET not in blanked
            assert "\\u0061\\u0042" not in blanked
            assert "***" in blanked


def test_the_rest_of_the_text_stays_as_it_was() -> None:
    text = '{ "Symbol":"X",\n"Token" :  "abc", "PrixSL": 1.50, "a\\"b": NaN}'
    assert blank_secrets(text, "abc") == text.replace('"abc"', '"***"')


def test_a_body_without_secrets_is_not_touched() -> None:
    text = '{"Symbol":"TOKENUSDT","IndicateurName":"passing"}'
    assert blank_secrets(text, "abc") == text


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    fields=st.dictionaries(st.text(), _json, max_size=4),
    name=st.sampled_from(["Token", "secret", "PASSWORD", "api_key"]),
    value=_json,
    ascii_only=st.booleans(),
)
def test_a_blanked_body_is_still_the_same_json(
    fields: dict[str, object], name: str, value: object, ascii_only: bool
) -> None:
    text = json.dumps(fields | {name: value}, ensure_ascii=ascii_only)
    again = json.loads(blank_secrets(text, ""))
    assert again[name] == "***"
    assert set(again) == set(fields) | {name}


@given(st.text(), st.text(min_size=20, alphabet="abcdef0123456789-_"))
def test_blanking_never_fails_and_never_leaves_the_secret(text: str, secret: str) -> None:
    assert secret not in blank_secrets(text + secret + text, secret)


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ('{"Token":"abc"}', "abc"),
        ('{"TOKEN":"abc","Action":"Foo"}', "abc"),
        ('{"secret":"abc"}', "abc"),
        ('{"Token":5}', None),
        ('{"Token":null}', None),
        ('{"Token":""}', None),
        ("{}", None),
    ],
)
def test_the_bodys_token_is_found_whatever_else_is_wrong(text: str, token: str | None) -> None:
    assert token_of(read_object(text)[0]) == token
