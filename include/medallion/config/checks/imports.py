"""Functions that a pipeline file names as module:function."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError


def import_function(setting: str, path: str) -> Callable[..., Any]:
    """
    Import a function.

    Args:
        setting: where the pipeline file names it, for the message.
        path: module:function.

    Raises:
        SettingError: the module or the function cannot be imported, or is no function.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as e:
        raise SettingError(
            f"{setting}: {path} cannot be imported ({type(e).__name__}: {e}): it must be module:function on PYTHONPATH"
        ) from e
    if not callable(found):
        raise SettingError(f"{setting}: {path} is a {type(found).__name__}, no function: name a function")
    function: Callable[..., Any] = found
    return function


def unimportable(pipeline: Pipeline) -> list[str]:
    """Import every function that a pipeline names; return a message for each that cannot be imported."""
    functions = [
        (f"enrich.{number}.function.call", one.function.call)
        for number, one in enumerate(pipeline.enrich)
        if one.function
    ]
    sinks = [(f"sinks.{name}.open", sink.open) for name, sink in pipeline.sinks.items()]
    return [message for setting, path in (*functions, *sinks) if (message := _import_problem(setting, path))]


def _import_problem(setting: str, path: str) -> str | None:
    try:
        import_function(setting, path)
    except SettingError as e:
        return str(e)
    return None
