"""
An enrichment of your own over HTTP: the value of a currency in euros.

One call looks up many currencies. RATES_URL is the service's URL, RATES_KEY its API key. The exception says how a
failure is handled: `Transient` is retried, within rate limit and budget; `ProviderRefused` stops the run.
"""  # noqa: INP001 (an example, no package)

from __future__ import annotations

import os

import pyarrow as pa
import requests

from include.medallion.errors import ProviderRefused, Transient

TIMEOUT_SECONDS = 10


def exchange_rates(keys: pa.Table) -> pa.Table:
    """
    Return the rates of distinct currencies, one row per key; rows of a code that the service lacks are quarantined.

    Args:
        keys: column `currency`, with each code once.

    Raises:
        Transient: the service did not answer, or answered with an error; `retry_after` is in seconds.
        ProviderRefused: the service refused the API key.
    """
    codes = keys["currency"].to_pylist()
    rates = _fetch(codes)
    return pa.table(
        {
            "euros": pa.array([rates.get(code) for code in codes], pa.float64()),
            "_refused": pa.array([code not in rates for code in codes], pa.bool_()),
        }
    )


def _fetch(codes: list[str]) -> dict[str, float]:
    headers = {"Authorization": f"Bearer {os.environ['RATES_KEY']}"}
    try:
        response = requests.get(
            os.environ["RATES_URL"], params={"codes": ",".join(codes)}, headers=headers, timeout=TIMEOUT_SECONDS
        )
    except requests.RequestException as error:
        # only the type: the message would quote the URL
        raise Transient(f"the rates did not answer ({type(error).__name__})") from None
    if response.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise ProviderRefused("the rates refused the key: set RATES_KEY")
    if not response.ok:
        wait = response.headers.get("Retry-After", "")
        raise Transient(
            f"the rates answered HTTP {response.status_code}", retry_after=float(wait) if wait.isdigit() else None
        )
    return response.json()["rates"]
