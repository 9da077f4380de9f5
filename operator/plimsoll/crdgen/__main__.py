"""`python -m plimsoll.crdgen [ROOT]`: write every generated file below ROOT (default: the checkout)."""

from __future__ import annotations

import sys
from pathlib import Path

from plimsoll.crdgen.files import generated


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[3]
    for path, text in generated().items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text() != text:
            target.write_text(text)
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
