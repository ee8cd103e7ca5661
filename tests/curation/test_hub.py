"""An export goes to the hub: what is sent, for whom, and what is said where it cannot be."""

import json

import numpy as np
import pytest
from huggingface_hub.errors import LocalTokenNotFoundError
from huggingface_hub.utils import filter_repo_objects

import emogen.hub
from emogen.commands.data import main
from emogen.curation import hub as hub_module
from emogen.media import write_video

QUIET = ["--workers", "0", "--quiet"]


class Hub:
    """Answers as the hub's API would, and remembers what it was given."""

    def __init__(self):
        self.token, self.broken, self.uploads, self.private = True, False, [], {}

    def whoami(self):
        if not self.token:
            raise LocalTokenNotFoundError("no token")
        return {"name": "me", "orgs": [{"name": "lab"}]}

    def create_repo(self, repo, repo_type, private, exist_ok):
        assert repo_type == "dataset" and exist_ok
        self.private[repo] = private
        return f"https://huggingface.co/datasets/{repo}"

    def upload_large_folder(self, repo_id, folder_path, repo_type, print_report, **patterns):
        if self.broken:
            raise ConnectionError("unplugged")
        assert repo_type == "dataset" and not print_report
        files = [path.relative_to(folder_path).as_posix() for path in folder_path.rglob("*") if path.is_file()]
        self.uploads.append((repo_id, set(filter_repo_objects(files, **patterns))))


@pytest.fixture
def hub(monkeypatch):
    made = Hub()
    for module in (emogen.hub, hub_module):
        monkeypatch.setattr(module, "HfApi", lambda: made)
    return made


@pytest.fixture
def out(tmp_path):
    films, out = tmp_path / "films", tmp_path / "set"
    lines = ["file_name,emotion,license"]
    for number in range(3):
        frames = np.random.default_rng(number).integers(0, 256, (4, 2, 2, 3), np.uint8).repeat(16, 1).repeat(16, 2)
        write_video(films / f"{number}.mp4", frames, 4)
        lines.append(f"{number}.mp4,awe,{'MIT' if number else ''}")
    (tmp_path / "about.csv").write_text("\n".join(lines))
    assert main(["ingest", str(films), "--output_dir", str(out), *QUIET]) == 0
    assert main(["scenes", str(out), "--detector", "none", *QUIET]) == 0
    assert main(["about", str(out), str(tmp_path / "about.csv")]) == 0
    return str(out)


def test_what_is_sent_and_for_whom(out, hub, capsys, tmp_path):
    assert main(["export", out, "--push_to_hub", "lab/films", *QUIET]) == 0
    assert "uploaded to https://huggingface.co/datasets/lab/films" in capsys.readouterr().out
    ((_, files),) = hub.uploads
    lines = [json.loads(line) for line in (tmp_path / "set/export/metadata.jsonl").read_text().splitlines()]
    assert files == {"README.md", "metadata.jsonl", *(line["file_name"] for line in lines)} and len(lines) == 3
    assert hub.private == {"lab/films": True}
    assert main(["export", out, "--format", "webdataset", "--push_to_hub", "lab/films", *QUIET]) == 0
    assert hub.uploads[1][1] == {"README.md", "shards/train-000000.tar"}
    assert main(["export", out, "--push_to_hub", "me/open", "--public", *QUIET]) == 2
    assert "1 clips state no licence" in capsys.readouterr().err and len(hub.uploads) == 2
    (tmp_path / "about.csv").write_text((tmp_path / "about.csv").read_text().replace("0.mp4,awe,", "0.mp4,awe,MIT"))
    assert main(["about", out, str(tmp_path / "about.csv")]) == 0
    assert main(["export", out, "--push_to_hub", "me/open", "--public", *QUIET]) == 0
    assert hub.private["me/open"] is False


@pytest.mark.parametrize(
    ("changes", "name", "status", "message"),
    [
        ({"token": False}, "me/films", 2, "no token; log in with `hf auth login`"),
        ({}, "films", 2, "must be OWNER/NAME"),
        ({}, "other/films", 2, "an owner you may write to: me, lab"),
        ({"broken": True}, "me/films", 1, "failed (unplugged)"),
    ],
)
def test_what_cannot_be_sent(changes, name, status, message, out, hub, capsys, tmp_path):
    vars(hub).update(changes)
    assert main(["export", out, "--push_to_hub", name, *QUIET]) == status
    assert message in capsys.readouterr().err
    assert (tmp_path / "set/export/metadata.jsonl").is_file() == (status == 1)  # refused before anything is made
