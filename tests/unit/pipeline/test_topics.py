"""Topics files as people make them: the good rows go in, the others are named by line."""

import json
import os
from pathlib import Path

import pytest

from pipeline.domain import Topic
from pipeline.errors import Rejected
from pipeline.providers.topics import ROWS, TopicsFile, TopicsRead

HEADER = "topic,facts,source_url,niche,language\n"
EXAMPLES = Path(__file__).parents[3] / "examples"


def read(folder: Path, content: str | bytes, name: str = "topics.csv") -> TopicsRead:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return TopicsFile(file).read()


def problems(found: TopicsRead) -> dict[int, str]:
    return {problem.line: problem.reason for problem in found.problems}


def names(found: TopicsRead) -> list[str]:
    return [topic.topic for topic in found.topics]


def test_csv_reads_every_column_in_any_order_with_bom_and_windows_lines(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "\ufeffNiche,facts,Topic,language,source_url\r\nspace,A b.|C d. ,Moon,es,https://e.org\r\n",
    )
    assert found == TopicsRead(
        (Topic("Moon", ("A b.", "C d."), "https://e.org", "space", "es"),), ()
    )


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_of_a_spreadsheet_with_other_delimiters(tmp_path: Path, delimiter: str) -> None:
    text = f"topic{delimiter}facts\nMoon{delimiter}One, two.|Three.\n"
    assert read(tmp_path, text).topics == (Topic("Moon", ("One, two.", "Three.")),)


def test_missing_cells_have_their_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + "Moon,,,,\n").topics == (Topic("Moon"),)


@pytest.mark.parametrize(
    "broken",
    ['"Mars,fact,,,', 'Mars,"fact one|fact two,,,', '"Mars"x,fact,,,', 'Mars,"a ""b,,,'],
)
@pytest.mark.parametrize(
    "after",
    ['Venus,"f, g",,,\nSaturn,f,,,', "Venus,f,,,\nSaturn,f,,,", '"Venus",f,,,\n"Saturn",f,,,'],
)
def test_broken_quote_costs_its_own_row_only(tmp_path: Path, broken: str, after: str) -> None:
    found = read(tmp_path, f"{HEADER}Moon,f,,,\n{broken}\n{after}\n")
    assert names(found) == ["Moon", "Venus", "Saturn"]
    assert list(problems(found)) == [3]
    assert "quotation mark" in problems(found)[3]


def test_quoted_field_over_several_lines_is_one_row(tmp_path: Path) -> None:
    found = read(tmp_path, HEADER + 'Moon,"one,\ntwo|three\n",,,\nMars,f,,,\n')
    assert found.topics[0].facts == ("one, two", "three")
    assert names(found) == ["Moon", "Mars"]


def test_rows_with_problems_are_named_with_line_and_reason(tmp_path: Path) -> None:
    rows = [
        "Moon,f,,,", ",no topic,,,", "too,few", "a,b,c,d,e,f", "", "x" * 501 + ",f,,,",
        "Mars,f,ftp://e.org,,", "MOON!,f,,,", "Venus,f,,,not a language", "Saturn,f,,,",
    ]  # fmt: skip
    found = read(tmp_path, HEADER + "\n".join(rows))
    assert names(found) == ["Moon", "Saturn"]
    said = problems(found)
    assert list(said) == [3, 4, 5, 7, 8, 9, 10]
    for line, words in {3: "empty", 4: "2 columns", 5: "6 columns", 7: "501", 8: "http"}.items():
        assert words in said[line]
    assert "line 2" in said[9]
    assert "language" in said[10]


def test_unknown_column_is_named_with_the_one_meant(tmp_path: Path) -> None:
    assert "'facts'" in problems(read(tmp_path, "topic,fact\nMoon,f\n"))[1]


def test_controls_overrides_and_nul_are_stripped_emoji_and_hebrew_kept(tmp_path: Path) -> None:
    found = read(tmp_path, HEADER + "Mo\x00on\u202e \x1b[31m,f\x07,,,\nירח 🌙,עובדה,,,he\n")
    assert names(found) == ["Moon [31m", "ירח 🌙"]
    assert found.topics[0].facts == ("f",)


