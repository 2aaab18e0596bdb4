"""The sinks of a pipeline: the one place that knows which there are."""

from __future__ import annotations

from collections.abc import Callable

from include.medallion.config.checks.imports import import_function
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.staging.sink import Sink


def open_sinks(pipeline: Pipeline, connections: Connections) -> list[Sink]:
    """
    Return a pipeline's sinks in the order in which a run applies a batch to them.

    Raises:
        SettingError: a sink of the user's own (`sinks.<name>.open`) cannot be imported.
    """
    return [_open(name, pipeline, connections) for name in pipeline.sink_steps]


def _open_silver(pipeline: Pipeline, connections: Connections) -> Sink:
    from include.medallion.silver.sink import SilverSink  # noqa: PLC0415 (a pipeline may have Gold alone)

    return SilverSink(connections.lake, pipeline, connections.silver)


def _open_gold(pipeline: Pipeline, connections: Connections) -> Sink:
    from include.medallion.gold.sink import GoldSink  # noqa: PLC0415 (a pipeline may have Silver alone)

    return GoldSink(connections.lake, pipeline)


_BUILT_IN: dict[str, Callable[[Pipeline, Connections], Sink]] = {"silver": _open_silver, "gold": _open_gold}


def _open(name: str, pipeline: Pipeline, connections: Connections) -> Sink:
    if name in _BUILT_IN:
        return _BUILT_IN[name](pipeline, connections)
    opener = import_function(f"sinks.{name}.open", pipeline.sinks[name].open)
    sink: Sink = opener(name, pipeline, connections)
    return sink
