"""
Hooks of MkDocs: the site is made of the repository's Markdown as GitHub shows it.

Pages outside docs/, such as the README, become pages of the site. A link to any other file of the repository leads to a
page with its text, so that every link works on the site too, and `mkdocs build --strict` checks all of them.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security-policy.md",
}
"""Pages outside docs/, by their name in the site."""
NOTEBOOK = "docs/examples/gold.ipynb"
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".sql": "sql", ".json": "json", ".toml": "toml"}
IMAGES = (".png", ".svg", ".webp", ".gif", ".jpg")
FENCE = "~~~~~~"
LISTED = {"adr": "Decisions", "benchmarks": "Benchmark results"}
"""Folders of docs/ without a page of their own that lists them."""
CODE = "# Code\n\nPackages of the core; [architecture](../architecture.md) says which may import which.\n"
HIDDEN = "---\nsearch:\n  exclude: true\n---\n\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no Markdown of docs/."""
    texts = {f"docs/{file.src_uri}": file.content_string for file in files if file.is_documentation_page()}
    texts |= {name: (ROOT / name).read_text("utf-8") for name in OUTSIDE}
    pages = {OUTSIDE[name]: texts[name] for name in OUTSIDE} | dict(_code_pages())
    pages["gold-notebook.md"] = notebook(json.loads((ROOT / NOTEBOOK).read_text("utf-8")))
    pages |= {f"{folder}/index.md": _listing(ROOT / "docs" / folder) for folder in LISTED}
    for origin, text in texts.items():
        for target in _repository_files(origin, text):
            pages.setdefault(place(target), source_page(target))
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Let each link lead to where its target is in the site."""
    known = {name: origin for origin, name in OUTSIDE.items()}
    origin = known.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def moved(match: re.Match[str]) -> str:
        path, hash_, anchor = match[2].partition("#")
        target = repository_path(origin, path)
        if target is None:
            return match[0]
        here = posixpath.dirname(page.file.src_uri) or "."
        return f"{match[1]}{posixpath.relpath(place(target), here)}{hash_}{anchor}{match[3]}"

    return LINK.sub(moved, markdown)


def repository_path(origin: str, link: str) -> str | None:
    """
    Return the file or folder of the repository that a page's link names; None for any other link.

    Args:
        origin: the page's file, below the root of the repository.
        link: as it is written in the page, without an anchor.
    """
    if not link or ":" in link:
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
    return path if (ROOT / path).exists() else None


def place(path: str) -> str:
    """Return the name in the site of a file or folder of the repository."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    if path == NOTEBOOK:
        return "gold-notebook.md"
    below_docs = path.removeprefix("docs/")
    if below_docs != path and Path(path).suffix in {".md", *IMAGES}:
        return below_docs
    if (ROOT / path).is_dir():
        return f"{below_docs}/index.md" if below_docs in LISTED else f"source/{path}/index.md"
    return f"source/{path}.md"


def source_page(path: str) -> str:
    """Return a page with the text of a file, or with the names in a folder."""
    found = ROOT / path
    if found.is_dir():
        names = sorted(each.name for each in found.iterdir() if not each.name.startswith((".", "__")))
        return HIDDEN + "\n".join([f"# {path}/", "", *(f"- {name}" for name in names), ""])
    language = LANGUAGES.get(found.suffix, "text")
    return f"{HIDDEN}# {path}\n\n{FENCE}{language}\n{found.read_text('utf-8')}\n{FENCE}\n"


def notebook(document: dict[str, Any]) -> str:
    """Return an executed notebook as Markdown: text, code and the output below it."""
    parts = []
    for cell in document["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"{FENCE}python\n{text}\n{FENCE}")
        for output in cell.get("outputs", ()):
            shown = output.get("text") or output["data"]["text/plain"]
            parts.append(f"{FENCE}text\n{''.join(shown)}\n{FENCE}")
    return "\n\n".join(parts) + "\n"


def _repository_files(origin: str, text: str) -> Iterator[str]:
    """Yield what a page links to outside the site's own pages."""
    for _, link, _ in LINK.findall(text):
        path = repository_path(origin, link.partition("#")[0])
        if path and place(path).startswith("source/"):
            yield path


def _listing(folder: Path) -> str:
    """Return a page that lists the pages of a folder by their titles."""
    lines = []
    for file in sorted(folder.glob("*.md")):
        title = re.search(r"^# (.+)$", file.read_text("utf-8"), re.MULTILINE)
        lines.append(f"- [{title[1] if title else file.name}]({file.name})")
    return "\n".join([f"# {LISTED[folder.name]}", "", *lines, ""])


def _code_pages() -> Iterator[tuple[str, str]]:
    """Yield a page for each package of the core: what is public in its modules, from their docstrings."""
    core = ROOT / "include" / "medallion"
    packages = sorted(folder for folder in core.iterdir() if (folder / "__init__.py").exists())
    links = [f"- [{folder.name}]({folder.name}.md)" for folder in packages]
    yield "api/index.md", "\n".join([CODE, *links, ""])
    for folder in packages:
        files = sorted(file for file in folder.rglob("*.py") if file.name != "__main__.py")
        names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
        yield f"api/{folder.name}.md", "\n\n".join([f"# {folder.name}", *(f"::: {name}" for name in names), ""])
