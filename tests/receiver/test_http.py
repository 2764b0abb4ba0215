"""Every request that somebody may send, over real HTTP, on both databases."""

import asyncio
import json
from functools import partial
from typing import Any

from guardian_core.domain.alerts import WebhookStatus
from tests.support import rows
from tests.support.receiver import TOKENS, Service, alert


async def test_a_good_alert_is_committed_before_it_is_answered(service: Service) -> None:
    answer = await service.post(alert(PrixSL="42000.50"))
    [row] = await service.rows()
    assert answer.status_code == 200
    assert answer.json() == {"status": "received", "trace_id": row.trace_id}
    assert row.status == WebhookStatus.RECEIVED.value
    assert (row.account_name, row.symbol, row.action) == ("main", "BTCUSDT", "MAJ")
    assert (row.prix_sl, row.prix_tp) == ("42000.5", "45000")
    assert row.lane_id is not None
    assert len(row.trace_id) == 32


async def test_the_token_may_travel_in_path_query_header_or_body(service: Service) -> None:
    token = service.tokens["for-main"]
    requests: dict[str, dict[str, Any]] = {
        "path": {"url": f"/webhook/{token}", "content": alert(note="path")},
        "query": {"url": f"/webhook?token={token}", "content": alert(note="query")},
        "header": {
            "url": "/webhook",
            "headers": {"X-Webhook-Token": token},
            "content": alert(note="header"),
        },
        "body": {"url": "/webhook", "content": alert(note="body", Token=token)},
    }
    for place, request in requests.items():
        assert (await service.client.post(**request)).json()["status"] == "received", place
    assert all(token not in row.raw_payload for row in await service.rows())


async def test_the_content_type_does_not_matter(service: Service) -> None:
    for content_type in ("application/json", "text/plain", "x/y", ""):
        answer = await service.post(
            alert(note=content_type), headers={"Content-Type": content_type}
        )
        assert answer.json()["status"] == "received", content_type


async def test_a_wrong_or_missing_token_is_401_and_nothing_is_stored(service: Service) -> None:
    cases = {"": "X-Webhook-Token", "/wrong": "token create", "/a/b": "", "?token=": "header"}
    for path, fix in cases.items():
        answer = await service.client.post(f"/webhook{path}", content=alert())
        assert answer.status_code == 401, path
        assert fix in answer.json()["error"]["fix"], path
    assert await service.rows() == []
    assert service.metric("guardian_webhooks_unauthorised_total") == len(cases)
    assert service.metric("guardian_webhooks_total", outcome="unauthorised") == len(cases)


async def test_a_broken_body_with_its_token_inside_cannot_be_let_in(service: Service) -> None:
    token = service.tokens["for-all"]
    answer = await service.post(f'{{"Token":"{token}", "Action"', token=None)
    assert answer.status_code == 401
    assert await service.rows() == []


BAD_BODIES: list[tuple[str, bytes | str, str]] = [
    ("empty", b"", "body"),
    ("not json", b"buy BTCUSDT now", "body"),
    ("cut off", alert()[:-5], "body"),
    ("no object", b"[1, 2]", "body"),
    ("null", b"null", "body"),
    ("not utf-8", b'{"Action":"\xff"}', "body"),
    ("deep", b'{"a":' * 9_000, "body"),
    ("deep array", b"[" * 60_000, "body"),
    ("raw NUL", alert().replace("MAJ", "M\x00J"), "body"),
    ("escaped NUL", alert().replace("BTCUSDT", "BTC\\u0000USDT"), "Symbol"),
    ("lone surrogate", alert().replace("BTCUSDT", "\\ud800"), "Symbol"),
    ("unknown action", alert(Action="BuyAll"), "Action"),
    ("no action", alert(Action=None), "Action"),
    ("no symbol", alert(Symbol=None), "Symbol"),
    ("odd symbol", alert(Symbol="BTC USDT;--"), "Symbol"),
    ("negative", alert(PrixSL=-1), "PrixSL"),
    ("huge", alert(PrixTP=1e40), "PrixTP"),
    ("not a number", alert(PrixTP="up"), "PrixTP"),
    ("infinite", alert().replace("45000", "Infinity"), "PrixTP"),
    ("percent 0", alert(Action="buy", PourCent=0), "PourCent"),
    ("percent -1", alert(Action="buy", PourCent=-1), "PourCent"),
    ("percent 101", alert(Action="buy", PourCent=101), "PourCent"),
    ("percent infinite", alert(Action="buy", PourCent=7).replace("7", "Infinity", 1), "PourCent"),
    ("percent text", alert(Action="close", PourCent="half"), "PourCent"),
    ("limit without price", alert(Action="BuyLimit"), "Prix"),
    ("limit at 0", alert(Action="BuyLimit", Prix=0), "Prix"),
    ("levels of a buy", alert(Action="BuyMarket", PrixSL=45000, PrixTP=42000), "PrixSL"),
    ("levels of a sell", alert(Action="SellMarket", PrixSL=42000, PrixTP=45000), "PrixSL"),
    ("unknown account", alert(UserExchangeID="nobody"), "UserExchangeID"),
    ("unknown user", alert(UserExchangeID=None, UserID="nobody"), "UserExchangeID"),
    ("account left out", alert(UserExchangeID=None), "UserExchangeID"),
    ("one unknown of two", alert(UserExchangeID=["main", "nobody"]), "UserExchangeID"),
]


