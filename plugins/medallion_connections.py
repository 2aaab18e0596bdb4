"""Airflow's connections and this process's environment, as the core takes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.log import mask_secret

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

    from include.medallion.config.connections import Connections
    from include.medallion.config.pipeline import Pipeline
    from include.medallion.lake.object_store import Lake

AWS_CONNECTION = "aws_default"
SNOWFLAKE_SECONDS = {"login_timeout": 60, "network_timeout": 600}  # by default the connector retries for ever


def connect(pipeline: Pipeline) -> Connections:
    """
    Return how to reach a pipeline's source and sinks: Airflow connections and AWS settings.

    Raises:
        SettingError: AWS_URI is missing or wrong, or Airflow does not know a connection that the pipeline names.
    """
    from include.medallion.config.connections import Connections

    if pipeline.silver:
        find_connection(pipeline.silver.connection)  # now, not after the look-ups of a run were paid for
    if key := os.environ.get("GOOGLE_API_KEY"):
        mask_secret(key)
    return Connections(
        bronze=bronze(pipeline.source.connection),
        silver=_silver(pipeline),
        lake=lake(),
        environ=os.environ,
        password=password,
    )


def password(conn_id: str) -> str | None:
    """Return the password of a connection; logs never show it."""
    secret = BaseHook.get_connection(conn_id).password
    if secret:
        mask_secret(secret)
    return secret


def bronze(conn_id: str) -> str:
    """Return the source's connection as libpq takes it."""
    from include.medallion.config.connection_info import ConnectionInfo, libpq_uri

    c = find_connection(conn_id)
    return libpq_uri(ConnectionInfo(c.host, c.port, c.login, c.password, c.schema, c.extra_dejson))


def find_connection(conn_id: str) -> Connection:
    """
    Return one of Airflow's connections.

    Raises:
        SettingError: Airflow has none of this name. (A library's message would be redacted, the name with it.)
    """
    from airflow.sdk.exceptions import AirflowNotFoundException

    from include.medallion.errors import SettingError

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise SettingError(
            f"Airflow has no connection {conn_id}: add it (airflow connections add {conn_id} ..., or "
            f"AIRFLOW_CONN_{conn_id.upper()} where tasks run), or correct the pipeline file"
        ) from None


def _silver(pipeline: Pipeline) -> Callable[[], SnowflakeConnection]:
    from include.medallion.config.connections import refuse_silver

    if pipeline.silver is None:
        return partial(refuse_silver, pipeline.name)
    return partial(snowflake, pipeline.silver.connection)


def snowflake(conn_id: str) -> SnowflakeConnection:
    """Open a Snowflake connection as Airflow's hook describes it; a server that is gone is an error, not a hang."""
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook
    from snowflake.connector import connect as open_connection

    given = SnowflakeHook(snowflake_conn_id=conn_id)._get_conn_params()  # noqa: SLF001 (the hook takes no time-outs)
    tagged = {**(given.pop("session_parameters", None) or {}), "QUERY_TAG": "medallion"}
    return open_connection(session_parameters=tagged, **SNOWFLAKE_SECONDS, **given)


def lake() -> Lake:
    """
    Return the lake at `AWS_URI`, reached by `AWS_*` variables, else by connection `aws_default`, else by the machine.

    Raises:
        SettingError: AWS_URI is missing or wrong.
    """
    from include.medallion.config import connections as connection_settings

    given = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
    return connection_settings.lake_from_environment(
        given if "AWS_ACCESS_KEY_ID" in given else {**_aws_connection(), **given}
    )


def _aws_connection() -> Mapping[str, str]:
    """Return the settings of `aws_default`; none if there is no such connection: the machine's role then counts."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(AWS_CONNECTION)
    except AirflowNotFoundException:
        return {}
    hook: Any = AwsGenericHook(aws_conn_id=AWS_CONNECTION, client_type="s3")
    credentials = hook.get_credentials(region_name=hook.conn_region_name)
    endpoint = hook.conn_config.get_service_endpoint_url("s3")
    options = {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token,
        "AWS_REGION": hook.conn_region_name,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true" if (endpoint or "").startswith("http://") else None,
    }
    return {k: v for k, v in options.items() if v}
