"""Reading files, folders and projects: every good row comes, every bad one is named, and the rest goes on."""

from __future__ import annotations

import datetime
import decimal
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import DataError
from adapter.readers import Record, Reject, canonical, content_digest, file_format, jsonable, open_source, read_rows


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def records(path: Path, **options: Any) -> list[tuple[int, Any]]:
    return [(item.line, dict(item.data)) for item in read_rows(path, **options) if isinstance(item, Record)]


def rejects(path: Path, **options: Any) -> list[tuple[int, str]]:
    return [(item.line, item.reason) for item in read_rows(path, **options) if isinstance(item, Reject)]


# CSV


def test_csv_with_quotes_embedded_newlines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbfid,text\r\n1,"two\nlines, ""quoted"""\r\n\r\n2,plain\r\n')
    assert records(path) == [(2, {"id": "1", "text": 'two\nlines, "quoted"'}), (5, {"id": "2", "text": "plain"})]


def test_a_row_with_too_few_or_too_many_fields_is_rejected_with_line_and_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert [line for line, _ in records(path)] == [2, 5]
    assert rejects(path) == [(3, "1 fields where the header has 2"), (4, "3 fields where the header has 2")]
    assert [item.raw for item in read_rows(path) if isinstance(item, Reject)] == ["3\n", "4,5,6\n"]


def test_undecodable_bytes_reject_their_row_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a,b\n1,caf\xe9\n2,caf\xc3\xa9\n")
    assert records(path) == [(3, {"a": "2", "b": "café"})]
    assert rejects(path) == [(2, "bytes that are not UTF-8 in column 'b'")]


def test_a_quote_that_is_never_closed_costs_one_row_not_the_rest_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a,b\n1,x\n2,"open\n3,y\n4,z\n')
    assert [data["a"] for _, data in records(path)] == ["1", "3", "4"]
    assert rejects(path) == [(3, "a quote is opened and never closed")]


def test_an_unbalanced_quote_far_from_the_next_one_costs_one_row(tmp_path: Path) -> None:
    lines = [f"{number},x" for number in range(12_000)]
    lines[10] = '10,"x'
    lines[11_000] = '11000,x"'
    path = write(tmp_path / "a.csv", "a,b\n" + "\n".join(lines) + "\n")
    assert len(records(path)) == 11_999
    assert [line for line, _ in rejects(path)] == [12]


def test_columns_may_be_separated_by_tabs_or_semicolons(tmp_path: Path) -> None:
    assert records(write(tmp_path / "a.tsv", "a\tb,c\n1\t2\n")) == [(2, {"a": "1", "b,c": "2"})]
    assert records(write(tmp_path / "b.csv", "a;b\n1;2,5\n")) == [(2, {"a": "1", "b": "2,5"})]


def test_utf_16_with_its_mark_and_old_line_ends_are_read(tmp_path: Path) -> None:
    assert records(write(tmp_path / "a.csv", "a,b\r\n1,é\r\n".encode("utf-16"))) == [(2, {"a": "1", "b": "é"})]
    assert records(write(tmp_path / "b.csv", "a,b\r1,2\r3,4\r")) == [
        (2, {"a": "1", "b": "2"}),
        (3, {"a": "3", "b": "4"}),
    ]


@pytest.mark.parametrize(
    ("content", "why"), [("", "no header"), ("a,a\n1,2\n", "two columns"), (b"a,\xff\n1,2\n", "not UTF-8")]
)
def test_a_header_that_cannot_be_used_is_an_error(tmp_path: Path, content: str | bytes, why: str) -> None:
    with pytest.raises(DataError, match=why):
        list(read_rows(write(tmp_path / "a.csv", content)))


def test_a_column_without_a_name_gets_one(tmp_path: Path) -> None:
    assert records(write(tmp_path / "a.csv", ",text\n0,x\n")) == [(2, {"column_1": "0", "text": "x"})]


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(CELL, CELL.filter(bool)), max_size=8))
def test_what_the_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    assert [(data["a"], data["b"]) for _, data in records(path)] == rows
    assert rejects(path) == []


# JSON


def test_json_lines_with_bad_ones_between(tmp_path: Path) -> None:
    lines = [b'\xef\xbb\xbf{"a": 1}', b"", b'{"a": }', b"[1]", b'{"a": "\xff"}', b'{"a": NaN}', b'{"a": [{"b": null}]}']
    path = write(tmp_path / "a.jsonl", b"\n".join(lines))
    assert records(path) == [(1, {"a": 1}), (7, {"a": [{"b": None}]})]
    assert rejects(path) == [
        (3, "not JSON: Expecting value at character 7"),
        (4, "a JSON list where an object is needed"),
        (5, "bytes that are not UTF-8"),
        (6, "not JSON: NaN is not JSON"),
    ]


