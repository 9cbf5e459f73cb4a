# What the shell scripts share: the project's own environment in .venv, made at the first use. Sourced, not run.
# shellcheck shell=sh

cd "$(dirname "$0")/.." || exit 1

: "${VENV:=.venv}"          # another folder for the environment
: "${PYTHON:=python3}"      # the interpreter that makes it

# The sources of what is compiled: each has its types beside it.
compiled() {
    find geng -name '*.pxd' | sort | sed 'p; s/pxd$/py/'
}

# What the extra $1 of the geng that is installed asks for, one requirement a line.
extras() {
    "$VENV/bin/python" - "$1" << 'END'
import sys
from importlib.metadata import requires

wanted = f'extra == "{sys.argv[1]}"'
print(*(need.partition(";")[0] for need in requires("geng") or () if wanted in need.replace("'", '"')), sep="\n")
END
}

# Makes the environment and installs geng from this work tree into it, with the extras named ("", "dev"). Again
# only when what is built has changed: a module compiled earlier would be taken in place of its newer source.
environment() {
    build="pure=${GENG_PURE_PYTHON:-0} $(cat setup.py pyproject.toml $(compiled) | cksum)"
    if [ ! -x "$VENV/bin/python" ]; then
        echo "making the environment $VENV ..." >&2
        "$PYTHON" -m venv "$VENV" || {
            echo "no environment: Debian keeps venv in python3-venv (scripts/install-peers installs it)" >&2
            exit 1
        }
    fi
    if [ "$(cat "$VENV/geng-build" 2>/dev/null)" != "$build" ] || [ ! -e "$VENV/geng-extras-$1" ]; then
        if [ "$(cat "$VENV/geng-build" 2>/dev/null)" != "$build" ]; then
            suffix=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
            find geng -name "*$suffix" -exec rm -f {} +
            "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".${1:+[$1]}" || exit 1
            echo "$build" > "$VENV/geng-build"
        else
            extras "$1" | "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r /dev/stdin || exit 1
        fi
        touch "$VENV/geng-extras-$1"
    fi
}
