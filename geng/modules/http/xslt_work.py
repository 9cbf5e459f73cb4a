"""XML parsed and transformed by lxml, which is only imported where it is needed: no network, no files but those allowed.

nginx: ngx_http_xslt_filter_module.c, which uses libxml2 and libxslt as lxml does
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

XSL = "{http://www.w3.org/1999/XSL/Transform}"
ENTITIES_URL = "geng:entities"

#: What may stand before a document type, up to where its external subset is named.
_DOCTYPE = re.compile(
    rb"(?P<before>(?:\xef\xbb\xbf)?(?:\s+|<\?.*?\?>|<!--.*?-->)*<!DOCTYPE\s+[^\s>\[]+)"
    rb"""(?:\s+(?:PUBLIC\s*(?:"[^"]*"|'[^']*')|SYSTEM)\s*(?:"[^"]*"|'[^']*'))?""",
    re.DOTALL,
)


class Failed(Exception):
    """The document cannot be transformed; *lines* is what the log gets."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines


class Entities:
    """The entities that a DTD declares, as text of an external subset."""

    def __init__(self, path: str) -> None:
        """Raises ValueError."""
        from lxml import etree

        try:
            with open(path, "rb") as file:
                dtd = etree.DTD(file)
        except (OSError, etree.LxmlError) as error:
            raise ValueError(str(error)) from None
        self.text = "\n".join(
            f'<!ENTITY {entity.name} "{_quoted(entity.content)}">'
            for entity in dtd.iterentities()
            if entity.content is not None
        )

    def __repr__(self) -> str:
        return f"<Entities {len(self.text)} characters>"


def _quoted(content: str) -> str:
    """*content* as an entity's value: what it means in one is written as its number."""
    return "".join(f"&#{ord(ch)};" if ch in '&%"' or ord(ch) > 126 else ch for ch in content)


class Sheet:
    """A compiled stylesheet, and what its xsl:output says: media type, encoding, method; "" where it says nothing."""

    def __init__(self, path: str) -> None:
        """Raises ValueError."""
        from lxml import etree

        control = etree.XSLTAccessControl(write_file=False, create_dir=False, read_network=False, write_network=False)
        try:
            tree = etree.parse(path, etree.XMLParser(no_network=True, resolve_entities=True, load_dtd=True))
            self.transform = etree.XSLT(tree, access_control=control)
        except (OSError, etree.LxmlError) as error:
            raise ValueError(str(error)) from None
        self.media_type = _output(tree, "media-type")
        self.encoding = _output(tree, "encoding")
        self.method = _output(tree, "method")

    def __repr__(self) -> str:
        return f"<Sheet {self.method or 'any method'} {self.media_type} {self.encoding}>"


def _output(tree: Any, attribute: str) -> str:
    """What xsl:output says in a stylesheet, or else in those that it imports."""
    told = [element.get(attribute) for each in _included(tree, 0) for element in each.getroot().findall(XSL + "output")]
    told = [text for text in told if text]
    if told:
        return str(told[-1])
    for each in _included(tree, 0):
        for element in each.getroot().findall(XSL + "import")[::-1]:
            imported = _beside(each, element)
            found = _output(imported, attribute) if imported is not None else ""
            if found:
                return found
    return ""


def _included(tree: Any, depth: int) -> Iterator[Any]:
    """*tree*, and the stylesheets that it includes."""
    yield tree
    for element in tree.getroot().findall(XSL + "include") if depth < 50 else ():
        included = _beside(tree, element)
        if included is not None:
            yield from _included(included, depth + 1)


def _beside(tree: Any, element: Any) -> Any:
    """The stylesheet that an xsl:include or xsl:import names."""
    from lxml import etree

    path = os.path.join(os.path.dirname(tree.docinfo.URL or ""), element.get("href", ""))
    try:
        return etree.parse(path, etree.XMLParser(no_network=True))
    except (OSError, etree.LxmlError):
        return None  # libxslt could not read it either, and has said so


def check_parser() -> None:
    """Raise ValueError where the parser in use cannot be kept from reading files that a document names."""
    probe = f'<!DOCTYPE a [<!ENTITY file SYSTEM "file://{os.path.abspath(__file__)}">]><a>&file;</a>'
    try:
        document, _ = parse(probe.encode("utf-8", "surrogateescape"), None, False)
    except Failed as failed:
        raise ValueError("; ".join(failed.lines)) from None
    if document.getroot().text:
        raise ValueError("external entities are read")


def parse(data: bytes, entities: Entities | None, external: bool) -> tuple[Any, list[tuple[str, str]]]:
    """The document, and (name, system identifier) of the external entities that were left out. Raises Failed."""
    from lxml import etree

    class Resolver(etree.Resolver):
        def resolve(self, url: str | None, public: str | None, context: Any) -> Any:
            if entities is not None and url == ENTITIES_URL:
                return self.resolve_string(entities.text, context)
            if external:
                return None  # the parser knows how, and that there is no network
            return self.resolve_string("", context)  # resolve_empty() lets it read the file

    if entities is not None:
        data = _DOCTYPE.sub(rb'\g<before> SYSTEM "%s"' % ENTITIES_URL.encode(), _ascii_compatible(data), count=1)
    parser = etree.XMLParser(load_dtd=entities is not None, no_network=True, resolve_entities=True)
    parser.resolvers.add(Resolver())
    try:
        document = etree.fromstring(data, parser).getroottree()
    except etree.XMLSyntaxError as error:
        # the exception's own log has what went wrong in every document before, too
        lines = [f'libxml2 error: "{entry.message.rstrip()}"' for entry in parser.error_log]
        raise Failed(*lines, f"xmlParseChunk() failed, error:{error.code}") from None
    except (etree.LxmlError, ValueError) as error:
        raise Failed(f'libxml2 error: "{error}"', "not well formed XML document") from None
    dtd = document.docinfo.internalDTD
    if external or dtd is None:
        return document, []
    return document, [(one.name, one.system_url) for one in dtd.iterentities() if one.system_url]


def _ascii_compatible(data: bytes) -> bytes:
    """Documents in UTF-16 become UTF-8, so that their document type can be found."""
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data
    try:
        text = data.decode("utf-16")
    except UnicodeDecodeError:
        return data  # the parser will say what is wrong with it
    return re.sub(r"""^(<\?xml[^>]*?)\s+encoding\s*=\s*("[^"]*"|'[^']*')""", r"\1", text).encode()


def transform(document: Any, sheets: list[tuple[Sheet, dict[str, Any]]]) -> tuple[bytes, bool]:
    """(what the last of *sheets* makes, whether it is HTML); each has its parameters. Raises Failed."""
    from lxml import etree

    for sheet, params in sheets:
        try:
            document = sheet.transform(document, **params)
        except (etree.LxmlError, ValueError) as error:
            raise Failed(*(f'libxml2 error: "{line}"' for line in str(error).splitlines()[:10]),
                         "xsltApplyStylesheet() failed") from None  # fmt: skip
    method = sheets[-1][0].method
    root = document.getroot()
    html = method == "html" or (not method and root is not None and str(root.tag).lower() == "html")
    made = bytes(document)
    if not made:
        raise Failed("xsltSaveResultToString() returned zero-length result")
    return made, html


def string_param(text: str) -> Any:
    """*text* as the value of a parameter, where otherwise it would be an XPath expression."""
    from lxml import etree

    return etree.XSLT.strparam(text)