async def test_every_bad_body_is_answered_400_and_stored_as_an_error(service: Service) -> None:
    for number, (name, body, field) in enumerate(BAD_BODIES, start=1):
        answer = await service.post(body)
        assert answer.status_code == 400, (name, answer.text)
        told = answer.json()
        assert told["error"]["field"] == field, (name, told)
        assert told["error"]["problem"], name
        assert told["error"]["fix"], name
        stored = await service.rows()
        row = stored[-1]
        assert len(stored) == number, name
        assert row.status == WebhookStatus.ERROR.value, name
        assert row.trace_id == told["trace_id"], name
        assert row.message.startswith(f"{field}: "), name
        assert row.lane_id is None, name
    assert (await service.post(alert())).status_code == 200


async def test_a_level_of_nan_zero_or_null_is_no_error(service: Service) -> None:
    for number, level in enumerate(("NaN", "0", "null", '""')):
        body = alert(BarTime=1_748_779_200 + number).replace("42000", level)
        assert (await service.post(body)).json()["status"] == "received"
    assert {row.prix_sl for row in await service.rows()} == {None}


async def test_an_account_of_another_token_is_403_and_stored_as_an_error(service: Service) -> None:
    answer = await service.post(alert(), token="for-other")
    assert answer.status_code == 403
    assert answer.json()["error"]["field"] == "UserExchangeID"
    [row] = await service.rows()
    assert row.status == WebhookStatus.ERROR.value
    assert row.lane_id is None


async def test_a_token_of_one_account_needs_no_account_in_the_alert(service: Service) -> None:
    assert (await service.post(alert(UserExchangeID=None), token="for-other")).status_code == 200
    assert [row.account_name for row in await service.rows()] == ["other"]


async def test_several_accounts_get_a_row_each_under_one_trace(service: Service) -> None:
    answer = await service.post(alert(UserExchangeID=["main", "other"]))
    stored = await service.rows()
    assert sorted((row.account_name, row.account_id) for row in stored) == [
        ("main", "main"),
        ("other", "other"),
    ]
    assert {row.trace_id for row in stored} == {answer.json()["trace_id"]}
    assert len({row.lane_id for row in stored}) == 2


async def test_several_accounts_are_refused_together(service: Service) -> None:
    answer = await service.post(alert(UserExchangeID=["main", "other"]), token="for-main")
    assert answer.status_code == 403
    assert [row.status for row in await service.rows()] == [WebhookStatus.ERROR.value]


async def test_users_who_share_an_exchange_id_are_told_apart_by_user(service: Service) -> None:
    for user in ("ann", "bob"):
        await service.database.run(
            partial(rows.account, name=f"x-{user}", account_id="x", user_id=user)
        )
    assert (await service.post(alert(UserExchangeID="x", UserID="bob"))).status_code == 200
    assert [row.account_name for row in await service.rows()] == ["x-bob"]
    answer = await service.post(alert(UserExchangeID="x"))
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "UserID"


async def test_a_sell_on_a_long_only_account_is_an_exit_and_its_levels_do_not_matter(
    service: Service,
) -> None:
    await service.database.run(lambda tx: rows.account(tx, "spot", paper={"market": "spot"}))
    answer = await service.post(
        alert(Action="SellMarket", PrixSL=42000, PrixTP=45000, UserExchangeID="spot")
    )
    assert answer.status_code == 200


