"""A token is never written anywhere: not to a log, not to the database, not into an answer."""

import io
import logging
from collections.abc import Iterator

import pytest
from loguru import logger
from sqlalchemy import text

from guardian_core.logs import LogFormat, setup_logging
from guardian_core.ports import Tx
from tests.support.receiver import Service, alert


@pytest.fixture(params=list(LogFormat))
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    setup_logging(request.param, "TRACE", "receiver", stream=stream)
    yield stream
    logger.remove()
    logging.basicConfig(handlers=[], force=True)


def everything_stored(tx: Tx) -> str:
    tables = ("webhook", "journal", "lane", "account", "token")
    return "\n".join(
        str(tuple(row)) for table in tables for row in tx.execute(text(f"SELECT * FROM {table}"))
    )


async def test_no_token_is_logged_stored_or_answered(service: Service, log: io.StringIO) -> None:
    secret = service.tokens["for-all"]
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in secret)
    wrong = "a-token-that-somebody-guessed"
    answers = []
    for body in (
        alert(note=1),
        alert(Token=secret),
        alert(Secret=secret, note=2),
        alert(Symbol=secret),
        alert(Action=secret),
        alert(UserExchangeID=secret),
        alert(IndicateurName=secret),
        alert(PrixSL=secret),
        alert(note="ESCAPED").replace("ESCAPED", escaped),
        f"not json, but secret={secret}",
        f'{{"Token": "{secret}"',
        f"%7B%22Action%22%3A%22PING%22%2C%22Symbol%22%3A%22X%22%2C%22Token%22%3A%22{secret}%22%7D=",
        b"\xff" + secret.encode(),
    ):
        answers.append(await service.post(body))
    for path in (
        f"/webhook/{wrong}",
        f"/webhook?token={wrong}",
        f"/webhook/{secret}/more",
        f"/nothing/{secret}",
    ):
        answers.append(await service.client.post(path, content=alert()))
        answers.append(await service.client.get(path))
    stored = await service.database.run(everything_stored)
    written = log.getvalue()
    assert "T6.2" in written
    for place in (stored, written, *(answer.text for answer in answers)):
        assert secret not in place
        assert escaped not in place
        assert wrong not in place


async def test_a_body_is_not_logged(service: Service, log: io.StringIO) -> None:
    await service.post(alert(note="a private remark"))
    await service.post('{"note": "a private remark", "Action"')
    assert "a private remark" not in log.getvalue()
