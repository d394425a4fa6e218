"""What a browser shows of an HTML document, by inscriptis and lxml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from inscriptis import get_text
from inscriptis.css_profiles import STRICT_CSS_PROFILE
from inscriptis.html_properties import Display, WhiteSpace
from inscriptis.model.canvas import Canvas
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement
from inscriptis.model.tag import CustomHtmlTagHandlerMapping
from inscriptis.model.tag.table_tag import table_end_handler

_NOT_SHOWN = re.compile(r"(?:^|;)\s*display\s*:\s*none\b")
_AS_WRITTEN = re.compile(r"(?:^|;)\s*white-space\s*:\s*pre")


def visible(document: str) -> str:
    """Its text, a line for each block."""
    return str(get_text(document, _config()))


class _Table:
    """A row is a line, unless a cell has several. Columns are not aligned: one wide cell would widen every row.

    Has the face of ``inscriptis.model.table.Table``.
    """

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []

    def add_row(self) -> None:
        self.rows.append([])

    def add_cell(self, cell: Any) -> None:
        if not self.rows:
            self.add_row()
        self.rows[-1].append(cell)

    def get_text(self) -> str:
        return "".join(_row([cell.get_text().strip() for cell in row]) + "\n" for row in self.rows)

    def get_annotations(self, *_: int) -> list[Any]:
        return []


def _row(cells: list[str]) -> str:
    filled = [cell for cell in cells if cell]
    return ("\n" if any("\n" in cell for cell in filled) else "  ").join(filled)


def _start_table(state: Any, _: Mapping[str, str]) -> None:
    state.tags[-1].set_canvas(Canvas())
    state.current_table.append(_Table())


def _style(value: str, element: HtmlElement) -> None:
    """Margins and paddings are left out on purpose: a mail of 300 bytes can ask for a gigabyte of them."""
    value = value.lower()
    if _NOT_SHOWN.search(value):
        element.display = Display.none
    if _AS_WRITTEN.search(value):
        element.whitespace = WhiteSpace.pre


@cache
def _config() -> ParserConfig:
    # A browser leaves a line between paragraphs; Outlook makes a paragraph of each line, and an SMS pays for it.
    css = {**STRICT_CSS_PROFILE, "p": HtmlElement(display=Display.block)}
    tables = CustomHtmlTagHandlerMapping({"table": _start_table}, {"table": table_end_handler})
    config = ParserConfig(css=css, display_links=False, display_images=False, custom_html_tag_handler_mapping=tables)
    config.attribute_handler.attribute_mapping = {"style": _style}
    return config