def test_400_character_topic_goes_in(tmp_path: Path) -> None:
    assert names(read(tmp_path, HEADER + "x" * 400 + ",f,,,\n")) == ["x" * 400]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n \n", "empty"),
        (HEADER.encode(), "no topics"),
        (b"Moon,It is far.\n", "first line must name the columns"),
        (b"topic,facts,topic\nMoon,f,x\n", "twice"),
        (b"topic\nMoon\nCaf\xe9\n", r"line 3: byte 0xE9 is not UTF-8"),
        ("topic\nMoon\n".encode("utf-16"), "UTF-16"),
        (b"x" * 10_000_001, "10 MB"),
    ],
)
def test_unusable_files_say_what_to_do(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        read(tmp_path, content)


def test_missing_file_folder_and_pipe_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no topics file"):
        TopicsFile(tmp_path / "none.csv").read()
    with pytest.raises(Rejected, match="not a file"):
        TopicsFile(tmp_path).read()
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(Rejected, match="not a file"):
        TopicsFile(tmp_path / "pipe.csv").read()


def test_more_rows_than_the_limit_are_reported(tmp_path: Path) -> None:
    found = read(tmp_path, "topic\n" + "\n".join(f"topic {i}" for i in range(ROWS + 5)))
    assert len(found.topics) == ROWS
    assert list(problems(found)) == [ROWS + 2]


def test_json_takes_lists_and_bar_texts_and_names_lines(tmp_path: Path) -> None:
    text = """{"topics": [
      {"topic": "Moon", "facts": ["A.", "B."], "language": "en"},
      {"topic": "Mars", "facts": "A.|B."},
      {"facts": ["A."]},
      "just a text",
      {"topic": 5},
      {"topic": "Venus", "facts": [1]},
      {"topic": "Saturn\\ud800", "fact": "typo"}
    ]}"""
    found = read(tmp_path, text, "topics.json")
    assert names(found) == ["Moon", "Mars", "Saturn"]
    assert found.topics[1].facts == ("A.", "B.")
    assert list(problems(found)) == [4, 5, 6, 7, 8]
    assert "'facts'?" in problems(found)[8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"topic": "Moon"},\n {"topic": ]', "line 2, column 12"),
        ('{"title": []}', "list of objects"),
        ('[{"topic": NaN}]', "NaN"),
        ("[" * 100_000, "JSON"),
        ("[]", "no topics"),
    ],
)
def test_unusable_json_is_a_clear_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        read(tmp_path, text, "topics.json")


def test_rss_gives_sentences_without_html(tmp_path: Path) -> None:
    feed = b"""<?xml version="1.0" encoding="ISO-8859-1"?>
<rss version="2.0"><channel><language>fr-fr</language>
<item><title>Caf\xe9 &amp; th\xe9</title><link>https://e.org/1</link><description>&lt;p&gt;One fact
 is &lt;b&gt;here&lt;/b&gt;&lt;/p&gt;&lt;script&gt;evil()&lt;/script&gt;&lt;p&gt;Two has 3.5 parts.
 Short.&lt;/p&gt;</description></item>
<item><description>No title at all.</description></item>
</channel></rss>"""
    found = read(tmp_path, feed, "feed.xml")
    assert found.topics == (
        Topic(
            "Café & thé",
            ("One fact is here.", "Two has 3.5 parts."),
            "https://e.org/1",
            None,
            "fr-fr",
        ),
    )
    assert problems(found) == {6: "the entry has no title"}


def test_atom_is_read(tmp_path: Path) -> None:
    feed = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><entry><title>Mond</title>
<link rel="self" href="https://e.org/s"/><link href="https://e.org/m"/>
<summary>Der Mond ist weit weg.</summary></entry></feed>"""
    topic = Topic("Mond", ("Der Mond ist weit weg.",), "https://e.org/m", None, "de")
    assert read(tmp_path, feed, "feed.atom").topics == (topic,)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    "<rss><channel><item><title>&b;</title></item></channel></rss>"
)


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        (BOMB, "document type"),
        ('<!DOCTYPE r SYSTEM "file:///etc/passwd"><rss/>', "document type"),
        ("<rss><channel><item>", "line 1"),
        ("<html></html>", "neither RSS nor Atom"),
        ("<rss></rss>", "without entries"),
        ('<?xml version="1.0" encoding="wat"?><rss/>', "XML"),
    ],
)
def test_hostile_and_broken_feeds_are_refused(tmp_path: Path, feed: str, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        read(tmp_path, feed, "feed.rss")


async def test_source_refuses_a_file_without_a_usable_topic(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + ",f,,,\n")
    with pytest.raises(Rejected, match="line 2"):
        await TopicsFile(tmp_path / "t.csv").topics()


@pytest.mark.parametrize(
    ("name", "count"), [("topics.csv", 24), ("topics.json", 4), ("topics.xml", 2)]
)
async def test_examples_are_clean(name: str, count: int) -> None:
    source = TopicsFile(EXAMPLES / name)
    found = source.read()
    assert (len(found.topics), found.problems) == (count, ())
    assert source.name == "custom"
    assert tuple(offered.topic for offered in await source.topics()) == found.topics
    assert all(len(topic.facts) >= 4 and topic.source_url for topic in found.topics)


def test_examples_json_is_json() -> None:
    assert json.loads((EXAMPLES / "topics.json").read_text(encoding="utf-8"))
