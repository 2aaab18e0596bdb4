"""The reference of all settings of a pipeline file, from its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
HEAD = """\
# Settings of a pipeline file

Generated from the schema of the code by `docs/generate.py`. Editors complete the same settings from
[pipeline.schema.json](pipeline.schema.json), and `check` reports each mistake with file, field and
fix. Examples are in [pipelines.md](pipelines.md) and [enrichments.md](enrichments.md); settings of a
deployment, such as `AWS_URI`, are in the [README](../README.md#settings).
"""


def page(schema: Schema) -> str:
    """Return the page of a schema: the top of the file first, then each section in the order in which it is named."""
    definitions, done, queue = schema["$defs"], [], [("The file", schema)]
    parts = [HEAD]
    while queue:
        title, section = queue.pop(0)
        parts.append(_section(title, section, definitions))
        for path, name in _sections_below(title, section):
            if name not in done:
                done.append(name)
                queue.append((path, definitions[name]))
    return "\n".join(parts)


def _section(title: str, section: Schema, definitions: Schema) -> str:
    lines = [f"## {title if title == 'The file' else f'`{title}`'}", ""]
    if title != "The file":
        lines += [section.get("description", "").split("\n\n")[0].replace("\n", " "), ""]
    lines += ["| setting | type | default | meaning |", "|---|---|---|---|"]
    required = section.get("required", ())
    for name, setting in section["properties"].items():
        default = "required" if name in required else _default(setting)
        cells = (_type(setting, definitions), default, _meaning(setting, definitions))
        lines.append(f"| `{name}` | {' | '.join(map(_cell, cells))} |")
    return "\n".join([*lines, ""])


def _sections_below(title: str, section: Schema) -> Iterator[tuple[str, str]]:
    """Yield the sections that a section's settings hold: the path of the first setting that holds it, and its name."""
    above = "" if title == "The file" else f"{title}."
    for name, setting in section["properties"].items():
        yield from ((f"{above}{name}", reference) for reference in _references(setting))


def _references(setting: Any) -> Iterator[str]:
    if isinstance(setting, dict):
        if "$ref" in setting:
            yield setting["$ref"].rpartition("/")[2]
        for value in setting.values():
            yield from _references(value)
    elif isinstance(setting, list):
        for value in setting:
            yield from _references(value)


def _type(setting: Schema, definitions: Schema) -> str:
    """Return a setting's type in words."""
    if "$ref" in setting:
        return "a section" if "properties" in definitions[setting["$ref"].rpartition("/")[2]] else "text"
    if "anyOf" in setting:
        names = [_type(each, definitions) for each in setting["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(names))
    if choices := setting.get("enum", [setting["const"]] if "const" in setting else []):
        return ", ".join(f"`{str(choice).lower()}`" for choice in choices)
    return _several(setting, definitions) or WORDS.get(setting.get("type", ""), "any value") + _bounds(setting)


def _several(setting: Schema, definitions: Schema) -> str:
    """Return in words what a list or a mapping holds; nothing for a single value."""
    if setting.get("type") == "array":
        return f"a list of: {_type(setting.get('items', {}), definitions)}"
    if setting.get("type") == "object":
        inner = setting.get("additionalProperties")
        return f"by name: {_type(inner, definitions)}" if isinstance(inner, dict) else "a mapping"
    return ""


def _bounds(setting: Schema) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    found = [f"{word} {setting[name]:,}" for name, word in words.items() if name in setting]
    return f" {' '.join(found)}" if found else ""


def _default(setting: Schema) -> str:
    default = setting.get("default")
    if default is None or default in ([], {}, ""):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, dict):
        return "each its own"
    return f"{default:,}" if isinstance(default, int | float) else f"`{default}`"


def _meaning(setting: Schema, definitions: Schema) -> str:
    """Return a setting's description, else that of the section that it holds."""
    below = next((definitions[name] for name in _references(setting)), {})
    return str(setting.get("description") or below.get("description", "")).replace("\n", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
