"""Reading settings: words as their key wants them, strict YAML, and the lines in messages."""

from typing import Literal

import pytest
from pydantic.dataclasses import dataclass

from emogen.settings import ConfigError, apply_flags, build, read_yaml
from emogen.settings.paths import check_output_folder
from emogen.settings.types import Flag, FlagOrWhole, Free, Listed, Name, Number, Seed, Sentences, Whole


@dataclass(kw_only=True, config={"extra": "forbid"})
class Part:
    text: Name | None = None
    choice: Literal["no", "on", "1e3"] | None = None
    whole: Whole | None = None
    number: Number | None = None
    flag: Flag | None = None
    mixed: FlagOrWhole | None = None
    seed: Seed | None = None
    texts: Listed[Name] | None = None
    sentences: Sentences | None = None
    numbers: Listed[Number] | None = None
    free: Free | None = None


@dataclass(kw_only=True, config={"extra": "forbid"})
class Whole_:
    part: Part


def read(tmp_path, text, flags=()):
    path = tmp_path / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    document = read_yaml(path)
    apply_flags(document, Whole_, flags)
    return build(Whole_, document).part


TAKEN = [
    ("text", "2025-11-24", "2025-11-24"), ("text", "20251124", "20251124"), ("text", "12:30", "12:30"),
    ("text", "1e3", "1e3"), ("text", "500", "500"), ("text", "on", "on"), ("text", "no", "no"),
    ("text", "0x1F", "0x1F"),
    ("text", "007", "007"), ("text", "'null'", "null"), ("text", "a b", "a b"), ("text", "1_000", "1_000"),
    ("text", "~", None), ("text", "null", None), ("text", "C:\\runs", "C:\\runs"),
    ("choice", "no", "no"), ("choice", "on", "on"), ("choice", "1e3", "1e3"),
    ("whole", "8", 8), ("whole", "-3", -3), ("whole", "1.0", 1), ("whole", "1e3", 1000), ("whole", "1_000", 1000),
    ("whole", "'8'", 8),
    ("number", "1e-4", 1e-4), ("number", "2", 2.0), ("number", ".5", 0.5), ("number", "1E+2", 100.0),
    ("flag", "true", True), ("flag", "No", False), ("flag", "on", True), ("flag", "OFF", False),
    ("mixed", "false", False), ("mixed", "3", 3), ("seed", "0", 0), ("seed", str(2**63 - 1), 2**63 - 1),
    ("texts", "[2025-11-24, no, 1e3]", ["2025-11-24", "no", "1e3"]), ("numbers", "[1, 2e-1]", [1.0, 0.2]),
    ("sentences", "[a cat, a dog]", ["a cat", "a dog"]), ("sentences", "['a cat, on a mat']", ["a cat, on a mat"]),
    ("free", "{eps: 1e-8, n: 3, b: no, d: 2025-11-24, l: [1, x], q: '12:30', z: null, m: {a: .5}}",
     {"eps": 1e-8, "n": 3, "b": False, "d": "2025-11-24", "l": [1, "x"], "q": "12:30", "z": None, "m": {"a": 0.5}}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "written", "value"), TAKEN)
def test_a_word_is_what_its_key_wants(tmp_path, key, written, value):
    found = getattr(read(tmp_path, f"part:\n  {key}: {written}\n"), key)
    assert found == value and type(found) is type(value)
    if written != "~":  # on the command line the word ~ is a folder
        at_door = getattr(read(tmp_path, "part:\n", [f"--{key}", written]), key)
        assert at_door == value and type(at_door) is type(value)
        assert getattr(read(tmp_path, "part:\n", [f"--part.{key}={written}"]), key) == value


