import ast
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from emogen.data.records import ClipRecord
from emogen.emotion import MIKELS, EmotionState
from emogen.training.outputs.card import CardFacts, model_card
from emogen.training.outputs.private_paths import hide_paths, is_absolute

ROOT = "/mnt/disk 1/alice"


def clips(name="amusement", count=1, split="train", domain=None, source=None, root=ROOT):
    state = EmotionState.of(name)
    files = [f"{name}{index}.mp4" for index in range(count)]
    return [ClipRecord(Path(f"{root}/data/{file}"), file, "a ball", state, split, domain, label_source=source)
            for file in files]  # fmt: skip


@pytest.fixture
def card():
    """The card of a complete run; keyword arguments change it."""

    def make(**changes):
        records = clips("awe", 60, domain="sticker", source="people")
        records += clips("fear", 3, domain="movie", source="people")
        records += clips("neutral", 2, domain="movie", source="model | v2") + clips("awe", 7, split="val")
        config = {
            "model": {"pretrained_model_name_or_path": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"},
            "data": {"dataset_name": f"{ROOT}/data", "cache_dir": "~/cache/latents", "balance": 0.5},
            "run": {"output_dir": "runs/emotion", "more": ["C:\\Users\\alice\\x", {"deep": "file:///home/alice/y"}]},
        }
        given = {
            "base_model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
            "steps": 1200,
            "records": records,
            "dropped": {
                "a.mp4": f"{ROOT}/data/a.mp4: cannot be decoded (moov)",
                "b.mp4": f"{ROOT}/data/b.mp4: cannot be decoded (moov)",
                "c.mp4": "no such file",
            },
            "config": config,
            "pipeline": "EmotionWanPipeline",
            "stock_pipeline": "WanPipeline",
            "license": "apache-2.0",
            "repo_id": "alice/emotions",
            "lora_rank": 32,
            "lora_parameters": 1474560,
            "adapter_parameters": 1056128,
            "lora_files": {"comfyui": "pytorch_lora_weights_comfyui.safetensors"},
            "images": {"The run": "curves.png", "Samples": "previews/step_001200.webp"},
            "results": {
                "EA-8": {"value": 0.9375, "low": 0.71671, "high": 0.98888, "n": 16, "neutral": 0.125},
                "held-out loss": {"value": 0.123456, "n": 1064},
            },
            "results_note": "Judge: embedded sticker judge.",
            "command": f"accelerate launch /home/alice/emogen/train_lora.py --config configs/a.yaml "
            f"--data.dataset_name='{ROOT}/data'",
            "versions": {"Python": "3.11.2", "torch": "2.13.0"},
            "limits": ["Faces are weak."],
        }
        return model_card(CardFacts(**(given | changes)))

    return make


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def section(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_front_matter(card):
    text = card()
    assert text.startswith("---\n")
    assert front(text) == {
        "base_model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "base_model_relation": "adapter", "library_name": "diffusers",
        "pipeline_tag": "text-to-video", "license": "apache-2.0",
        "tags": ["emogen", "wan", "emotion", "lora", "text-to-video"]}  # fmt: skip
    parsed = ModelCard(text)  # as the hub reads it
    assert parsed.data.pipeline_tag == "text-to-video" and parsed.data.base_model == "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"


def test_front_matter_says_only_what_is_known(card, tmp_path):
    (tmp_path / "owner" / "base").mkdir(parents=True)
    for base in ("embedded", "/models/Wan2.1", str(tmp_path / "owner" / "base")):
        data = front(card(base_model=base, license=None, lora_parameters=0, task="image-to-video"))
        assert data == {"library_name": "diffusers", "pipeline_tag": "image-to-video",
                        "tags": ["emogen", "wan", "emotion", "image-to-video"]}  # fmt: skip


def test_a_relative_folder_is_no_hub_id(card, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "base").mkdir(parents=True)
    assert "base_model" not in front(card(base_model="runs/base")) and "# Emotion conditioning for base\n" in card(
        base_model="runs/base"
    )


def python_blocks(text):
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    for block in blocks:
        ast.parse(block)
    return blocks


def test_use(card):
    own, stock = python_blocks(card())
    assert "from emogen.pipelines import EmotionWanPipeline" in own and 'emotion="awe:0.8"' in own
    assert 'from_pretrained("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")' in own
    assert 'pipe.load_emotion_adapter("alice/emotions")' in own
    assert "from diffusers import WanPipeline" in stock and "emogen" not in stock
    assert 'load_lora_weights("alice/emotions", weight_name="pytorch_lora_weights.safetensors")' in stock
    assert "`pytorch_lora_weights_comfyui.safetensors`" in section(card(), "Use") and "DiffSynth" not in card()
    exec("\n".join(line for line in (own + stock).splitlines() if line.startswith("from")), {})


def test_use_of_image_to_video_and_the_embedded_model(card):
    classes = {"pipeline": "EmotionWanImageToVideoPipeline", "stock_pipeline": "WanImageToVideoPipeline"}
    own, stock = python_blocks(card(task="image-to-video", repo_id=None, **classes))
    assert "EmotionWanImageToVideoPipeline" in own and "pipe(image, prompt=" in own and 'adapter("this/folder")' in own
    assert "from diffusers import WanImageToVideoPipeline" in stock
    text = card(base_model="embedded")
    assert all("from_pretrained(embedded_model())" in b and "import embedded_model" in b for b in python_blocks(text))
    assert "# Emotion conditioning for the embedded model of emogen\n" in text


def test_parts_that_are_not_there_are_not_described(card):
    lora = card(adapter_parameters=0)
    assert "load_emotion_adapter" not in lora and "emotion adapter (" not in lora
    assert 'load_lora_weights("alice/emotions")' in python_blocks(lora)[0]
    adapter = card(lora_parameters=0, lora_files={})
    assert len(python_blocks(adapter)) == 1 and "LoRA" not in adapter
    bare = card(results={}, images={}, command=None, dropped={}, lora_files={})
    assert "![" not in bare and "could not be used" not in bare and "ComfyUI" not in bare
    assert section(bare, "Results").strip() == "Not measured."
    assert "\n\n\n" not in bare


def test_data_counts(card):
    data = section(card(), "Training data")
    assert "65 clips, and 7 held out." in data
    assert "| emotion | clips | sticker | movie |" in data and "| awe | 60 | 60 | 0 |" in data
    assert "| fear | 3 | 0 | 3 |" in data and "| neutral | 2 | 0 | 2 |" in data
    assert "| people | 63 |" in data and "| model \\| v2 | 2 |" in data
    assert "3 more could not be used:" in data
    assert "| cannot be decoded (moov) | 2 |" in data and "| no such file | 1 |" in data
    plain = section(card(records=clips("awe", 2)), "Training data")
    assert "| emotion | clips |\n" in plain and "| not given | 2 |" in plain


def test_results_have_n_and_intervals(card):
    results = section(card(), "Results")
    assert "| EA-8 | 93.8 % | 71.7 % to 98.9 % | 16 |" in results
    assert "| held-out loss | 0.1235 |  | 1,064 |" in results
    assert "Judge: embedded sticker judge." in results


def test_pictures_are_relative(card):
    assert "![The run](curves.png)" in card() and "![Samples](previews/step_001200.webp)" in card()


def test_limits_follow_from_the_counts(card):
    limits = section(card(), "Limits")
    assert "- Faces are weak." in limits and "fewer than 50 clips: fear (3)." in limits
    assert "No clip showed amusement, contentment, excitement, anger, disgust, sadness." in limits
    assert "fewer than 100 clips" in limits and "LoRA alone" in limits and "not recorded" not in limits
    many = [record for name in MIKELS for record in clips(name, 50)]
    limits = section(card(records=many, results={}, lora_files={}), "Limits")
    assert "No clip showed" not in limits and "fewer than" not in limits and "LoRA alone" not in limits
    assert "Who labelled the clips is not recorded." in limits


def test_how_it_was_made(card):
    made = section(card(), "How it was made")
    assert "accelerate launch train_lora.py --config configs/a.yaml --data.dataset_name=data" in made
    assert "Python 3.11.2, torch 2.13.0." in made
    settings = yaml.safe_load(re.search(r"```yaml\n(.*?)```", made, flags=re.S)[1])
    assert settings["data"] == {"dataset_name": "data", "cache_dir": "latents", "balance": 0.5}
    assert settings["run"] == {"output_dir": "runs/emotion", "more": ["x", {"deep": "y"}]}
    assert settings["model"] == {"pretrained_model_name_or_path": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"}
    versions = section(card(versions=None, command=["python", "/home/alice/x.py", "--a=/b c/d"]), "How it was made")
    assert re.search(r"Python 3\.\d+\.\d+, emogen [\d.]+, torch \d", versions) and "python x.py --a=d" in versions


def test_no_path_of_the_machine(card, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home of bob"
    monkeypatch.setenv("HOME", str(home))
    text = card(
        base_model=f"{home}/models/Wan 2.1",
        records=clips("awe", 3, root=f"{home}/sets"),
        dropped={"z.mp4": f"{home}/sets/data/z.mp4: broken; see {tmp_path}/log.txt and {home}/notes"},
        results_note=f"Judged by {home}/judges/big one, clips in {tmp_path}.",
        limits=["Made on //server/share/x and D:\\films\\y.", "Reads ~carol/lists."],
        command=["python", f"{tmp_path}/train.py", f"--config={home}/my configs/a.yaml"],
        images={},
    )
    secrets = (ROOT, "alice/data", "home of bob", str(tmp_path), "server", "films", "carol", "/home", "C:", "sets/")
    for secret in secrets:
        assert secret not in text, secret
    for kept in ("Wan 2.1", "log.txt", "alice/emotions", "train.py", "a.yaml"):
        assert kept in text, kept


@pytest.mark.parametrize(("text", "hidden"), [
    ("see /home/alice/data/clip.mp4: broken", "see clip.mp4: broken"),
    ("'/data'", "'data'"),
    ("--out=/srv/x/y/ next", "--out=y next"),
    ("a\t/one/two,/three/four;", "a\ttwo,four;"),
    ("~/runs/a and ~bob/b", "a and b"),
    ("C:\\Users\\al\\clip.mp4 or C:/Users/al", "clip.mp4 or al"),
    ("\\\\server\\share\\clip.mp4", "clip.mp4"),
    ("file:///home/alice/x.png", "x.png"),
    ("https://huggingface.co/Wan-AI/Wan2.1 stays", "https://huggingface.co/Wan-AI/Wan2.1 stays"),
    ("runs/a/b, ../c, ./d, 1/2, and/or, a / b, </details>", "runs/a/b, ../c, ./d, 1/2, and/or, a / b, </details>"),
    ("[x](y/z.png) `models/loras`", "[x](y/z.png) `models/loras`"),
])  # fmt: skip
def test_hide_paths(text, hidden):
    assert hide_paths(text) == hidden
    assert hide_paths(hidden) == hidden


def test_known_folders_may_hold_spaces():
    known = ["/mnt/disk 1/set", "/mnt/disk 1"]
    assert hide_paths("/mnt/disk 1/set/a b.mp4 in '/mnt/disk 1/set', /mnt/disk 1", known) == "a b.mp4 in 'set', disk 1"
    assert hide_paths("/mnt/disk 1/set2/a.mp4", known) == "set2/a.mp4"


def test_what_is_a_path():
    assert all(map(is_absolute, ("/a", "~/a", "C:\\a", "c:/a", "\\\\server\\a", "file:///a")))
    assert not any(map(is_absolute, ("a/b", "owner/name", "https://a/b", "~3 dB", "../a", "", "a:b")))


@pytest.mark.parametrize(("changes", "message"), [
    ({"task": "video"}, "task is 'video'; it must be one of text-to-video, image-to-video"),
    ({"lora_parameters": 0, "adapter_parameters": 0}, "neither a LoRA nor an adapter"),
    ({"images": {"run": "/tmp/curves.png"}}, r"'run': /tmp/curves\.png must be relative"),
    ({"images": {"run": "../curves.png"}}, "must be relative to the card"),
    ({"lora_files": {"comfyui": "~/x.safetensors"}}, "must be relative"),
    ({"lora_files": {"a1111": "x"}}, "'a1111' is not one of comfyui, diffsynth"),
    ({"results": {"EA-8": {"value": 0.5}}}, "'EA-8' needs a value and its n"),
])  # fmt: skip
def test_bad_input(card, changes, message):
    with pytest.raises(ValueError, match=message):
        card(**changes)
