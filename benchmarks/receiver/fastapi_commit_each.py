"""What one would otherwise write: a FastAPI endpoint, SQLAlchemy Core, one commit per request.

Run by `python -m … PORT DATABASE_URL TOKEN`. It stores the same fields and logs one line for each
alert, and it does less than the receiver: one known token, no accounts or lanes, no alert in
another form than its own, nothing kept of an alert that it refuses.
"""

import hashlib
import hmac
import logging
import sys
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel
from sqlalchemy import (
    Column,
    DateTime,
    Index,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    create_engine,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite

PORT, URL, TOKEN = int(sys.argv[1]), sys.argv[2], sys.argv[3]
ON_POSTGRES = URL.startswith("postgresql")

metadata = MetaData()
NUMBER = Numeric(36, 18) if ON_POSTGRES else String()
webhook = Table(
    "plain_webhook",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("received_at", DateTime(timezone=True), index=True),
    Column("dedup_key", String, unique=True),
    *(Column(name, String) for name in ("action", "user_id", "account_id", "symbol", "exchange")),
    *(Column(name, String) for name in ("interval", "indicator", "status")),
    Column("bar_time", DateTime(timezone=True)),
    *(Column(name, NUMBER) for name in ("open", "high", "low", "close", "prix")),
    *(Column(name, NUMBER) for name in ("prix_sl", "prix_tp", "pour_cent")),
    Column("raw_payload", Text),
    Index("ix_plain_webhook_queue", "status", "symbol", "received_at"),
)
if ON_POSTGRES:
    engine = create_engine(URL, pool_size=20, max_overflow=20)
    insert: Any = postgresql.insert
else:
    engine = create_engine(URL, connect_args={"timeout": 30})
    event.listen(engine, "connect", lambda made, _: made.execute("PRAGMA journal_mode=WAL"))
    insert = sqlite.insert
app = FastAPI()
log = logging.getLogger("webhook")


class Alert(BaseModel):
    Action: str
    Symbol: str
    UserExchangeID: str
    UserID: str | None = None
    Exchange: str | None = None
    Interval: str | None = None
    BarTime: datetime | None = None
    Open: Decimal | None = None
    High: Decimal | None = None
    Low: Decimal | None = None
    Close: Decimal | None = None
    Prix: Decimal | None = None
    PrixSL: Decimal | None = None
    PrixTP: Decimal | None = None
    PourCent: Decimal = Decimal(100)
    IndicateurName: str = ""


async def body(request: Request) -> bytes:
    return await request.body()


@app.post("/webhook/{token}")
def receive(token: str, alert: Alert, raw: bytes = Depends(body)) -> dict[str, Any]:
    if not hmac.compare_digest(token.encode(), TOKEN.encode()):
        raise HTTPException(401)
    row = {
        "id": uuid.uuid4(),
        "received_at": datetime.now(UTC),
        "dedup_key": hashlib.sha256(raw).hexdigest(),
        "action": alert.Action,
        "user_id": alert.UserID,
        "account_id": alert.UserExchangeID,
        "symbol": alert.Symbol,
        "exchange": alert.Exchange,
        "interval": alert.Interval,
        "indicator": alert.IndicateurName,
        "status": "received",
        "bar_time": alert.BarTime,
        "open": _stored(alert.Open),
        "high": _stored(alert.High),
        "low": _stored(alert.Low),
        "close": _stored(alert.Close),
        "prix": _stored(alert.Prix),
        "prix_sl": _stored(alert.PrixSL),
        "prix_tp": _stored(alert.PrixTP),
        "pour_cent": _stored(alert.PourCent),
        "raw_payload": raw.decode(),
    }
    with engine.begin() as connection:
        connection.execute(insert(webhook).values(row).on_conflict_do_nothing())
    log.info("stored %s %s as %s", alert.Action, alert.Symbol, row["id"])
    return {"status": "received", "id": str(row["id"])}


def _stored(number: Decimal | None) -> Any:
    return number if ON_POSTGRES or number is None else str(number)


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s")
    metadata.create_all(engine)
    uvicorn.run(app, port=PORT, access_log=False, log_level="warning")
