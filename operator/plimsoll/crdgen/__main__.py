"""`python -m plimsoll.crdgen`: write every generated file of the checkout."""

from __future__ import annotations

from plimsoll.crdgen.files import ROOT, generated


def main() -> None:
    for path, text in generated().items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text() != text:
            target.write_text(text)
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
