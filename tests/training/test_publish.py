import pytest
from huggingface_hub.errors import LocalTokenNotFoundError

import emogen.hub
from emogen.training.config import ConfigError
from emogen.training.outputs import publish
from emogen.training.run import run


class Hub:
    """Answers as the hub's API would, and remembers what it was given."""

    def __init__(self, name="me", orgs=("lab",), broken=False, token=True):
        self.name, self.orgs, self.broken, self.token, self.uploads = name, orgs, broken, token, []

    def whoami(self):
        if not self.token:
            raise LocalTokenNotFoundError("no token")
        return {"name": self.name, "orgs": [{"name": org} for org in self.orgs]}

    def create_repo(self, repo, exist_ok):
        return f"https://huggingface.co/{repo}"

    def upload_folder(self, folder_path, repo_id, ignore_patterns, commit_message):
        if self.broken:
            raise ConnectionError("unplugged")
        from huggingface_hub.utils import filter_repo_objects

        files = [str(path.relative_to(folder_path)) for path in folder_path.rglob("*") if path.is_file()]
        self.uploads.append((repo_id, set(filter_repo_objects(files, ignore_patterns=ignore_patterns))))


@pytest.fixture
def hub(monkeypatch):
    made = Hub()
    for module in (emogen.hub, publish):
        monkeypatch.setattr(module, "HfApi", lambda: made)
    return made


def test_the_result_is_uploaded_without_what_only_the_run_needs(make_config, hub):
    config = make_config(
        run={"max_train_steps": 1, "push_to_hub": True, "hub_model_id": "lab/joy"}, data={"cache_dir": None}
    )
    run(config)
    ((repo, files),) = hub.uploads
    assert repo == "lab/joy"
    assert {"config.json", "emotion_adapter.safetensors", "pytorch_lora_weights.safetensors", "training_config.yaml",
            "README.md"} <= files  # fmt: skip
    assert not [name for name in files if name.startswith(("checkpoint", "cache", "."))]


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({"token": False}, "me/joy", "no token; log in"),
        ({}, "joy", "must be OWNER/NAME"),
        ({}, "other/joy", "an owner you may write to: me, lab"),
    ],
)
def test_what_cannot_be_uploaded_is_said_before_training(make_config, hub, changes, name, message, tmp_path):
    vars(hub).update(changes)
    with pytest.raises(ConfigError, match=message):
        run(make_config(run={"push_to_hub": True, "hub_model_id": name}))
    assert not (tmp_path / "run/checkpoint-4").exists()


def test_a_failed_upload_says_that_nothing_is_lost(make_config, hub, tmp_path):
    hub.broken = True
    message = r"failed \(unplugged\); .*is whole: try again with `hf upload me/joy"
    with pytest.raises(publish.PublishError, match=message):
        run(make_config(run={"max_train_steps": 1, "push_to_hub": True, "hub_model_id": "me/joy"}))
    assert (tmp_path / "run/emotion_adapter.safetensors").is_file()
