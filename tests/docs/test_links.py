"""Links lead somewhere: to a file that is there, and to a heading that it has."""

import re

import pytest

from tests.docs.pages import PAGES, ROOT, prose_of

_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^()\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


def anchors_of(page):
    """As GitHub makes them: small letters, no punctuation, hyphens for blanks, numbers for repetitions."""
    found = []
    for match in _HEADING.finditer(prose_of(page)):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match["title"]).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        again = found.count(anchor)
        found.append(f"{anchor}-{again}" if again else anchor)
    return found


def faults_of(page):
    text = re.sub(r"`[^`\n]*`", "", prose_of(page))
    for match in _LINK.finditer(text):
        target = match["target"]
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        if not path.exists():
            yield f"{target}: there is no {file}"
        elif anchor and anchor not in anchors_of(str(path.resolve().relative_to(ROOT))):
            yield f"{target}: there is no such heading"


@pytest.mark.parametrize("page", PAGES)
def test_links_of(page):
    assert list(faults_of(page)) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_somebody_links_to(page):
    name = page.removeprefix("docs/")
    if name.startswith("decisions/"):
        return  # README names their folder.
    assert f"](docs/{name})" in prose_of("README.md")


def test_the_glossary_is_in_order():
    text = prose_of("docs/glossary.md")
    words = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    index = re.findall(r"\]\(#([\w-]+)\)", text.split("###")[0])
    assert sorted(index) == sorted(word.lower().replace(" ", "-") for word in words)
    for entry in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        word, said = entry.split("\n", 1)
        assert len(said.split()) < 70, f"{word}: more than a sentence or two"


def test_faults_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.docs.pages.ROOT", tmp_path)
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "a.md").write_text(
        "# The `title`, and more\n[1](#the-title-and-more) [2](#the-title) [3](b.md) [4](b.md#x)\n"
        "![5](c.png)\n"
        "```text\n# x\n```\n`[6](no.md)` [7](a.md#twice-1)\n## Twice\n## Twice\n[8](https://example.org/no)\n"
    )
    (tmp_path / "b.md").write_text("# B\n")
    assert list(faults_of("a.md")) == [
        "#the-title: there is no such heading",
        "b.md#x: there is no such heading",
        "c.png: there is no c.png",
    ]
