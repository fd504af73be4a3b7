"""What is done around Zensical: links that lead out of docs/, and what the console's policy forbids."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from documented import ROOT


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """deploy/docs/build.py, imported."""
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "deploy" / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("upgrading.md", "[C](../CHANGELOG.md)", "[C](changelog.md)"),
        ("changelog.md", "[c](docs/console.md#who-may-look)", "[c](console.md#who-may-look)"),
        ("deploy.md", "[R](../README.md#point-it-at-your-broker)", "[R](start.md)"),
        ("decisions/0001-one-thread.md", "[C](../../CONTRIBUTING.md#formats)", "[C](../contributing.md#formats)"),
        ("training.md", "[`examples/`](examples) and [x](https://x.example)", "`examples/` and [x](https://x.example)"),
        ("training.md", "![a picture](images/loss.png) [b](#below)", "![a picture](images/loss.png) [b](#below)"),
        ("training.md", "    [C](../CHANGELOG.md) in code\n", "    [C](../CHANGELOG.md) in code\n"),
    ],
)
def test_links_that_lead_out_of_the_pages_are_mended(build: ModuleType, page: str, text: str, expected: str) -> None:
    """To the site's page of what lies beside; to words where there is none; code stays as it is."""
    assert build.mend_links(text, page) == expected


def test_inline_scripts_become_files_and_alignment_a_class(build: ModuleType) -> None:
    """The same script of two pages is one file; data for scripts are none."""
    kept: dict[str, str] = {}
    data = '<script id="__config" type="application/json">{}</script>'
    html = f'<script>go(".")</script>{data}<td style="text-align: right;">1</td>'

    first = build.take_out(html, depth=0, kept=kept)
    second = build.take_out(html, depth=1, kept=kept)

    ((name, script),) = kept.items()
    assert script == 'go(".")'
    assert first == f'<script src="{name}"></script>{data}<td class="to-right">1</td>'
    assert second.startswith(f'<script src="../{name}">')
    assert build.INLINE.findall(first) == []
    assert build.INLINE.findall('<p style="color: red">') != []
