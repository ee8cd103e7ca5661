"""The wheel and the source distribution hold what the package needs, and run where nothing else of the checkout is."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import emogen
from emogen.extras import DISTRIBUTION, EXTRAS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "walks"))
from fresh import ROOMS, NoPip, build, install, run  # noqa: E402

PROJECT = (ROOT / "pyproject.toml").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(source distribution, wheel made of it)."""
    return build(tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_every_file_of_the_package_and_no_other(built):
    _, wheel = built
    expected = {
        f"{home}/{path.relative_to(ROOT / room).as_posix()}"
        for room, home in ROOMS.items()
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == expected
    assert any(name.endswith(".safetensors") for name in found)


def test_the_source_distribution_holds_what_people_run(built):
    sdist, _ = built
    with tarfile.open(sdist) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    configs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml")}
    assert {"sample.py", "train_lora.py", "LICENSE", "CHANGELOG.md", "CITATION.cff"} | configs <= found


def test_the_wheel_runs_outside_of_the_checkout(built, tmp_path):
    """In an environment of its own, which sees this one's libraries but not its emogen."""
    _, wheel = built
    try:
        programs = install(wheel, tmp_path)
    except NoPip as error:
        pytest.skip(str(error))
    python, emogen_command = programs / "python", programs / "emogen"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    where = run(python, "-c", "import emogen, emogen.eval; print(emogen.__file__, emogen.eval.__file__)", cwd=tmp_path)
    assert all(Path(file).is_relative_to(site) for file in where.split())
    assert "sample" in run(emogen_command, "--help", cwd=tmp_path)
    prompt = "a flat sticker of a round yellow face"
    steps = ["--num_inference_steps", "2", "--output", "joy.mp4"]
    run(emogen_command, "sample", "--emotion", "joy", "--prompt", prompt, *steps, cwd=tmp_path)
    assert (tmp_path / "joy.mp4").stat().st_size > 1000


def test_one_version_everywhere():
    version = emogen.__version__
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.M).group(1)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert newest == version and str(cited) == version
    assert 'dynamic = ["version"]' in PROJECT and 'attr = "emogen.__version__"' in PROJECT
    git = ["git", "tag", "--points-at", "HEAD", "--list", "v*"]
    tags = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if tags.returncode == 0 and tags.stdout.split():
        assert f"v{version}" in tags.stdout.split()


def test_the_name_is_the_project_s():
    assert re.search(rf'^name = "{DISTRIBUTION}"$', PROJECT, flags=re.M)
    assert "\nemogen = " in PROJECT.partition("[project.scripts]")[2], "the command is still called emogen"


def test_the_citation_has_what_the_format_asks_for():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys() and cited["cff-version"] == "1.2.0"
    for entry in (cited, *cited["references"]):
        assert entry["title"] and entry["authors"]
        assert all("name" in one or "family-names" in one for one in entry["authors"])
    assert any("2511.11002" in entry["url"] for entry in cited["references"])


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_a_dockerfile_speaks_of_what_is_there(name):
    """It is read, not built: there is no container engine where the tests run."""
    text = (ROOT / "docker" / f"Dockerfile.{name}").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    instructions = re.findall(r"^([A-Z]+) (.+)$", text, flags=re.M)
    assert instructions[0][0] == "FROM" and instructions[0][1].startswith("python:3.1")
    copied = [source for word, rest in instructions if word == "COPY" for source in rest.split()[:-1]]
    for source in copied:
        assert (ROOT / source).exists() and source not in ignored
    assert {"pyproject.toml", "README.md", "LICENSE", *ROOMS} <= set(copied), "what the build backend reads"
    (extras,) = re.findall(r"-e \"\.\[([\w,]+)\]\"", text)
    assert set(extras.split(",")) <= set(EXTRAS)
    torch = re.search(r"torch==([\d.]+)", text).group(1)
    assert f"pip install torch=={torch}" in (ROOT / "README.md").read_text()
    assert 'ENTRYPOINT ["emogen"]' in text and "USER emogen" in text
