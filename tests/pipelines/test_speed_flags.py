"""The flags for speed and memory: read, and refused before a model is loaded."""

import argparse

import pytest

from emogen.emotion import EmotionArc, EmotionState
from emogen.pipelines.speed import SpeedError, SpeedOptions, add_speed_arguments, speed_from_args


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--cache first", "--cache is 'first'; it takes none, first_block"),
        ("--offload disk", "--offload is 'disk'; it takes none, model"),
        ("--attention_backend fast", "--attention_backend is 'fast'; diffusers knows .*xformers"),
        ("--cache pyramid", "--cache pyramid: .*one state for all branches of guidance"),
        ("--cache faster_cache", "--cache faster_cache: .*in one batch.*one state"),
        ("--cache_threshold 0.1", "--cache_threshold is for --cache first_block and magcache, not --cache none"),
        ("--cache first_block --cache_interval 3", "--cache_interval is for --cache taylorseer, not --cache first"),
        ("--cache first_block --cache_threshold -1", "--cache_threshold is -1.0; it takes 0 to 10"),
        ("--cache taylorseer --cache_order 7", "--cache_order is 7; it takes 0 to 3"),
        ("--cache taylorseer --cache_interval 0", "--cache_interval is 0; it takes 1"),
        ("--cache magcache", "--cache magcache needs the model's own ratios.*--write_mag_ratios"),
        ("--cache magcache --mag_ratios none.json", "--mag_ratios none.json: cannot be read"),
        ("--offload_folder /tmp", "--offload_folder is for --offload group_disk"),
        ("--ulysses 0", "--ulysses is 0; it is a number of processes"),
        ("--ulysses 2 --cache first_block", "wait for each other forever"),
        ("--ring 2 --offload group", "--offload group with --ulysses or --ring has not been shown"),
        ("--compile --cache taylorseer", "--compile with --cache"),
        ("--compile --fp8", "--compile with --fp8"),
        ("--compile --ulysses 2", "--compile with --ulysses"),
    ],
)
def test_flags_that_are_refused_before_a_model_is_loaded(flags, message):
    parser = argparse.ArgumentParser()
    add_speed_arguments(parser)
    with pytest.raises(SpeedError, match=message):
        speed_from_args(parser.parse_args(flags.split()))


def test_flags(tmp_path):
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_inference_steps", type=int)
    add_speed_arguments(parser)
    assert speed_from_args(parser.parse_args([])) == SpeedOptions()
    file = tmp_path / "ratios.json"
    file.write_text("[1, 0.99]")
    found = speed_from_args(parser.parse_args(
        f"--cache magcache --mag_ratios {file} --cache_max_skip 2 --num_inference_steps 9 --fp8 --vae_tiling "
        "--attention_backend native --offload model".split()
    ))  # fmt: skip
    assert found == SpeedOptions(
        cache="magcache", mag_ratios=(1.0, 0.99), cache_max_skip=2, num_inference_steps=9, layerwise_casting=True,
        vae_tiling=True, attention_backend="native", offload="model",
    )  # fmt: skip
    assert found.places_model and not SpeedOptions(layerwise_casting=True).places_model
    for text, message in (("[1, -2]", "positive numbers"), ("[1]", "JSON list"), ("{", "not JSON"), ("3", "JSON list")):
        file.write_text(text)
        with pytest.raises(SpeedError, match=message):
            speed_from_args(parser.parse_args(["--cache", "magcache", "--mag_ratios", str(file)]))


def test_arcs_and_context_parallelism():
    arc, fear = EmotionArc.parse("0:fear 1:awe"), EmotionState.neutral()
    with pytest.raises(SpeedError, match="changes over the clip cannot run with --ulysses or --ring"):
        SpeedOptions(ulysses=2).check_emotion([fear, arc])
    SpeedOptions(ring=2).check_emotion(fear)
    SpeedOptions(cache="first_block").check_emotion(arc)
