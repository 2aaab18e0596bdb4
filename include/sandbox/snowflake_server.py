"""
Snowflake's stand-in as a program: fakesnow, over TLS, with a password and data that outlive it.

    python -m include.sandbox.snowflake_server DATA PORT CERTIFICATE [ADDRESS]

The password is read from `SANDBOX_SNOWFLAKE_PASSWORD`, so that no list of processes shows it;
the file of a user's public key, if there is one, from `SANDBOX_SNOWFLAKE_PUBLIC_KEY`.
"""

# ruff: noqa: SLF001 (fakesnow has no public place for what it does not do)

from __future__ import annotations

import gzip
import hmac
import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from string import Template
from typing import Any

import jwt
import pyarrow as pa
import pyarrow.compute as pc
import uvicorn
from fakesnow import arrow, copy_into, info_schema, transforms
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.instance import FakeSnow
from snowflake.connector.errors import Error, ProgrammingError  # noqa: TID253 (the server is made of it)
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.sandbox.snowflake_signs import SIGNED, keep_signs

DATABASE, SCHEMA = "MEDALLION", "PUBLIC"
LOGIN = "/session/v1/login-request"
# `from fakesnow import server` is a function of the same name
server = import_module("fakesnow.server")
IDLE_SECONDS = 5  # Snowflake waits five minutes
timestamps_as_structs = arrow.timestamp_to_sf_struct


def main() -> None:
    """Serve until stopped."""
    data, port, certificate, *address = sys.argv[1:]
    arrow.timestamp_to_sf_struct = nullable_timestamps
    info_schema.insert_table_comment_sql = uncommented(info_schema.insert_table_comment_sql)
    copy_into._get_table_columns = as_they_are_spelt
    transforms.merge = keep_signs(transforms.merge)
    describe = transforms.transforms.SQL_DESCRIBE_TABLE.template
    transforms.transforms.SQL_DESCRIBE_TABLE = Template(describe.replace("BINARY(8388608)", "BINARY(67108864)"))
    server.sessions = Sessions()
    server.FakeSnowflakeCursor.execute = reported(without_binary_lengths(server.FakeSnowflakeCursor.execute))
    open_databases(Path(data))
    server.app.router.routes.insert(0, Route(LOGIN, login, methods=["POST"]))
    server.app.add_middleware(BaseHTTPMiddleware, dispatch=check_login)
    server.app.add_middleware(BaseHTTPMiddleware, dispatch=answer_errors)
    uvicorn.run(
        server.app,
        host=address[0] if address else "127.0.0.1",
        port=int(port),
        ssl_certfile=certificate,
        access_log=False,
        timeout_graceful_shutdown=1,  # clients keep connections open for ever
    )


def open_databases(folder: Path) -> None:
    """Attach every database of an earlier life, and make sure of the default one."""
    server.shared_fs = FakeSnow(db_path=folder)
    for name in {DATABASE, *(file.stem for file in folder.glob("*.db"))}:
        server.shared_fs.connect(name, SCHEMA)


def nullable_timestamps(column: pa.Array | pa.ChunkedArray) -> pa.StructArray:
    """Encode timestamps as fakesnow does, but NULL as NULL: without this it is read as 1970."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    structs = timestamps_as_structs(column)
    children = [child.fill_null(0) for child in structs.flatten()]
    return pa.StructArray.from_arrays(children, fields=list(structs.type), mask=pc.is_null(column))


def uncommented(insert: Callable[..., str]) -> Callable[..., str]:
    """
    Record no comment for the tables that a MERGE makes on its way; quote that of any other.

    fakesnow keeps comments in a second database, and a transaction may write to one only: MERGE after BEGIN failed.
    """

    @wraps(insert)
    def statement(catalog: str, schema: str, table: str, comment: str | None) -> str:
        quoted = comment.replace("'", "''") if comment else comment
        return "SELECT 1" if table in {"MERGE_CANDIDATES", SIGNED} else insert(catalog, schema, table, quoted)

    return statement


def without_binary_lengths(execute: Callable) -> Callable:
    """Declare BINARY without its length, which DuckDB does not have."""

    @wraps(execute)
    def run(cursor: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        return execute(cursor, re.sub(r"\bBINARY\(\d+\)", "BINARY", command), *args, **kwargs)

    return run


def as_they_are_spelt(*where: Any) -> list[str]:
    """Return a table's columns for COPY to match: fakesnow takes all for upper-case, and leaves others NULL."""
    return [name for name, _ in copy_into._describe_table(*where)]


class Sessions(dict[str, FakeSnowflakeConnection]):
    """
    Logged-in clients, whose transactions end as Snowflake ends them.

    At logout; or, of a client that died without one, when another meets the locks of its idle transaction
    (https://docs.snowflake.com/en/sql-reference/transactions, "Aborting transactions").
    """

    def __delitem__(self, token: str) -> None:
        self.pop(token).cursor().execute("ROLLBACK")

    def abort_idle(self) -> None:
        """Roll back every transaction whose client has been silent for long."""
        for connection in list(self.values()):
            busy, since = getattr(connection, "activity", (False, time.monotonic()))
            if not busy and time.monotonic() - since > IDLE_SECONDS:
                connection.cursor().execute("ROLLBACK")


def reported(execute: Callable) -> Callable:
    """Let a failed statement's reason reach the client as an SQL error: fakesnow keeps what it does not know."""

    @wraps(execute)
    def run(cursor: Any, *args: Any, **kwargs: Any) -> Any:
        session = cursor._conn
        session.activity = (True, time.monotonic())
        try:
            return execute(cursor, *args, **kwargs)
        except Error:
            raise
        except Exception as e:
            if "Conflict" in str(e):
                server.sessions.abort_idle()
            raise ProgrammingError(f"{type(e).__name__}: {e}", errno=100000, sqlstate="22000") from e
        finally:
            session.activity = (False, time.monotonic())

    return run


async def login(request: Request) -> JSONResponse:
    """Log in as fakesnow does, and hand out the second token without which the client never logs out."""
    answer = json.loads((await server.login_request(request)).body)
    answer["data"]["masterToken"] = answer["data"]["token"]
    return JSONResponse(answer)


async def check_login(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Refuse a login with another password or key than ours: fakesnow itself takes any."""
    if request.url.path != LOGIN:
        return await call_next(request)
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    given = json.loads(body)["data"]
    known = signed(given) if given.get("AUTHENTICATOR") == "SNOWFLAKE_JWT" else told_password(given)
    if known:
        return await call_next(request)
    return JSONResponse({"success": False, "code": "390100", "message": "Incorrect username or password.", "data": {}})


def told_password(given: dict) -> bool:
    """Return whether the login has the password."""
    password = given.get("PASSWORD") or ""
    return hmac.compare_digest(password.encode(), os.environ["SANDBOX_SNOWFLAKE_PASSWORD"].encode())


def signed(given: dict) -> bool:
    """Return whether the login is signed by the user's key (https://docs.snowflake.com/en/user-guide/key-pair-auth)."""
    key = Path(os.environ.get("SANDBOX_SNOWFLAKE_PUBLIC_KEY", "/nonexistent"))
    try:
        return key.exists() and bool(jwt.decode(given["TOKEN"], key.read_bytes(), ["RS256"]))
    except jwt.InvalidTokenError:
        return False


async def answer_errors(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Report any other failure with status 200, as Snowflake does: the client retries a 500 for minutes."""
    response = await call_next(request)
    if response.status_code == 500:  # noqa: PLR2004
        response.status_code = 200
    return response


if __name__ == "__main__":
    main()
