"""`server_name` in http{} and stream{}.

nginx: ngx_http_core_module.c (ngx_http_core_server_name), ngx_stream_core_module.c (ngx_stream_core_server_name)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from geng.conf.convert import extending, to_bytes
from geng.errors import Invalid
from geng.http.script import Regex, compile_regex

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

Names = Sequence[tuple[bytes, Regex | None]]

#: of a server without server_name
NAMELESS: Names = [(b"", None)]


@extending
def server_names(cf: Cf, *words: str, have: Names | None = None) -> Names:
    """`server_name name ...`: the names, each with its regular expression, if it is one."""
    return [*(have or ()), *(_name(cf, word) for word in words)]


def _name(cf: Cf, word: str) -> tuple[bytes, Regex | None]:
    if (word[:1] == "*" and (len(word) < 3 or word[1] != ".")) or (word[:1] == "." and len(word) < 2):
        raise Invalid(f'server name "{word}" is invalid')
    if "/" in word:
        cf.warn(f'server name "{word}" has suspicious symbols')
    if word[:1] != "~":
        name = cf.cycle.hostname if word.lower() == "$hostname" else word
        return to_bytes(name).lower(), None
    if len(word) == 1:
        raise Invalid(f'empty regex in server name "{word}"')
    pattern = word[1:]
    return to_bytes(pattern), compile_regex(cf, pattern, caseless=any("A" <= ch <= "Z" for ch in pattern))


def first_name(names: Names) -> bytes:
    """$server_name."""
    name, regex = names[0]
    return b"~" + name if regex is not None else name.removeprefix(b".")


def captures(names: Names) -> bool:
    """Whether the last regular expression among *names* has captures: it must match then even where no server is chosen."""
    regexes = [regex for _, regex in names if regex is not None]
    return bool(regexes) and regexes[-1].pattern.groups > 0
