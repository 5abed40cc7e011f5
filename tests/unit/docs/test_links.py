"""Nothing leads nowhere, and every page can be found."""

from __future__ import annotations

import re

from tests.unit.docs.pages import CHECKOUT, DOCS, anchors, links, name, pages, rows, section


def test_every_link_leads_to_a_page_and_to_a_heading_there() -> None:
    local = [link for page in pages() for link in links(page) if link.is_local]
    assert len(local) > 60, "the search for links has gone blind"

    lost = [str(link) for link in local if not link.path.exists()]
    astray = [
        str(link)
        for link in local
        if link.anchor
        and link.path.suffix == ".md"
        and link.path.exists()
        and link.anchor not in anchors(link.path)
    ]

    assert (lost, astray) == ([], [])


def test_every_page_can_be_reached_from_the_index() -> None:
    # Given the pages that the index leads to, directly or by way of others
    reached, ahead = set(), [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached and page.exists() and page.suffix == ".md":
            reached.add(page)
            ahead += [link.path for link in links(page) if link.is_local]

    # Then no page of the documentation is left over
    assert {name(page) for page in DOCS.rglob("*.md")} - {name(page) for page in reached} == set()


def test_the_readme_leads_to_the_index_the_tutorial_and_the_simulator() -> None:
    targets = {link.target for link in links(CHECKOUT / "README.md")}

    assert {"docs/index.md", "docs/tutorial/first-trio.md", "docs/reference/simulator.md"} <= targets


def test_the_readme_leads_to_the_licence_and_to_how_to_take_part() -> None:
    targets = {link.target for link in links(CHECKOUT / "README.md")}

    assert {"LICENSE", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"} <= targets


def test_pictures_are_small() -> None:
    pictures = list((DOCS / "images").glob("*"))

    assert [name(picture) for picture in pictures if picture.stat().st_size > 200_000] == []


def test_decision_records_are_numbered_and_whole() -> None:
    records = sorted((DOCS / "decisions").glob("0*.md"))

    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        words = record.read_text()
        parts = ("**Context.**", "**Choice.**", "**Consequence.**")
        assert re.search(r"^Date: \d{4}-\d\d-\d\d\. Status: \w+", words, re.MULTILINE), record.name
        assert [part for part in parts if part not in words] == [], record.name


def test_the_index_of_decisions_has_every_record_with_its_title_date_and_status() -> None:
    told = []
    for record in sorted((DOCS / "decisions").glob("*.md")):
        if record.name == "README.md":
            continue
        words = record.read_text()
        title = words.splitlines()[0].removeprefix("# ")
        date, status = re.findall(r"^Date: (\S+)\. Status: (.+)\.$", words, re.MULTILINE)[0]
        told.append((f"[{title}]({record.name})", date, status))

    listed = rows("docs/decisions/README.md", "Decision records")

    assert [(record, date, status) for record, _, date, status in listed] == told
    assert all(choice for _, choice, *_ in listed)


def test_every_promise_has_an_honest_word_for_today() -> None:
    page = "docs/explanation/promises.md"
    table = rows(page, "Promises")

    assert [row[0] for row in table] == [f"P{number}" for number in range(1, 12)]
    assert {re.split(r"\W", row[-1])[0] for row in table} <= {"tested", "partly", "later"}


def test_the_changelog_has_a_place_for_what_comes() -> None:
    assert "### Added" in section("CHANGELOG.md", "Unreleased")


def test_no_folder_of_one_machine_is_named() -> None:
    folders = re.compile(r"(?<![\w.<>$}:/-])/(?:work|root|home|tmp)/")

    assert [name(page) for page in pages() if folders.search(page.read_text())] == []
