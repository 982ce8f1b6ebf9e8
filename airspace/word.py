"""Word files (docx) by hand: a heading, paragraphs and one table, as minimal Office Open XML (ECMA-376), the same bytes for the same text."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_TYPES = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)
_WIDTHS = (700, 3000, 5300)  # twentieths of a point; together the text width of an A4 page with margins of 1 inch
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that the same text is the same file


def document(title: str, paragraphs: Sequence[str], rows: Sequence[Sequence[str]], closing: Sequence[str] = ()) -> bytes:
    """A docx: a centred title, paragraphs, a table whose first row is its head, and closing paragraphs to the right."""
    body = [_paragraph(title, size=36, bold=True, align="center")]
    body += [_paragraph(text) for text in paragraphs]
    if rows:
        body.append(_table(rows))
    body += [_paragraph(text, align="right") for text in closing]
    page = '<w:sectPr><w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1440" w:right="1440" w:bottom="1440" w:left="1440"/></w:sectPr>'
    xml = (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:document xmlns:w="{_W}"><w:body>'
        f"{''.join(body)}{page}</w:body></w:document>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("[Content_Types].xml", _TYPES), ("_rels/.rels", _RELATIONS), ("word/document.xml", xml)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.encode(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _paragraph(text: str, *, size: int = 24, bold: bool = False, align: str = "left") -> str:
    look = f'<w:rPr><w:rFonts w:eastAsia="仿宋"/>{"<w:b/>" if bold else ""}<w:sz w:val="{size}"/></w:rPr>'
    lines = [f'<w:t xml:space="preserve">{escape(_printable(line))}</w:t>' for line in text.split("\n")]
    return f'<w:p><w:pPr><w:jc w:val="{align}"/></w:pPr><w:r>{look}{"<w:br/>".join(lines)}</w:r></w:p>'


def _table(rows: Sequence[Sequence[str]]) -> str:
    edges = "".join(
        f'<w:{side} w:val="single" w:sz="4" w:space="0" w:color="000000"/>'
        for side in ("top", "left", "bottom", "right", "insideH", "insideV")
    )
    grid = "".join(f'<w:gridCol w:w="{w}"/>' for w in _WIDTHS[: len(rows[0])])
    lines = "".join(
        f"<w:tr>{''.join(_cell(c, w, bold=not i) for c, w in zip(row, _WIDTHS, strict=False))}</w:tr>"
        for i, row in enumerate(rows)
    )
    return f"<w:tbl><w:tblPr><w:tblBorders>{edges}</w:tblBorders></w:tblPr><w:tblGrid>{grid}</w:tblGrid>{lines}</w:tbl>"


def _cell(text: str, width: int, *, bold: bool) -> str:
    return f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/></w:tcPr>{_paragraph(text, size=21, bold=bold)}</w:tc>'


def _printable(text: str) -> str:
    """What XML 1.0 may hold."""
    return "".join(c for c in text if c in "\t" or ord(c) >= 0x20)
