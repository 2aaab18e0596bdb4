"""Report a DAG file that cannot be imported to Sentry, once, when it breaks."""

from __future__ import annotations

import sys
from pathlib import Path

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


@hookimpl
def on_new_dag_import_error(filename: str, stacktrace: str) -> None:
    """Report the error; Airflow calls this in the dag-processor, only if the file could be imported before."""
    import sentry_delivery

    from include.medallion.redaction import tracebacks

    def found() -> list[sentry_delivery.Report]:
        exception, safe = tracebacks.parse_traceback(stacktrace or "")
        name = Path(filename).name
        message = f"{name} cannot be imported"
        fingerprint = ["medallion", "import", name]
        return [sentry_delivery.Report(fingerprint, {"dag_file": name}, message, exception=exception, safe=safe)]

    sentry_delivery.send(found)


class ImportErrorPlugin(AirflowPlugin):
    """Register this module as a listener."""

    name = "medallion_import_errors"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 the type is Airflow's
