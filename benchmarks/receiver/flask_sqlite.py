"""What a user would write: Flask, sqlite3, gunicorn. Run by gunicorn, settings in BENCH_…."""

import os
import sqlite3

from flask import Flask, abort, request

DATABASE, TOKEN = os.environ["BENCH_DATABASE"], os.environ["BENCH_TOKEN"]

app = Flask(__name__)

with sqlite3.connect(DATABASE) as connection:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS alerts (id INTEGER PRIMARY KEY, at TEXT, action TEXT,"
        " symbol TEXT, sl REAL, tp REAL, payload TEXT UNIQUE)"
    )


@app.post("/webhook/<token>")
def webhook(token: str) -> dict[str, str]:
    if token != TOKEN:
        abort(401)
    alert = request.get_json(force=True)
    with sqlite3.connect(DATABASE, timeout=30) as connection:
        connection.execute(
            "INSERT OR IGNORE INTO alerts (at, action, symbol, sl, tp, payload)"
            " VALUES (datetime('now'), ?, ?, ?, ?, ?)",
            (
                alert["Action"],
                alert["Symbol"],
                alert.get("PrixSL"),
                alert.get("PrixTP"),
                request.get_data(as_text=True),
            ),
        )
    connection.close()
    return {"status": "ok"}
