"""`geng lsp`: a language server for nginx.conf, on the standard input and output. Needs pygls (the extra `lsp`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from geng import __version__
from geng.lint import editing
from geng.lint.model import Finding, Severity

COULD_NOT_RUN = 2


def main(words: Sequence[str]) -> int:
    """Serve until the editor says that it is enough."""
    parser = argparse.ArgumentParser(prog="geng lsp", description="A language server for nginx.conf, for editors to start.")
    parser.add_argument("--stdio", action="store_true", help="the one way there is; the default")
    parser.parse_args(list(words))
    try:
        server = make()
    except ImportError as error:
        sys.stderr.write(f"geng lsp: {error}: pip install 'geng[lsp]'\n")
        return COULD_NOT_RUN
    server.start_io()
    return 0


def make() -> Any:
    """The server with its answers; raises ImportError without pygls."""
    from lsprotocol import types
    from pygls.lsp.server import LanguageServer

    server = LanguageServer("geng", __version__)
    levels = {
        Severity.ERROR: types.DiagnosticSeverity.Error,
        Severity.WARNING: types.DiagnosticSeverity.Warning,
        Severity.NOTE: types.DiagnosticSeverity.Information,
    }

    def diagnostic(finding: Finding) -> types.Diagnostic:
        start, end = (editing.position(finding.document, each) for each in (finding.start, finding.end))
        text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
        span = types.Range(types.Position(*start), types.Position(*end))
        return types.Diagnostic(span, text, levels[finding.severity], finding.check, source="geng")

    def publish(uri: str) -> None:
        document = server.workspace.get_text_document(uri)
        found = [diagnostic(each) for each in editing.findings(document.path, document.source)]
        server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found))

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_COMPLETION)
    def completion(params: types.CompletionParams) -> types.CompletionList:
        document = server.workspace.get_text_document(params.text_document.uri)
        place = (params.position.line, params.position.character)
        made = [
            types.CompletionItem(each.name, detail=each.detail, kind=types.CompletionItemKind.Property)
            for each in editing.suggestions(document.path, document.source, place)
        ]
        return types.CompletionList(is_incomplete=False, items=made)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        document = server.workspace.get_text_document(params.text_document.uri)
        text = editing.described(document.path, document.source, (params.position.line, params.position.character))
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text)) if text else None

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> list[types.Location]:
        document = server.workspace.get_text_document(params.text_document.uri)
        place = (params.position.line, params.position.character)
        start = types.Range(types.Position(0, 0), types.Position(0, 0))
        return [types.Location(uri(name), start) for name in editing.targets(document.path, document.source, place)]

    def uri(path: str) -> str:
        from pygls.uris import from_fs_path

        return from_fs_path(path) or path

    return server
