"""`python -m backend`, or under torchrun `torchrun -m backend`: see `backend.cli`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