def test_a_line_nested_beyond_reason_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'{"a": ' + b"[" * 200_000 + b'}\n{"a": 1}\n')
    assert records(path) == [(2, {"a": 1})]
    assert rejects(path)[0][1] == "not JSON: nested too deeply"


def test_label_studios_task_form_is_unwrapped_and_its_labels_left_behind(tmp_path: Path) -> None:
    tasks = [{"id": 7, "data": {"text": "x"}, "annotations": [{"result": []}]}, {"data": {"text": "y"}, "mine": 1}]
    path = write(tmp_path / "a.json", json.dumps(tasks, indent=2))
    items = [item for item in read_rows(path) if isinstance(item, Record)]
    assert [item.data for item in items] == [{"text": "x"}, {"data": {"text": "y"}, "mine": 1}]
    assert items[0].outer == {"id": 7}


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.dictionaries(st.text(max_size=4), st.one_of(st.text(max_size=30), st.integers()), max_size=3)),
    indent=st.sampled_from([None, 2]),
    step=st.integers(1, 64),
)
def test_a_json_list_is_read_in_pieces_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, Any]], indent: int | None, step: int
) -> None:
    import adapter.readers.lines as lines

    values = [{"k": value} for value in values]
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(values, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_BUFFER", step)
        assert [data for _, data in records(path)] == values


@pytest.mark.parametrize(
    "content", ['[{"a": 1}, {"a": ', '[{"a": 1} {"a": 2}]', '[{"a": 1},]', '[{"a": 1}\n, {"a" 2}]']
)
def test_a_json_list_that_breaks_is_an_error_with_its_line_after_the_good_part(tmp_path: Path, content: str) -> None:
    items = open_source(str(write(tmp_path / "a.json", content)), base=tmp_path).items()
    assert next(items) == Record(1, {"a": 1})
    with pytest.raises(DataError, match=r"a\.json:[12]: .*does not parse"):
        list(items)


def test_elements_of_a_json_list_carry_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '[\n{"a": 1},\n\n 5,\n{"a":\n2}]')
    assert records(path) == [(2, {"a": 1}), (5, {"a": 2})]
    assert rejects(path) == [(4, "a JSON number where an object is needed")]


# gzip, Parquet


