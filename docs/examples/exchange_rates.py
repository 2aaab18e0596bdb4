"""
A user's own enrichment over HTTP: what a currency is worth in euros.

One call asks for many currencies. RATES_URL is the service's address, RATES_KEY its key. What each failure means is
said by the exception: `Transient` is tried again, in time and within the budget; `ProviderRefused` stops the run.
"""  # noqa: INP001 (an example, no package)

from __future__ import annotations

import os

import pyarrow as pa
import requests

from include.medallion.errors import ProviderRefused, Transient

SECONDS = 10


def exchange_rates(keys: pa.Table) -> pa.Table:
    """
    Answer distinct currencies, row for row; a code that the service does not know sets its rows aside.

    Args:
        keys: column `currency`, with each code once.
    """
    codes = keys["currency"].to_pylist()
    rates = _asked(codes)
    return pa.table(
        {
            "euros": pa.array([rates.get(code) for code in codes], pa.float64()),
            "_refused": pa.array([code not in rates for code in codes], pa.bool_()),
        }
    )


def _asked(codes: list[str]) -> dict[str, float]:
    headers = {"Authorization": f"Bearer {os.environ['RATES_KEY']}"}
    try:
        response = requests.get(
            os.environ["RATES_URL"], params={"codes": ",".join(codes)}, headers=headers, timeout=SECONDS
        )
    except requests.RequestException as error:
        # only its type: the message would quote the address
        raise Transient(f"the rates did not answer ({type(error).__name__})") from None
    if response.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise ProviderRefused("the rates refused the key: set RATES_KEY")
    if not response.ok:
        wait = response.headers.get("Retry-After", "")
        raise Transient(
            f"the rates answered HTTP {response.status_code}", retry_after=float(wait) if wait.isdigit() else None
        )
    return response.json()["rates"]
