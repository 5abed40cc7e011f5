"""Write the table of checked samples into the docs: ``python -m tests.contract.document``."""

from __future__ import annotations

from tests.contract.test_samples import DOCS, table

START, END = "<!-- samples -->\n", "\n<!-- /samples -->"


def main() -> None:
    text = DOCS.read_text(encoding="utf-8")
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    DOCS.write_text(f"{head}{START}{table()}{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
