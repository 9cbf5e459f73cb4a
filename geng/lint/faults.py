"""The pages about what is reported without being a check: what nginx refuses, or warns of."""

from __future__ import annotations

from dataclasses import dataclass

from geng.lint import ignores, validity, values
from geng.lint.checks import examples
from geng.lint.model import page


@dataclass(frozen=True, slots=True)
class Fault:
    """*summary* in a line, *explanation* in some; *bad* is reported, *good* is not."""

    name: str
    summary: str
    explanation: str
    bad: str
    good: str
    severity: str = "error"

    def page(self) -> str:
        """The documentation that `--explain` shows."""
        return page(self.name, self.severity, self.summary, self.explanation, self.bad, self.good)


ALL = (
    Fault(
        validity.SYNTAX,
        "what stands here is not the language of nginx.conf",
        """
A directive ends with `;`, a block stands between `{` and `}`, a text with spaces or braces stands in quotes. Reading goes
on behind the fault, as far as that can be guessed; what follows from it is not reported.
""",
        examples.server("location ~ ^/[0-9]{4}$ {\n    return 204;\n}"),
        examples.server('location ~ "^/[0-9]{4}$" {\n    return 204;\n}'),
    ),
    Fault(
        validity.UNKNOWN,
        "no module of nginx has this directive",
        """
It is misspelt, or of a module that has to be built in or loaded. Names that are near are offered, and the module is named
where it is a known one. With `load_module` for it in the file this is a warning: geng has no such module.
""",
        "events {}\nhttp {\n    gzpi on;\n}\n",
        "events {}\nhttp {\n    gzip on;\n}\n",
    ),
    Fault(
        validity.MISPLACED,
        "the directive may not stand at this level",
        "The report says at which levels it may.\n",
        "events {}\nhttp {\n    proxy_pass http://127.0.0.1:8080;\n}\n",
        examples.location("proxy_pass http://127.0.0.1:8080;"),
    ),
    Fault(
        validity.ARGUMENTS,
        "a wrong number of arguments, or a block too many or too few",
        "Often the `;` of the line is missing, and the next directive has become an argument: then `--fix` puts it.\n",
        "events {}\nhttp {\n    sendfile on off;\n}\n",
        "events {}\nhttp {\n    sendfile on;\n}\n",
    ),
    Fault(
        validity.MISSING,
        "a file that an include names is not there",
        """
nginx refuses it, unless the name is a pattern. Names are relative to the folder of the main file, or to `--prefix`. In a
fragment this is a note, for the folder is not known.
""",
        "events {}\nhttp {\n    include no-such-folder/no-such-file.conf;\n}\n",
        "events {}\nhttp {\n    include no-such-folder/*.conf;\n}\n",
    ),
    Fault(
        values.VALUE,
        "nginx refuses the value, or what it means together with others",
        "The words are nginx's own: the compiler of the server itself has read the file, and went on behind the fault.\n",
        "events {}\nhttp {\n    client_max_body_size 10q;\n}\n",
        "events {}\nhttp {\n    client_max_body_size 10m;\n}\n",
    ),
    Fault(
        values.WARNS,
        "nginx starts, and warns of this",
        "The words are nginx's own.\n",
        "events {}\nhttp {\n    server {\n        allow 10.0.0.1/8;\n        deny all;\n    }\n}\n",
        "events {}\nhttp {\n    server {\n        allow 10.0.0.0/8;\n        deny all;\n    }\n}\n",
        "warning",
    ),
    Fault(
        values.ENVIRONMENT,
        "nginx would refuse this on the machine where geng lint runs",
        "Certificates and users that are not here may be there where the file is used: only with `--environment`.\n",
        "user no-such-user-here;\nevents {}\n",
        "events {}\n",
        "note",
    ),
    Fault(
        ignores.IGNORE,
        "a comment for geng lint that does not do what it wants",
        "It names no check, or one that does not exist, or gives no reason: it has no effect.\n",
        "events {}\nhttp {\n    server_tokens on; # geng-lint: ignore version_disclosure\n}\n",
        "events {}\nhttp {\n    server_tokens on; # geng-lint: ignore version_disclosure it is asked for by the tests\n}\n",
        "warning",
    ),
)