async def test_one_symbol_is_one_lane_however_it_is_written(service: Service) -> None:
    for written in ("BTCUSDT", "BTCUSDT.P", "BINANCE:BTCUSDT.P", "btcusdt", "BTC/USDT"):
        await service.post(alert(Action="PING", Symbol=written))
    stored = await service.rows()
    assert [row.symbol for row in stored] == ["BTCUSDT"] * 5
    assert len({row.lane_id for row in stored}) == 1


async def test_a_body_above_64_kib_is_413(service: Service) -> None:
    for size in (64 * 1024 + 1, 200_000):
        assert (await service.post(b" " * size)).status_code == 413
    assert await service.rows() == []


async def test_a_body_above_64_kib_without_a_length_is_413(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.server.port)
    head = f"POST /webhook/{service.tokens['for-all']} HTTP/1.1\r\nHost: x\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    for _ in range(65):
        writer.write(b"400\r\n" + b" " * 1024 + b"\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_body_of_64_kib_is_read(service: Service) -> None:
    body = alert(note="x" * (64 * 1024 - len(alert(note=""))))
    assert len(body) == 64 * 1024
    assert (await service.post(body)).status_code == 200


async def test_another_method_is_405_with_allow(service: Service) -> None:
    path = f"/webhook/{service.tokens['for-all']}"
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        answer = await service.client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
    assert await service.rows() == []


async def test_a_post_elsewhere_is_404(service: Service) -> None:
    for path in ("/", "/webhooks", "/metrics"):
        assert (await service.client.post(path, content=alert())).status_code == 404


async def test_a_body_in_parts_is_taken_whole(service: Service) -> None:
    async def parts() -> Any:
        for letter in alert():
            yield letter.encode()

    path = f"/webhook/{service.tokens['for-all']}"
    assert (await service.client.post(path, content=parts())).json()["status"] == "received"


async def test_a_half_sent_body_stores_nothing_and_stops_nothing(service: Service) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", service.server.port)
        head = f"POST /webhook/{service.tokens['for-all']} HTTP/1.1\r\nHost: x\r\n"
        writer.write(f"{head}Content-Length: 500\r\n\r\n{alert()}".encode())
        await writer.drain()
        writer.close()
    assert (await service.post(alert(Action="PING"))).status_code == 200
    assert [row.action for row in await service.rows()] == ["PING"]


async def test_300_connections_that_send_nothing_do_not_delay_an_alert(service: Service) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", service.server.port) for _ in range(300)]
    async with asyncio.timeout(2):
        assert (await service.post(alert())).status_code == 200
    for _, writer in silent:
        writer.close()


async def test_300_alerts_at_once_are_all_stored(service: Service) -> None:
    answers = await asyncio.gather(
        *(service.post(alert(Symbol=f"S{n % 30}", note=n)) for n in range(300))
    )
    assert {answer.json()["status"] for answer in answers} == {"received"}
    stored = await service.rows()
    assert {row.trace_id for row in stored} == {answer.json()["trace_id"] for answer in answers}
    assert len({row.received_at for row in stored}) == 300


async def test_alerts_of_one_sender_keep_their_order(service: Service) -> None:
    for number in range(20):
        await service.post(alert(note=number))
    notes = [json.loads(row.raw_payload)["note"] for row in await service.rows()]
    assert notes == list(range(20))


async def test_incoming_trace_ids_are_not_believed(service: Service) -> None:
    trace = "ab" * 16
    headers = {"traceparent": f"00-{trace}-{'cd' * 8}-01"}
    answer = await service.post(alert(), headers=headers)
    assert answer.json()["trace_id"] != trace


async def test_the_pages_behind_the_front_are_served(service: Service) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/schema/alert.json"):
        assert (await service.client.get(path)).status_code == 200, path
    described = (await service.client.get("/openapi.json")).json()
    assert "post" in described["paths"]["/webhook"]


async def test_what_was_answered_is_counted(service: Service) -> None:
    await service.post(alert())
    await service.post(alert())
    await service.post(b"nonsense")
    page = (await service.client.get("/metrics")).text
    for outcome in ("received", "duplicate", "refused"):
        assert f'guardian_webhooks_total{{outcome="{outcome}"}} 1.0' in page
    assert "guardian_webhook_ack_seconds_count 3.0" in page
    assert "guardian_webhook_queue_depth 0.0" in page


def test_the_tokens_of_these_tests_cover_one_all_and_another() -> None:
    assert TOKENS == {"for-all": (), "for-main": ("main",), "for-other": ("other",)}