def test_gzipped_files_are_read_and_a_cut_one_is_an_error_after_its_good_part(tmp_path: Path) -> None:
    body = b"".join(json.dumps({"n": number, "x": os.urandom(30).hex()}).encode() + b"\n" for number in range(5_000))
    packed = gzip.compress(body)
    assert len(records(write(tmp_path / "a.jsonl.gz", packed))) == 5_000
    assert len(records(write(tmp_path / "b.csv.gz", gzip.compress(b"a\n1\n")))) == 1
    items = open_source(str(write(tmp_path / "c.jsonl.gz", packed[: len(packed) // 2])), base=tmp_path).items()
    good: list[Any] = []
    with pytest.raises(DataError, match="cut off"):
        good.extend(items)
    assert 1_000 < len(good) < 5_000


def parquet(path: Path, columns: dict[str, list[Any]], **options: Any) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, **options)
    return path


def test_parquet_comes_by_row_groups_as_json_values(tmp_path: Path) -> None:
    day = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
    columns = {"n": [1, 2], "f": [0.5, float("nan")], "d": [day, None], "c": [decimal.Decimal("1.50"), None]}
    path = parquet(tmp_path / "a.parquet", {**columns, "l": [[1], []]}, row_group_size=1)
    assert records(path) == [
        (1, {"n": 1, "f": 0.5, "d": "2024-05-01T12:00:00+00:00", "c": 1.5, "l": [1]}),
        (2, {"n": 2, "f": None, "d": None, "c": None, "l": []}),
    ]
    assert open_source(str(path), base=tmp_path).total == 2


def test_parquet_bytes_are_rejected_and_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    assert rejects(parquet(tmp_path / "a.parquet", {"b": [b"x"]})) == [(1, "a bytes has no place in JSON")]
    with pytest.raises(DataError, match="no readable Parquet"):
        read_rows(write(tmp_path / "b.parquet", "PAR1 but no more"))


# folders


def test_a_folder_gives_text_as_content_and_media_as_paths_in_order(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write(root / "b" / "two.txt", "zwei")
    write(root / "b" / "ärger 1.png", b"\x89PNG")
    write(root / "a.md", b"\xef\xbb\xbfone")
    write(root / ".hidden" / "x.txt", "no")
    write(root / ".DS_Store", "no")
    assert [data for _, data in records(root, field="body")] == [
        {"body": "one", "path": "a.md"},
        {"body": "zwei", "path": "b/two.txt"},
        {"body": "hitl-file:b/ärger 1.png", "path": "b/ärger 1.png"},
    ]
    assert rejects(root) == []


def test_a_folder_rejects_what_is_no_task(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write(root / "binary.exe", b"MZ")
    write(root / "empty.png", b"")
    write(root / "latin.txt", b"caf\xe9")
    secret = write(tmp_path / "outside" / "secret.txt", "secret")
    (root / "link.txt").symlink_to(secret)
    (root / "linked_folder").symlink_to(secret.parent)
    (root / "loop.txt").symlink_to(root / "loop.txt")
    os.mkfifo(root / "pipe.txt")
    write(root / "ok.txt", "ok")
    (root / "within.txt").symlink_to(root / "ok.txt")
    assert [data["path"] for _, data in records(root)] == ["ok.txt", "within.txt"]
    reasons = dict(zip([item.raw for item in read_rows(root) if isinstance(item, Reject)], rejects(root), strict=True))
    assert reasons["link.txt"][1] == reasons["linked_folder"][1] == "a link that leads out of the folder"
    assert "neither text nor image" in reasons["binary.exe"][1]
    assert reasons["empty.png"][1] == "the file is empty"
    assert reasons["latin.txt"][1] == "bytes that are not UTF-8"
    assert reasons["pipe.txt"][1] == "neither a file nor a folder"
    assert "cannot be read" in reasons["loop.txt"][1]


def test_files_of_the_same_bytes_have_the_same_content(tmp_path: Path) -> None:
    for name in ("a.png", "deep/b.png"):
        write(tmp_path / "data" / name, b"\x89PNG same")
    first, second = (item for item in read_rows(tmp_path / "data") if isinstance(item, Record))
    assert first.content == second.content != ""
    assert first.data != second.data


# what cannot be read at all


@pytest.mark.parametrize(
    ("path", "options", "why"),
    [
        ("", {}, "no data is named"),
        ("gone.csv", {}, "Beside it: a.csv"),
        ("gone/gone.csv", {}, "not there either"),
        ("notes.docx", {}, "stands for no format"),
        ("a.csv", {"format": "folder"}, "this is a file"),
        (".", {"format": "csv"}, "this is a folder"),
        ("label-studio:x", {}, "names no Label Studio project"),
        ("label-studio:3", {}, "no Label Studio is at hand"),
        ("a\0b.csv", {}, "no usable path|no such file"),
    ],
)
def test_what_cannot_be_read_at_all_is_an_error_with_advice(
    tmp_path: Path, path: str, options: dict[str, Any], why: str
) -> None:
    write(tmp_path / "a.csv", "a\n1\n")
    write(tmp_path / "notes.docx", "x")
    with pytest.raises(DataError, match=why):
        open_source(path, base=tmp_path, **options)


def test_formats_go_by_the_ending(tmp_path: Path) -> None:
    names = {"a.CSV": "csv", "a.tsv.gz": "csv", "a.ndjson": "jsonl", "a.json": "jsonl", "a.parquet": "parquet"}
    assert {name: file_format(tmp_path / name) for name in names} == names
    assert file_format(tmp_path) == "folder"


def test_progress_goes_from_nothing_to_everything(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a\n" + "x" * 50 + "\n" * 1 + "".join(f"{n}\n" for n in range(200_000)))
    source = open_source(str(path), base=tmp_path)
    assert source.fraction() is None
    seen = [source.fraction() for _ in source.items()]
    assert seen[0] is not None
    assert seen[0] < 0.2
    assert seen[-1] == 1.0


# identity


def test_content_is_equal_for_equal_data_whatever_the_order_and_unicode_form() -> None:
    assert content_digest({"a": 1, "b": "é"}) == content_digest({"b": "e\u0301", "a": 1})
    assert content_digest({"id": 1, "a": "x"}, {"id"}) == content_digest({"id": 2, "a": "x"}, {"id"})
    assert content_digest({"a": "1"}) != content_digest({"a": 1})
    assert canonical({"b": 1, "a": [None]}) == '{"a":[null],"b":1}'


def test_values_without_a_place_in_json_are_named() -> None:
    assert jsonable({"a": (1, float("inf"))}) == {"a": [1, None]}
    with pytest.raises(ValueError, match="set"):
        jsonable({"a": {1}})


@pytest.mark.data
def test_the_raw_youtube_file_with_broken_rows_is_read_to_its_end() -> None:
    folder = os.environ.get("HITL_DATA")
    if not folder:
        pytest.skip("HITL_DATA does not name the folder with the data sets")
    path = Path(folder) / "youtube_spam" / "youtube_all_LF.csv"
    good, bad = len(records(path)), len(rejects(path))
    assert good >= 1_941
    assert good + bad >= 1_950
