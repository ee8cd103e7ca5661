"""Tables as people and spreadsheets write them: read as meant, or refused with the place and the way out."""

import csv
import json
import random
import sys
from dataclasses import replace

import pytest

from emogen.data.records import RecordError, read_records
from emogen.data.tables import METADATA, Columns, good_rows, read_rows, typed
from emogen.emotion import EmotionState

BATCH = Columns({"prompt": str, "emotion": str, "seed": int, "scale": float, "loop": bool}, ("prompt", "emotion"))
GOOD = {"file_name": "a.mp4", "caption": "a ball rolls", "emotion": "fear"}
FACE = {"prompt": "a face", "emotion": "joy"}
COLUMNS = ["file_name", "caption", "emotion", "intensity", "agreement", "label_source", "author"]


def save(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


READ = {
    "plain": ("a.csv", "prompt,emotion\na face,joy\n", [FACE]),
    "CR": ("a.csv", 'prompt,emotion\ra face,joy\r"b, c",fear\r', [FACE, {"prompt": "b, c", "emotion": "fear"}]),
    "CRLF": ("a.csv", "prompt,emotion\r\na face,joy\r\n", [FACE]),
    "cell of lines": ("a.csv", 'prompt,emotion\n"a\r\nb\u2028c",joy\n', [FACE | {"prompt": "a\r\nb\u2028c"}]),
    "semicolons": ("a.csv", "prompt;emotion\na face;joy\n", [FACE]),
    "semicolons and commas": ("a.csv", "prompt;emotion\na face, blue;joy\n", [FACE | {"prompt": "a face, blue"}]),
    "tabs": ("a.csv", "prompt\temotion\na face\tjoy\n", [FACE]),
    "tsv": ("a.tsv", "prompt\temotion\na face\tjoy\n", [FACE]),
    "bars": ("a.csv", "prompt|emotion\na face|joy\n", [FACE]),
    "sep": ("a.csv", "sep=;\r\nprompt;emotion\r\na face;joy\r\n", [FACE]),
    "quoted sep": ("a.csv", '"sep=|"\nprompt|emotion\na face|joy', [FACE]),
    "spaces": ("a.csv", "prompt, emotion \n a face , joy\n", [FACE]),
    "spaces before quotes": ("a.csv", 'prompt, emotion\n "a, face", joy\n', [FACE | {"prompt": "a, face"}]),
    "capitals": ("a.csv", "Prompt, EMOTION \na face,joy\n", [FACE]),
    "blank lines first": ("a.csv", "\n\nprompt,emotion\n\na face,joy\n", [FACE]),
    "UTF-8 mark": ("a.csv", "\ufeffprompt,emotion\na face,joy\n", [FACE]),
    "UTF-16 LE": ("a.csv", b"\xff\xfe" + "prompt,emotion\na face,joy\n".encode("utf-16-le"), [FACE]),
    "UTF-16 BE": ("a.jsonl", b"\xfe\xff" + json.dumps(FACE).encode("utf-16-be"), [FACE]),
    "UTF-32": ("a.jsonl", json.dumps(FACE).encode("utf-32"), [FACE]),
    "U+2028, U+0085": ("a.jsonl", '{"prompt": "a\u2028b\u0085c"}\n', [{"prompt": "a\u2028b\u0085c"}]),
    "JSON with CR": ("a.jsonl", '{"prompt": "a"}\r\r{"prompt": "b"}\r', [{"prompt": "a"}, {"prompt": "b"}]),
    "ndjson": ("a.ndjson", '{"prompt": "a"}\n', [{"prompt": "a"}]),
    "pandas' floats": ("a.csv", "prompt,seed,loop\na,1.0,0.0\n", [{"prompt": "a", "seed": 1, "loop": False}]),
    "pandas' NaN": ("a.csv", "prompt,seed,scale,loop\na,nan,NaN,nan\n", [{"prompt": "a"}]),
    "pandas' index": ("a.csv", ",prompt,seed\n0,a,3\n", [{"prompt": "a", "seed": 3}]),
    "JSON's NaN": ("a.jsonl", '{"prompt": "a", "seed": NaN, "other": NaN}', [{"prompt": "a"}]),
    "numbers as text": ("a.jsonl", '{"prompt": "5", "seed": "7", "scale": "1e-1"}',
                        [{"prompt": "5", "seed": 7, "scale": 0.1}]),
    "digits are text in a CSV": ("a.csv", "prompt,seed\n5,5\n", [{"prompt": "5", "seed": 5}]),
    "yes and no": ("a.csv", "prompt,loop\na,yes\nb,TRUE\nc,0\nd,No\ne,\n",
                   [{"prompt": p, "loop": v} for p, v in zip("abcd", (True, True, False, False), strict=True)]
                   + [{"prompt": "e"}]),
    "unnamed columns that are empty": ("a.csv", "prompt,emotion,,\na face,joy,,\n", [FACE]),
    "a large whole number": ("a.jsonl", '{"prompt": "a", "seed": 123456789012345678901234567890}',
                             [{"prompt": "a", "seed": 123456789012345678901234567890}]),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_what_can_be_meant_in_one_way_is_read(tmp_path, case):
    name, content, expected = READ[case]
    assert [row for _, row in read_rows(save(tmp_path, name, content), BATCH)] == expected


REFUSED = {
    "Latin-1": ("a.csv", "prompt\na\na face é".encode("latin-1"), r"a\.csv: line 3: byte 16 is 0xE9.*CSV UTF-8"),
    "cp1252": ("a.jsonl", '{"prompt": "“a”"}'.encode("cp1252"), r"a\.jsonl: line 1: byte 12 is 0x93.*Windows-1252"),
    "UTF-16 without a mark": ("a.csv", "prompt\na".encode("utf-16-le"), r"a\.csv: byte 1 is zero: UTF-16 without"),
    "cut UTF-16": ("a.csv", b"\xff\xfep\0r", r"a\.csv: byte 4 is not valid UTF-16-LE"),
    "seed 1.7": ("a.csv", "prompt,seed\na,1.7\n", r"a\.csv row 2: 'seed' must be a whole number, not '1\.7'"),
    "seed 1.7 in JSON": ("a.jsonl", '{"prompt": "a", "seed": 1.7}', r"a\.jsonl:1: 'seed' must be a whole number"),
    "seed true": ("a.jsonl", '{"prompt": "a", "seed": true}', r"a\.jsonl:1: 'seed' must be a number, not True"),
    "decimal comma": ("a.csv", 'prompt;scale\na;0,5\n', r"'0,5'; write the decimals after a point"),
    "underscores": ("a.csv", "prompt,seed\na,1_000\n", r"'seed' must be a number, not '1_000'"),
    "inf": ("a.csv", "prompt,scale\na,inf\n", r"'scale' must be a number, not 'inf'"),
    "1e999": ("a.csv", "prompt,scale\na,1e999\n", r"'scale' must be a finite number"),
    "Infinity": ("a.jsonl", '{"prompt": "a", "scale": -Infinity}', r"a\.jsonl:1: -Infinity is no number"),
    "1e999 in JSON": ("a.jsonl", '{"prompt": "a", "other": 1e999}', r"a\.jsonl:1: the number 1e999 is too large"),
    "400 digits": ("a.csv", f"prompt,seed\na,{'9' * 400}\n", r"'seed' must be a number, not '9+\.\.\."),
    "400 digits as a scale": ("a.jsonl", f'{{"scale": {"9" * 400}}}', r"'scale' must be a finite number"),
    "5000 digits": ("a.jsonl", f'{{"seed": {"9" * 5000}}}', r"a\.jsonl:1: .*too many digits"),
    "prompt 5": ("a.jsonl", '{"prompt": 5}', r"a\.jsonl:1: 'prompt' must be text, not 5; put it in quotation marks"),
    "a list": ("a.jsonl", '{"prompt": "a", "emotion": ["joy"]}', r"'emotion' must be text, not \['joy'\]"),
    "maybe": ("a.csv", "prompt,loop\na,maybe\n", r"'loop' must be true or false, not 'maybe'"),
    "2 as a flag": ("a.jsonl", '{"prompt": "a", "loop": 2}', r"'loop' must be true or false, not 2"),
    "a key twice": ("a.jsonl", '{"prompt": "a", "prompt": "b"}', r"a\.jsonl:1: the key 'prompt' stands twice"),
    "a key twice inside": ("a.jsonl", '{"prompt": "a", "x": {"y": 1, "y": 2}}', r"the key 'y' stands twice"),
    "two spellings": ("a.jsonl", '{"prompt": "a", "Prompt": "b"}', r"'prompt' is given twice, in two spellings"),
    "a bomb": ("a.jsonl", '{"prompt": ' + "[" * 100_000, r"a\.jsonl:1: not usable JSON: it is nested too deep"),
    "half a character": ("a.jsonl", r'{"prompt": "\ud83d"}', r"'prompt' holds half a character \(U\+D83D\)"),
    "no JSON": ("a.jsonl", '{"prompt": a}', r"a\.jsonl:1: not valid JSON: .* at column 12"),
    "no object": ("a.jsonl", "[1]", r"a\.jsonl:1: expected an object with prompt, not \[1\]"),
    "indented JSON": ("a.jsonl", '{\n  "prompt": "a"\n}', r"a\.jsonl:1: .*a row is one object on one line"),
    "too many cells": ("a.csv", "prompt,emotion\na,b,joy\n", r"a\.csv row 2: 3 cells under a header of 2; quote cells"),
    "too few cells": ("a.csv", "prompt,emotion,seed\na,joy\n", r"a\.csv row 2: 2 cells under a header of 3"),
    "a cell without a name": ("a.csv", "prompt,,seed\na,x,3\n", r"the cell 'x' is in column 2, which has no name"),
    "a column twice": ("a.csv", "prompt,seed,seed\na,1,2\n", r"a\.csv: the column 'seed' stands in the header twice"),
    "a column in two spellings": ("a.csv", "prompt,Prompt\na,b\n", r"'prompt' stands in the header twice, in two"),
    "no header": ("a.csv", "a face,joy\n", r"the first row must name the columns, with 'prompt' or 'emotion'; it is"),
    "an open quotation mark": ("a.csv", 'prompt\n"a\nb\n', r"a\.csv row 2: not valid CSV .*quotation mark"),
    "a space after a quotation mark": ("a.csv", 'prompt,emotion\n"a" ,joy\n', r"row 2: .*or a space after one"),
    "empty": ("a.csv", "", r"a\.csv: the first row must name"),
    "nothing": ("a.jsonl", "\n \n", r"a\.jsonl: holds no rows"),
    "header alone": ("a.csv", "prompt\n", r"a\.csv: holds no rows"),
    "a spreadsheet's own form": ("a.xlsx", b"PK", r"a\.xlsx: a table is a \.jsonl file .*, not '\.xlsx'"),
    "no ending": ("table", "x", r"not 'a file without ending'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_refused_with_the_place(tmp_path, case):
    name, content, message = REFUSED[case]
    with pytest.raises(RecordError, match=message):
        list(good_rows(save(tmp_path, name, content), BATCH))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    (tmp_path / "a.csv").mkdir()
    for name in ("a.csv", "none.jsonl"):
        with pytest.raises(RecordError, match=rf"{name}: cannot be read"):
            list(read_rows(tmp_path / name))


def test_cells_without_a_value_are_none():
    assert typed("seed", None, int) is None and typed("seed", float("nan"), int) is None
    assert typed("seed", 2.0, int) == 2 and isinstance(typed("seed", 2.0, int), int)


def test_no_damage_to_a_table_ends_in_anything_but_rows_or_a_sentence(tmp_path):
    """Bytes put in, left out and changed at random; the message names the file."""
    rng, answers = random.Random(0), []
    whole = [b'file_name,caption,emotion,split\na.mp4,"a, b",joy,train\nb.mp4,x,fear,val\n', json.dumps(GOOD).encode()]
    pieces = [b'"', b"\n", b"\r", b"\0", b",", b";", b"\xff\xfe", b"\xe9", b"{", b"[", b"NaN", b"-Infinity", b"1e999",
              b"9" * 5000, b"sep=", b"../", b"\\", b"\\ud800", b'"a":1,"a":2', b":", b"\xe2\x80\xa8", b" "]  # fmt: skip
    for number in range(400):
        data = bytearray(whole[number % 2])
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.choice((0, 0, 1, 4))] = rng.choice(pieces)
        path = save(tmp_path, ("metadata.csv", "metadata.jsonl")[number % 2], bytes(data))
        try:
            answers.append(bool(read_records(path)))
        except RecordError as error:
            answers.append(False)
            assert path.name in str(error)
    assert 20 < sum(answers) < 380


# --- metadata


@pytest.mark.parametrize(("delimiter", "mark"), [(",", ""), (";", "\ufeff"), ("\t", "")])
def test_a_spreadsheet_says_the_same_as_json_lines(tmp_path, delimiter, mark):
    rows = [["a.mp4", 'a "red", round\nball; it rolls', "fear", "0.4", "0.75", "human", "x"],
            [], ["b.mp4", "", "neutral", "", "", "", ""]]  # fmt: skip
    with (tmp_path / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        file.write(mark)
        csv.writer(file, delimiter=delimiter).writerows([COLUMNS, *rows])
    from_csv = read_records(tmp_path)
    (tmp_path / "metadata.csv").unlink()
    lines = [dict(zip(COLUMNS, row, strict=True)) for row in rows if row]
    lines[0] |= {"intensity": 0.4, "agreement": 0.75}
    lines[1] = {"file_name": "b.mp4", "caption": "", "emotion": "neutral"}
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    from_json = read_records(tmp_path)
    assert [record.row for record in from_csv] == [2, 4]
    assert from_csv == [replace(record, row=row, metadata="metadata.csv")
                        for record, row in zip(from_json, (2, 4), strict=True)]  # fmt: skip
    assert from_csv[0].extra == {"author": "x"} and from_csv[0].caption.count("\n") == 1


def test_wrong_cells_are_named_by_the_row_of_the_spreadsheet(tmp_path):
    """A caption of two lines is one row there, and so is an empty one."""
    rows = [
        ["a", "two\nlines", "fear", "", "", "", ""],
        [],
        ["b", "c", "feer", "", "", "", ""],
        ["c", "c", "fear", "0,4", "", "", ""],
        ["d", "c", "fear", "", "1.5", "", ""],
        ["a", "c", "awe", "", "", "", ""],
        ["e", "c"],
        ["", "c", "awe", "", "", "", ""],
    ]
    path = tmp_path / "metadata.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    with pytest.raises(RecordError) as error:
        read_records(path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{path}: 6 wrong rows"
    assert [line.partition(": ")[0].strip() for line in lines[1:]] == [f"metadata.csv row {n}" for n in range(4, 10)]
    messages = [line.partition(": ")[2] for line in lines[1:]]
    assert "did you mean fear" in messages[0]
    assert messages[1:] == [
        "'intensity' must be a number, not '0,4'; write the decimals after a point",
        "'agreement' must lie between 0 and 1, not 1.5",
        "'a' is already in row 2",
        "2 cells under a header of 7; quote cells that contain separators",
        "'file_name' is missing",
    ]


@pytest.mark.parametrize("word", ["Train", "train ", "TRAINING", "validation", "dev", "Valid", "test", "evaluation"])
def test_words_for_a_split_are_known_in_any_spelling(write, word):
    (record,) = read_records(write(GOOD | {"split": word}))
    assert record.split == {"t": "train", "v": "val", "d": "val", "e": "test"}[word[0].lower()] or word == "test"


def test_a_word_that_is_no_split_is_refused_by_row(write):
    for word in ("trian", "extra", "train,val"):
        with pytest.raises(RecordError, match=rf"metadata\.jsonl:2: 'split' is '{word}'; write train, val or test"):
            read_records(write(GOOD, GOOD | {"file_name": "b", "split": word}))


def test_text_is_another_name_for_the_caption(write):
    without = {key: value for key, value in GOOD.items() if key != "caption"}
    first, second = read_records(write(without | {"text": "a cat"}, GOOD | {"file_name": "b", "text": "note"}))
    assert (first.caption, first.extra) == ("a cat", {})
    assert (second.caption, second.extra) == ("a ball rolls", {"text": "note"})


# --- Parquet


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    save(tmp_path, "metadata.parquet", b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecordError, match=r"metadata.parquet: reading Parquet needs pyarrow: pip install pyarrow"):
        read_records(tmp_path)


def test_parquet_is_read_where_pyarrow_is(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "metadata.parquet"
    rows = [GOOD | {"intensity": 0.5, "valence": float("nan"), "n": 3}, GOOD | {"file_name": "b", "emotion": "awe"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    first, second = read_records(tmp_path)
    assert (first.emotion.intensity, first.emotion.valence) == (0.5, EmotionState.of("fear").valence)
    assert (first.extra, second.extra) == ({"n": 3}, {})
    assert (first.row, second.row, second.where) == (1, 2, "metadata.parquet row 2")
    parquet.write_table(pyarrow.Table.from_pylist([GOOD, GOOD | {"file_name": "b", "emotion": "feer"}]), path)
    with pytest.raises(RecordError, match=r"metadata.parquet row 2: unknown emotion 'feer'"):
        read_records(tmp_path)
    parquet.write_table(pyarrow.Table.from_pylist([{"video": "a"}]), path)
    with pytest.raises(RecordError, match="has no column 'file_name'; it has video"):
        read_records(tmp_path)
    path.write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="cannot be read as Parquet"):
        read_records(tmp_path)


def test_the_types_of_a_table_hold_for_parquet_too(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"prompt": "a", "seed": 1.0}, {"prompt": "b", "seed": None}, {"prompt": "c", "seed": 1.5}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = [row for _, row in read_rows(tmp_path / "a.parquet", BATCH)]
    assert found[:2] == [{"prompt": "a", "seed": 1}, {"prompt": "b"}]
    assert str(found[2]) == "'seed' must be a whole number, not 1.5"
    assert "caption" in METADATA.may_be_empty
