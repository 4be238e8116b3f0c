"""Links out of docs/: the files of the repository that pages point to become pages of the site themselves.

So the same link works in the repository and on the site, wherever that is served. A folder becomes a list of its
files, Markdown stays Markdown, other text is shown as code.
"""

import os
import re
from pathlib import Path

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)#\s:]+)(#[^)\s]*)?\)")
SHOWN = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".css": "css", "": "text"}
HIDDEN = "---\nsearch:\n  exclude: true\n---\n"


def on_files(files, config):
    """Add a page for every file and folder outside docs/ that a page, or a page added so, links to."""
    waiting = [(f"docs/{file.src_uri}", file.content_string) for file in files.documentation_pages()]
    while waiting:
        origin, text = waiting.pop()
        for target in {_target(origin, match[1]) for match in LINK.finditer(text)}:
            if target.startswith("docs/") or not (ROOT / target).exists() or files.get_file_from_path(_uri(target)):
                continue
            content = _content(target)
            files.append(File.generated(config, _uri(target), content=content, inclusion=InclusionLevel.NOT_IN_NAV))
            if target.endswith(".md") or (ROOT / target).is_dir():
                waiting.append((_origin(_uri(target)), content))
    return Files(list(files))


def on_page_markdown(markdown, page, config, files):
    """Turn links of the repository into links of the site."""
    origin = _origin(page.file.src_uri)
    here = os.path.dirname(page.file.src_uri)

    def turned(match):
        target = _target(origin, match[1])
        uri = target.removeprefix("docs/") if target.startswith("docs/") else _uri(target)
        if files.get_file_from_path(uri) is None:
            return match[0]
        return f"]({os.path.relpath(uri, here or '.')}{match[2] or ''})"

    return LINK.sub(turned, markdown)


def _target(origin: str, link: str) -> str:
    """The path below the repository that a link in the file ``origin`` means."""
    return os.path.normpath(os.path.join(os.path.dirname(origin), link))


def _uri(target: str) -> str:
    """Where the page of a file or folder of the repository lies among the site's sources."""
    if (ROOT / target).is_dir():
        return f"repository/{target}/index.md"
    return f"repository/{target}" if target.endswith(".md") else f"repository/{target}.md"


def _origin(uri: str) -> str:
    return uri.removeprefix("repository/") if uri.startswith("repository/") else f"docs/{uri}"


def _content(target: str) -> str:
    path = ROOT / target
    if path.is_dir():
        names = sorted(p.name for p in path.iterdir() if p.suffix in (".md", ".py", ".yaml"))
        return f"{HIDDEN}# {target}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"{HIDDEN}# {target}\n\n`````{SHOWN.get(path.suffix, 'text')}\n{text}\n`````\n"