REFUSED = [
    ("text", "[a]", "must be text"), ("text", '""', "must not be empty"), ("text", r'"\0"', "cannot be written"),
    ("text", r'"\uD800"', "cannot be written"), ("choice", "yes", "one of no, on, 1e3, not 'yes'"),
    ("whole", "1.5", "whole number, not '1.5'"), ("whole", "010", "plain decimal digits"),
    ("whole", "0x10", "plain decimal digits"), ("whole", "12:30", "whole number, not '12:30'"),
    ("whole", "yes", "whole number"), ("whole", "2025-11-24", "whole number"), ("whole", str(2**70), "2\\*\\*63"),
    ("whole", "9" * 400, "at most 40 characters, not of 400"), ("whole", "1e400", "whole number"),
    ("whole", "٣", "whole number"), ("number", "nan", "finite"), ("number", "-.inf", "finite"),
    ("number", "1e999", "finite"), ("number", "12:30", "number such as"), ("number", "true", "number such as"),
    ("number", "9" * 5000, "at most 40 characters"), ("flag", "1", "true or false"),
    ("flag", "maybe", "true or false"),
    ("mixed", "maybe", "true, false or a whole number"), ("seed", "-1", "at least 0, not -1"),
    ("seed", str(2**63), "2\\*\\*63"),
    ("seed", str(2**70), "2\\*\\*63"), ("seed", "1.7", "whole number"), ("texts", "[]", "list such as"),
    ("texts", "a", "list such as"), ("texts", "[a, [b]]", r"\[1\] must be text"),
    ("sentences", "[a cat, on a mat]", 'needs quotes: \\["a cat, on a mat"\\]'),
    ("numbers", "[0.5, x]", r"\[1\] must be"),
    ("numbers", "{a: 1}", "list such as"), ("free", "3", "must be a mapping"), ("free", "{t: 12:30}", '"12:30"'),
    ("free", "{t: 010}", '"010"'), ("free", "{t: .nan}", "finite"), ("free", f"{{t: {2**70}}}", "2\\*\\*63"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "written", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused_by_line_and_by_flag(tmp_path, key, written, message):
    with pytest.raises(ConfigError, match=rf"c\.yaml:3: part\.{key}.*{message}"):
        read(tmp_path, f"part:\n\n  {key}: {written}\n")
    if key not in ("text", "choice"):
        with pytest.raises(ConfigError, match=rf"--{key}: part\.{key}.*{message}"):
            read(tmp_path, "part:\n", [f"--{key}", written])


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\npart: {texts: *b}\n"
STRUCTURE = [
    ("part:\n  whole: 1\n  whole: 2\n", r"c\.yaml:3: 'part\.whole' is set twice \(first at .*c\.yaml:2\)"),
    ("part:\n  free: {a: 1, a: 2}\n", r"c\.yaml:2: 'part\.free\.a' is set twice"),
    (BOMB, r"c\.yaml:1: anchors"),
    ("part: {texts: [*b]}\n", r"c\.yaml:1: anchors"),
    ("x: {}\npart:\n  <<: {whole: 1}\n", r"c\.yaml:3: << is not read"),
    ("part:\n  text: !!python/object:os.system x\n", r"c\.yaml:2: tags"),
    ("part:\n  text: !x y\n", r"c\.yaml:2: tags"),
    ("part:\n  free: " + "[" * 5000 + "]" * 5000 + "\n", r"c\.yaml:2: is nested more than 16 deep"),
    ("part:\n  free: " + "{a: " * 300 + "1" + "}" * 300 + "\n", r"nested more than 16 deep"),
    ("part:\n  ? [a]\n  : 1\n", r"c\.yaml:2: a key must be plain text"),
    ("part:\n  whole: 1\n---\npart: {}\n", r"c\.yaml:3: a second document"),
    ("part:\n  text: [\n", r"c\.yaml:3: not valid YAML"),
    ("part:\n\ttext: a\n", r"c\.yaml:2: not valid YAML"),
    ('part:\n  text: "\\Uffffffff"\n', r"not valid YAML"),
    ("part:\n  text: \x07\n", r"not valid YAML"),
    (b"part:\n  text: caf\xe9\n", r"c\.yaml:2: is not UTF-8 \(byte 0xe9\)"),
    ("part: {}\n".encode("utf-16"), r"c\.yaml:1: is not UTF-8"),
    ("# x\n" * 100_000, r"larger than 256 KiB"),
    ("", r"expected keys such as part"),
    ("just words\n", r"expected keys such as part"),
    ("part: 5\n", r"c\.yaml:1: part must be a section"),
    ("part:\n  wole: 1\n", r"c\.yaml:2: unknown key 'part\.wole'; did you mean 'part\.whole'"),
    ("prat: {}\n", r"c\.yaml:1: unknown key 'prat'; did you mean 'part'"),
    ("part:\n  5: 1\n", r"unknown key 'part\.5'; known are text"),
]


@pytest.mark.parametrize(("text", "message"), STRUCTURE)
def test_what_hides_mistakes_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_no_file_is_a_sentence(tmp_path):
    for path in (tmp_path / "no.yaml", tmp_path, tmp_path / ("x" * 5000), "a\0b"):
        with pytest.raises(ConfigError, match=r"no such configuration file|cannot be read"):
            read_yaml(path)


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfpart:\n  whole: 2\n").whole == 2


def test_flags(tmp_path):
    text = "part:\n  whole: 1\n  texts: [a]\n"
    found = read(tmp_path, text, ["--whole", "2", "--flag", "--mixed", "--texts", "[b, c]", "--number", "-1"])
    assert (found.whole, found.flag, found.mixed, found.texts, found.number) == (2, True, True, ["b", "c"], -1.0)
    assert read(tmp_path, text, ["--text", "'null'"]).text == "null"
    assert read(tmp_path, text, ["--text", "a: [b"]).text == "a: [b"
    for flags, message in (
        (["--whol", "2"], "--whol: unknown key 'whol'; did you mean 'part.whole'"),
        (["--prt.whole", "2"], "--prt.whole: unknown key .*'part.whole'"),
        (["--zzz"], "--zzz: unknown key 'zzz'; the flags are the keys"),
        (["--whole"], "--whole: needs a value"),
        (["--whole", "--flag"], "--whole: needs a value"),
        (["whole"], "expected a flag"),
        (["--"], "expected a flag"),
        (["--texts", "[a"], "--texts: not valid YAML"),
        (["--texts", "[a, &x b]"], "--texts: anchors"),
        (["--texts", "[a, {}]"], r"--texts: part\.texts\[1\] must be text"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(tmp_path, text, flags)


def test_where_nothing_can_be_written_is_said_before_the_work(tmp_path):
    (tmp_path / "file").write_text("x")
    check_output_folder(tmp_path / "new/newer")
    check_output_folder(tmp_path)
    for folder, message in (
        (tmp_path / "file", "is a file, not a folder"),
        (tmp_path / "file/below", "is a file, not a folder|is no name"),
        (tmp_path / ("x" * 300), "longer than 255|is no name"),
        ("a\0b", "is no name of a folder"),
        ("/proc/emogen", "is not writable"),
    ):
        with pytest.raises(ConfigError, match=f"--output_dir.*({message})"):
            check_output_folder(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("module", ["emogen.eval.__main__", "emogen.eval.controls.__main__"])
def test_measuring_commands_refuse_before_the_work(module, tmp_path, capsys):
    import importlib

    (tmp_path / "file").write_text("x")
    with pytest.raises(SystemExit) as left:
        importlib.import_module(module).main(["--config", "x.yaml", "--output_dir", str(tmp_path / "file")])
    assert left.value.code == 2 and "is a file, not a folder" in capsys.readouterr().err
