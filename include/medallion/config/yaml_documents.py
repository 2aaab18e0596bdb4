"""
YAML documents: read them strictly, and find out how a value is spelled in the file.

YAML 1.1 lets a key be repeated (the last one wins) and reads unquoted words like NO as booleans. The first is refused
here; of the second, `scalar_text` lets a message quote what the file says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from include.medallion.errors import SettingError


def load_yaml(file: Path) -> tuple[Any, yaml.Node | None]:
    """
    Read a YAML file.

    Returns:
        The document, and its syntax tree for `scalar_text`; None for an empty file.

    Raises:
        SettingError: the file cannot be read, or repeats a key; one line for each repetition.
    """
    try:
        loader = yaml.SafeLoader(file.read_text("utf-8"))
        root = loader.get_single_node()
        document = loader.construct_document(root) if root else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        hint = ": indent with blanks, since YAML allows no tabs" if r"'\t'" in str(e) else ""
        raise SettingError(f"{file}: cannot be read as YAML{hint}: {e}") from None
    if repeated := list(_repeated_keys(root)):
        raise SettingError("\n".join(f"{file}: {problem}" for problem in repeated))
    return document, root


def scalar_text(root: yaml.Node | None, path: Sequence[int | str]) -> str | None:
    """
    Return how the file spells a value.

    Args:
        root: syntax tree of the document.
        path: keys of mappings and positions in lists, from the root to the value.

    Returns:
        The text of the scalar, without quotes; None if there is no scalar at the path.
    """
    node: yaml.Node | None = root
    for step in path:
        node = _child(node, str(step))
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _child(node: yaml.Node | None, step: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        found: yaml.Node | None = next((value for key, value in node.value if key.value == step), None)
        return found
    if isinstance(node, yaml.SequenceNode):
        return dict(enumerate(node.value)).get(int(step)) if step.isdigit() else None
    return None


def _repeated_keys(root: yaml.Node | None) -> Iterator[str]:
    """Describe each key that a mapping has already, with both lines."""
    todo: list[yaml.Node | None] = [root]
    visited: set[int] = set()
    while todo:
        node = todo.pop()
        if id(node) in visited:  # an alias
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield from _repeated_in(node)
            todo += [part for pair in reversed(node.value) for part in reversed(pair)]
        elif isinstance(node, yaml.SequenceNode):
            todo += reversed(node.value)


def _repeated_in(mapping: yaml.MappingNode) -> Iterator[str]:
    first: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if name in first:
            yield f"line {line}: {key.value} is set again, first in line {first[name]}: remove one of them"
        first.setdefault(name, line)
