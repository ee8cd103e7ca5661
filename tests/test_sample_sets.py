"""`sample.py`: sets of stickers, the best of several seeds, short words for options."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from emogen.cli import main as emogen
from emogen.commands import sample_run
from emogen.commands.sample import main as sample
from emogen.commands.sample_options import build_parser, short_help
from emogen.commands.sample_request import RequestError, description, parse, read_batch
from emogen.commands.sample_set import emotions_of, set_jobs
from emogen.emotion import MIKELS, parse_emotion
from emogen.media.reader import read_metadata, read_video
from emogen.stickers.platforms import PLATFORMS

ROOT = Path(__file__).parents[1]
FACE = ["--prompt", "a flat sticker of a round yellow face on a white background"]
FEW = ["--steps", "2", "--num_frames", "5", "--quiet"]


def arguments(*more):
    return parse(build_parser(), [*more])


@pytest.mark.parametrize(("text", "several"), [
    ("all", list(MIKELS)), ("joy, fear", ["joy", "fear"]), ("joy,0:fear 1:awe", ["joy", "0:fear 1:awe"]),
    ("va:0.8,0.3", ["va:0.8,0.3"]), ("va:0.8,-0.3, awe", ["va:0.8,-0.3", "awe"]), ("joy", ["joy"]),
])  # fmt: skip
def test_lists_of_emotions(text, several):
    assert emotions_of(text) == several


def test_a_set_of_characters(tmp_path):
    lines = tmp_path / "list.txt"
    lines.write_text("# mine\na fox\n\nthe Fox!\nan owl\n")
    words = ["--characters", str(lines), "--output_dir", str(tmp_path / "set"), "--text", "{character}, {emotion}"]
    jobs = set_jobs(arguments("--prompt", "a sticker of {character}", "--emotion", "joy, fear", *words))
    assert [Path(job.options.output).name for job in jobs] == [
        "01_fox_joy.mp4", "02_fox_fear.mp4", "03_fox_2_joy.mp4", "04_fox_2_fear.mp4", "05_owl_joy.mp4",
        "06_owl_fear.mp4"]  # fmt: skip
    assert jobs[2].options.prompt == "a sticker of the Fox!" and jobs[4].options.text == "an owl, {emotion}"
    assert jobs[0].options.seed == jobs[1].options.seed != jobs[2].options.seed  # noise is shared by a character
    again = set_jobs(arguments("--prompt", "a sticker of {character}", "--emotion", "joy, fear", *words))
    assert [job.options.seed for job in again] == [job.options.seed for job in jobs]
    drawn = [set_jobs(arguments(*FACE, "--emotion", "all", "--output_dir", "x", "--seed", "-1")) for _ in range(2)]
    assert len({job.options.seed for job in drawn[0]}) == 1 and drawn[0][0].options.seed != drawn[1][0].options.seed
    assert len(drawn[0]) == 8 and drawn[0][0].options.prompt == FACE[1]


@pytest.mark.parametrize(("more", "message"), [
    (["--emotion", "joy, fear"], "--emotion names several; give --output_dir for a set of them, or a mixture such as "
                                 "joy[+]fear"),
    (["--emotion", "joy, feer", "--output_dir", "x"], "--emotion: .*did you mean fear"),
    (["--emotion", "all", "--output_dir", "x", "--output", "a.mp4"], "--output is for one clip; a set goes into"),
    (["--characters", "none.txt", "--output_dir", "x"], "--characters: no file none.txt"),
    (["--characters", "list.txt"], "say with --output_dir where it goes"),
    (["--characters", "list.txt", "--output_dir", "x"], "--prompt needs {character} where a line"),
    (["--characters", "empty.txt", "--output_dir", "x"], "holds no line"),
    (["--characters", "twice.txt", "--output_dir", "x"], "'a fox' stands there twice"),
    (["--characters", "list.txt", "--batch", "a.csv"], "give one of them"),
    (["--emotion", "joy, fear", "--platform", "whatsapp", "--output_dir", "x"], "--platform: 2 stickers in a set; "
                                                                                "whatsapp takes 3 to 30"),
    (["--emotion", "all", "--output_dir", "x", "--text", "{character}"], "--text has {character}, which --characters"),
    (["--text", "\u72d0"], "--text: the font has no character"),
    (["--best_of", "0"], "--best_of is 0; it must be positive"),
    (["--best_of", "2", "--judge", "none"], "'none' is no judge: neither embedded nor a folder"),
    (["--best_of", "2", "--judge", "{kind: nope}"], "unknown kind 'nope'"),
    (["--emotion", "joy and fear"], r"did you mean the mixture joy\+fear\?"),
])  # fmt: skip
def test_what_is_refused_at_once(more, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sample_run, "load", lambda *_: pytest.fail("a model was loaded"))
    for name, text in (("list.txt", "a fox"), ("empty.txt", "# none\n"), ("twice.txt", "a fox\na  fox\n")):
        (tmp_path / name).write_text(text)
    import re

    try:
        status = sample([*FACE, *more, "--quiet"])
    except SystemExit as stop:
        status = stop.code
    assert status == 2 and re.search(message, capsys.readouterr().err, flags=re.S)
    assert not (tmp_path / "x").exists()


def test_a_set_in_one_command(tmp_path, capsys):
    out = tmp_path / "set"
    words = [*FACE, "--emotion", "joy, fear, 0:fear 1:awe", "--platform", "whatsapp", "--transparent",
             "--output_dir", str(out), "--seed", "4", "--text", "{emotion}", *FEW]  # fmt: skip
    assert sample(words) == 0
    said = capsys.readouterr().out
    assert "alike (1 is the same colours in the same places; " in said and "stickers.zip holds them" in said
    names = ["01_joy.webp", "02_fear.webp", "03_arc.webp"]
    for name in names:
        assert PLATFORMS["whatsapp"].check(out / name) == []
        assert read_metadata(out / name)["seed"] == 4 and read_video(out / name, alpha=True)[0].shape[-1] == 4
    with zipfile.ZipFile(out / "stickers.zip") as archive:
        assert set(names) < set(archive.namelist())
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    (out / names[1]).unlink()
    (out / "stickers.zip").unlink()
    assert sample(words) == 0
    assert "3 clips, 2 of them there already" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_the_best_of_several_seeds(tmp_path, capsys):
    best, again, plain = tmp_path / "best.png", tmp_path / "again.png", tmp_path / "plain.png"
    words = [*FACE, "--emotion", "sadness", *FEW, "--no_enlarge"]
    assert sample([*words, "--seed", "2", "--best_of", "3", "--output", str(best)]) == 0
    assert "best of 3 (what the judge reads of the emotion, by seed: 2: " in capsys.readouterr().out
    made = read_metadata(best)
    scores = made["chosen"]["scores"]
    assert set(scores) == {"2", "3", "4"} and made["chosen"]["judge"] == "embedded" and "best_of" not in made
    assert scores[str(made["seed"])] == max(scores.values()) > min(scores.values())
    assert sample([*words, "--seed", str(made["seed"]), "--output", str(plain)]) == 0
    assert (read_video(plain)[0] == read_video(best)[0]).all() and "chosen" not in read_metadata(plain)
    assert sample(["--from", str(best), "--output", str(again), "--quiet"]) == 0  # the same clip, still a chosen one
    assert (read_video(again)[0] == read_video(best)[0]).all() and read_metadata(again)["chosen"] == made["chosen"]
    other = str(made["seed"] + 1)
    assert sample(["--from", str(best), "--output", str(again), "--quiet", "--seed", other]) == 0
    assert "chosen" not in read_metadata(again)


def test_the_best_of_a_table_and_of_a_set(tmp_path):
    table, out = tmp_path / "a.csv", tmp_path / "out"
    table.write_text("prompt,emotion,seed,best_of,steps\na round red face,fear,1,2,1\na round red face,awe,1,,1\n")
    words = ["--output_dir", str(out), "--num_frames", "5", "--no_enlarge", "--quiet"]
    assert sample(["--batch", str(table), *words]) == 0
    first, second = (read_metadata(path) for path in sorted(out.glob("*.mp4")))
    assert set(first["chosen"]["scores"]) == {"1", "2"} and "chosen" not in second
    assert sample([*FACE, "--emotion", "joy, fear", "--best_of", "2", "--seed", "1", "--steps", "1", *words]) == 0
    made = [read_metadata(out / name) for name in ("01_joy.mp4", "02_fear.mp4")]
    assert made[0]["seed"] == made[1]["seed"]  # one seed for the character, by the mean over its emotions
    means = made[0]["chosen"]["mean_scores"]
    assert means == made[1]["chosen"]["mean_scores"] and means[str(made[0]["seed"])] == max(means.values())


def test_short_names_random_seeds_and_missing_prompts(tmp_path):
    args = arguments(*FACE, "--steps", "3", "--negative", "text", "--seed", "-1")
    assert (args.num_inference_steps, args.negative_prompt, args.seed) == (3, "text", -1)
    assert description(args)["num_inference_steps"] == 3
    (tmp_path / "a.csv").write_text("prompt,steps,negative,seed\na face,4,blur,-1\n")
    (job,) = read_batch(tmp_path / "a.csv", arguments("--output_dir", str(tmp_path)))
    assert (job.options.num_inference_steps, job.options.negative_prompt) == (4, "blur")
    (tmp_path / "a.csv").write_text("emotion\njoy\n")
    with pytest.raises(RequestError, match=r"a\.csv row 2: --prompt is missing; say what the clip shows"):
        read_batch(tmp_path / "a.csv", arguments("--output_dir", str(tmp_path)))


@pytest.mark.parametrize(("text", "hint"), [
    ("joy and fear", r"joy\+fear"), ("Joy & Fear", r"joy\+fear"),
    ("joy, awe, and fear", None), ("joy/fear", r"joy\+fear"),
    ("joy and feer", None), ("nothing and joy", None),
])  # fmt: skip
def test_how_people_join_emotions(text, hint):
    with pytest.raises(ValueError, match=f"did you mean the mixture {hint}" if hint else "unknown emotion") as stop:
        parse_emotion(text)
    assert hint is not None or "mixture joy" not in str(stop.value)


def test_the_help_is_short_and_all_of_it_can_be_had(capsys):
    parser = build_parser()
    short = short_help(parser)
    assert len(short.splitlines()) < 90 and "--help_all" in short and "--ulysses" not in short
    assert "--ulysses" in parser.format_help()
    for option in ("--prompt", "--emotion", "--steps", "--seed", "--best_of", "--transparent", "--characters"):
        assert option in short
    for words in (["--help"], ["--help_all"]):
        with pytest.raises(SystemExit) as stop:
            sample(words)
        assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(short)


def test_the_example_files_can_be_made(tmp_path):
    jobs = read_batch(ROOT / "examples/faces.csv", arguments("--output_dir", str(tmp_path)))
    assert len(jobs) >= 5
    words = ["--characters", str(ROOT / "examples/characters.txt"), "--emotion", "all", "--output_dir", str(tmp_path)]
    assert len(set_jobs(arguments("--prompt", "a flat sticker of {character}", "--platform", "telegram", *words))) == 24


def test_python_m_emogen_and_the_names_of_its_commands(capsys):
    done = subprocess.run([sys.executable, "-m", "emogen"], capture_output=True, text=True, cwd="/", timeout=120)
    assert done.returncode == 0
    assert {"sample", "controls", "sanity", "studio"} <= set(done.stdout.split())
    for name in ("controls", "sanity"):
        with pytest.raises(SystemExit) as stop:
            emogen([name, "--help"])
        assert stop.value.code == 0 and name in capsys.readouterr().out


@pytest.mark.parametrize("quiet", [False, True])
def test_every_clip_of_a_table_shows_its_own_steps(tmp_path, monkeypatch, quiet):
    class Pipe:
        fps, switched_on, said = 8, (), []

        def set_progress_bar_config(self, **config):
            self.said.append(config)

        def __call__(self, **_):
            raise OSError("enough")

    monkeypatch.setattr(sample_run, "load", lambda *_: Pipe())
    table = tmp_path / "a.csv"
    table.write_text("prompt,emotion\na face,joy\na face,fear\n")
    words = ["--batch", str(table), "--output_dir", str(tmp_path / "out"), *(["--quiet"] if quiet else [])]
    assert sample(words) == 1
    clips = [config for config in Pipe.said if config.get("position") == 1]
    assert [(one["desc"], one["disable"]) for one in clips] == [("0001_joy", quiet), ("0002_fear", quiet)]
