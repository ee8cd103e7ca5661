"""The page's walk: a clip made, clips labelled, a model trained on them and judged, all in a headless browser.

python benchmarks/walks/studio.py --work FOLDER [--pictures docs/pictures] [--quick]

It needs the extra `studio`, selenium, and Chromium with its driver.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from headless import NoBrowser, Person, free_port
from walk import Walk, command_line

FEW = "--validation_steps 0 --train_batch_size 2 --lr_warmup_steps 0 --height 32 --width 32"
"""Options of a training that takes seconds."""
ENOUGH = """--num_stickers 90 --train_batch_size 4 --lr_warmup_steps 3 --logging_steps 2 --validation_steps 6 \
--validation_clips 9 --preview_steps 12 --num_inference_steps 6 --validation_emotions '[joy, fear, sadness]' \
--validation_prompts '["a flat sticker of a round yellow face"]'"""
"""Options of a training in minutes that shows curves."""


def shoot(walk: Walk, name: str, top: str = "") -> None:
    """Keep what the browser shows, once a part of the page is scrolled to its upper edge."""
    browser = walk.browser()
    script = (
        "const e = arguments[0] && document.querySelector(arguments[0]); if (e) e.scrollIntoView(); else scrollTo(0, 0)"
    )
    browser.execute_script(script, top)
    shot = walk.work.parent / f"{name}.png"
    browser.save_screenshot(str(shot))
    walk.keep(shot, f"{name}.webp", width=640, quality=30)


def make(walk: Walk, person: Person, number: int = 1) -> None:
    """Press an emotion and Generate; a clip comes (by the trained weights, once they are open), and it is judged."""
    person.press("#emotions [data-name=fear]")
    person.sees("#asked code", "fear")
    person.writes("#seed", str(number))
    if walk.quick:
        person.writes("#steps", "2")
    before = len(walk.browser().find_elements("css selector", "#gallery .card"))
    person.press("#generate")
    person.until(lambda: len(walk.browser().find_elements("css selector", "#gallery .card")) > before, "another clip")
    person.ends("#notice", "Done")
    person.still("#clip")
    person.sees("#reading", "As the judge reads it")


def label(walk: Walk, person: Person, clips: int) -> str:
    """Drop clips with their captions, label each, and write the set; returns its folder."""
    draw = "from emogen.stickers.dataset import write_sticker_dataset as draw"
    walk.type(f"python -c \"{draw}; draw('drawn', 18)\"", counts=False)
    rows = [json.loads(line) for line in (walk.work / "drawn/metadata.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["emotion"] != "neutral"][:clips]
    files: list[Path] = []
    for row in rows:
        clip = walk.work / "drawn" / row["file_name"]
        clip.with_suffix(".txt").write_text(row["caption"])
        files += [clip, clip.with_suffix(".txt")]
    felt = {Path(row["file_name"]).name: row["emotion"] for row in rows}
    person.press("#rooms button[role=tab]", "Data")
    person.gives("#drop", *files)
    person.sees("#data-problems", f"0 of {clips} clips are ready")
    person.press("#data-gallery .card")
    for done in range(1, clips + 1):
        shown = person.until(lambda: next((n for n in felt if n in person.sees("#data-clip").text), None), "a clip")
        person.press(f"#data-labels [data-name={felt.pop(shown)}]")
        person.sees("#data-problems", f"{done} of {clips} clips are ready")
        if done == clips - 1:
            person.still("#data-gallery")
            shoot(walk, "studio_data")
    person.press("#data-write")
    person.ends("#data-notice", "The data set is written")
    person.press("#rooms button[role=tab]", "Train")
    field = "#train-data textarea, #train-data input"
    return person.until(lambda: person.found(field).get_attribute("value"), "the set, under Train")


def train(walk: Walk, person: Person) -> None:
    """Look at what it takes, start it, watch its curves, and open what came of it."""
    person.writes("#train-output", "runs/mine")
    person.writes("#train-steps", "2" if walk.quick else "24")
    person.writes("#train-more", FEW if walk.quick else ENOUGH)
    if not walk.quick:
        person.writes("#train-data", "")  # the configuration's own, of which there are more
        person.press("#train-dry")
        person.ends("#train-notice", "This would run")
        person.sees("#train-table", "memory forecast")
    person.press("#train-start")
    person.ends("#train-status", "Finished")
    person.sees("#train-charts svg")
    if not walk.quick:
        person.still("#train-previews")
        shoot(walk, "studio_train", top="#rooms")
    person.press("#train-open")
    person.sees("#model", "runs/mine")  # the page goes there by itself


def evaluate(walk: Walk, person: Person) -> None:
    """Have a benchmark run with the trained weights beside its systems, and see the report."""
    config = yaml.safe_load((walk.work / "configs/eval/tiny.yaml").read_text())
    kept = ("drawn", "sentence") if walk.quick else ("drawn", "sentence", "emogen")
    config["systems"] = {name: config["systems"][name] for name in kept}
    config |= {"num_prompts": {"rendered": 1}, "generation": {"num_inference_steps": 2 if walk.quick else 6}}
    (walk.work / "configs/eval/tiny.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    person.press("#rooms button[role=tab]", "Evaluate")
    person.writes("#eval-adapter", "runs/mine")
    person.writes("#eval-prompts", "1")
    person.press("#eval-start")
    person.ends("#eval-status", "Finished")
    frame = person.sees("#eval-report iframe")
    person.until(lambda: "yours" in (frame.get_attribute("srcdoc") or ""), "the report with the trained weights")
    shoot(walk, "studio_evaluate", top="#rooms")


def walk_on(walk: Walk) -> None:
    """Make, Data, Train, Evaluate, in this order; and the page at a phone's width."""
    try:
        browser = walk.browser()
    except NoBrowser as error:
        walk.left_out.append(f"the page was not walked: {error}")
        return
    browser.set_window_size(1280, 1000)
    port = free_port()
    command = ["emogen", "studio", "--no_browser", "--port", str(port)]
    with walk.serving(command, port, "studio.log") as address:
        person = Person(browser, address)
        make(walk, person)
        shoot(walk, "studio_make")
        label(walk, person, 2 if walk.quick else 8)
        train(walk, person)
        evaluate(walk, person)
        person.press("#rooms button[role=tab]", "Make")
        make(walk, person, 2)
        walk.made("outputs/studio/*.webp", at_least=2)
        browser.set_window_size(500, 900)
        person = Person(browser, address)
        person.sees("#emotions [data-name=fear]")
        shoot(walk, "studio_phone")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    return command_line(__doc__, walk_on, argv)


if __name__ == "__main__":
    raise SystemExit(main())
