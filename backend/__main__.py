"""`python -m backend`, or under torchrun `torchrun -m backend`: see `backend.cli.commands`."""

from __future__ import annotations

from .cli.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
