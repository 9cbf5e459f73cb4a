"""`python -m geng` is the command `geng`."""

from geng.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
