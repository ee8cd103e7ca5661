"""A study that is served: who may answer, what is kept, and that it is blind and balanced; the page in a browser."""

import contextlib
import json
import socket
import threading
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from parts import chromium

from emogen.emotion import MIKELS
from emogen.eval.study.build import Asked, build_study
from emogen.eval.study.page import Words
from emogen.eval.study.server import Votes, serve_study
from emogen.eval.study.votes import read_key, read_votes, summarise_votes
from emogen.local_server import serve_in_background
from emogen.media.writer import write_video
from emogen.settings import ConfigError

PAIRS, NAMES = 4, 2


@pytest.fixture
def study(tmp_path):
    """Six clips of two systems, of which four pairs are compared and two clips are named."""
    rows = []
    for system in ("base", "ours"):
        for index in range(6):
            emotion = MIKELS[index]
            name = f"clips/{system}/{index}.png"
            write_video(tmp_path / "out" / name, np.full((2, 32, 32, 3), 20 * index + (system == "ours"), np.uint8), 8)
            rows.append({"system": system, "clip": str(index), "file": name, "prompt": f"p{index}", "emotion": emotion,
                         "judges": {"embedded": {"read": emotion}}})  # fmt: skip
    systems = [{"name": name, "clips": None} for name in ("base", "ours")]
    results = {"rows": rows, "config": {"systems": systems}, "summary": {"judge": "embedded"}}
    words = Words("How do they feel?", "You may stop.\n\nNothing else is kept.", "Ada")
    folder = tmp_path / "study"
    build_study(results, tmp_path / "out", folder, ("base", "ours"), Asked(PAIRS, NAMES), words)
    return folder


@contextlib.contextmanager
def served(study, voters=1, most=None):
    votes = Votes(study, most=most)
    server = serve_study(votes, study, port=0)
    serve_in_background(server)
    try:
        yield votes, f"http://127.0.0.1:{server.server_address[1]}", votes.invite(voters)
    finally:
        server.shutdown()
        server.server_close()


def ask(address, path, token, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}{path}?token={token}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_votes_are_kept_at_once_and_read_like_downloaded_ones(study):
    key = read_key(study.with_name("study.key.json"))
    with served(study, voters=2) as (votes, address, tokens):
        for token in tokens.values():
            order = ask(address, "/api/study", token)[1]["order"]
            assert ask(address, "/api/begin", token, {"consent": True})[0] == 200
            for question, _ in order:
                about = key["questions"][question]
                answer = next((s for s in ("left", "right") if about.get(s) == "ours"), about["emotion"])
                vote = {"id": question, "answer": answer, "seconds": 1.5}
                assert ask(address, "/api/vote", token, vote)[0] == 200
        files = [votes.folder / f"votes-{code}.json" for code in tokens]
        assert votes.counts() == dict.fromkeys(tokens, (PAIRS + NAMES, PAIRS + NAMES))
        first = next(iter(tokens.values()))
        ask(address, "/api/undo", first, {"id": order[0][0]})
        again = Votes(study)  # what a server that begins anew knows
        assert again.invite(2) == tokens and len(again.state(next(iter(tokens)))["votes"]) == PAIRS + NAMES - 1
    found = summarise_votes(key, read_votes(key, files))
    assert found["voters"] == 2 and found["preference"]["value"] == 1.0
    assert {system: figures["EA-8"]["value"] for system, figures in found["named"].items()} == {"base": 1, "ours": 1}


def test_nobody_answers_without_an_address_an_agreement_and_a_question_of_their_own(study):
    with served(study, voters=2, most=3) as (votes, address, tokens):
        token = next(iter(tokens.values()))
        assert ask(address, "/api/study", "guessed")[0] == 403
        assert ask(address, "/", token, Host="evil.example:80")[0] == 403
        asked = [question for question, _ in ask(address, "/api/study", token)[1]["order"]]
        pair = next(q for q in votes.questions if votes.questions[q]["kind"] == "pair" and q in asked)
        other = next(q for q in votes.questions if q not in asked)
        good = {"id": pair, "answer": "left", "seconds": 1}
        assert "agree to take part" in ask(address, "/api/vote", token, good)[1]["error"]
        assert ask(address, "/api/begin", token, {"consent": "no"})[0] == 400
        assert ask(address, "/api/begin", token, {"consent": True})[0] == 200
        for wrong, why in (
            ({"id": other}, "not asked"),
            ({"id": ["x"]}, "not asked"),
            ({"answer": "fear"}, "no answer"),
            ({"answer": None}, "no answer"),
            ({"seconds": -1}, "seconds"),
            ({"seconds": "1"}, "seconds"),
        ):
            status, said = ask(address, "/api/vote", token, good | wrong)
            assert status == 400 and why in said["error"]
        assert ask(address, "/api/vote", token, good)[0] == 200
        assert not {path.name for path in study.rglob("*")} & {"voters.json", "study.key.json"}
        for path in ("/study.json", "/clips/../study.json", "/voters.json", "/clips/voters.json"):
            assert ask(address, path, token)[0] == 404
        with pytest.raises(ConfigError, match="--questions is 99"):
            Votes(study, most=99)


def test_questions_and_sides_are_dealt_evenly_and_every_voter_has_an_order(study):
    votes = Votes(study, most=3)
    orders = [votes.state(code)["order"] for code in votes.invite(8)]
    assert set(Counter(question for order in orders for question, _ in order).values()) == {4}
    assert set(Counter(question for order in orders for question, flip in order if flip).values()) == {2}
    assert len({str(order) for order in orders}) > 4


@pytest.mark.parametrize(("name", "damage", "why"), [
    ("study.json", "[]", "holds no study"),
    ("study.json", None, "no study there"),
    ("voters.json", '{"study": "other", "voters": {}}', "belongs to study other"),
    ("voters.json", '{"study": 3}', "holds no voters"),
])  # fmt: skip
def test_damaged_files_are_named(study, name, damage, why):
    path = study / name if name == "study.json" else study.with_name("study.votes") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(damage) if damage else path.unlink()
    with pytest.raises(ConfigError, match=why):
        Votes(study)


def test_the_command_gives_each_voter_an_address_and_counts_at_the_end(study, capsys, monkeypatch):
    from http.server import ThreadingHTTPServer

    from emogen.eval.study.__main__ import main

    def people(server, *_):
        address = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=served_by, args=(server,), daemon=True)
        serving.start()
        token = capsys.readouterr().out.split("token=")[1].split()[0]
        order = ask(address, "/api/study", token)[1]["order"]
        ask(address, "/api/begin", token, {"consent": True})
        first = order[0][0]
        answer = "tie" if first in pairs else "fear"
        assert ask(address, "/api/vote", token, {"id": first, "answer": answer, "seconds": 1})[0] == 200
        server.shutdown()
        raise KeyboardInterrupt

    questions = json.loads((study / "study.json").read_text())["questions"]
    pairs = {question["id"] for question in questions if question["kind"] == "pair"}
    served_by = ThreadingHTTPServer.serve_forever
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", people)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    assert main(["serve", str(study), "--voters", "3", "--questions", "2", "--port", port]) == 0
    assert "1 of 2 answered" in capsys.readouterr().out
    for words, why in ((["--voters", "0"], "--voters is 0"), (["--port", "0"], "--port is 0"),
                       (["--questions", "99"], "--questions is 99")):  # fmt: skip
        assert main(["serve", str(study), *words]) == 2 and why in capsys.readouterr().err
    assert main(["serve", str(study / "clips")]) == 2 and "no study there" in capsys.readouterr().err


@pytest.fixture
def browser():
    yield from chromium()


def borders(browser):
    """The colours of the answers' borders: more than one where an answer is marked."""
    script = "return [...document.querySelectorAll('[data-answer]')].map(b => getComputedStyle(b).borderColor)"
    return set(browser.execute_script(script))


def current_kind(browser):
    return browser.execute_script("return current && !main.querySelector('[data-answer]').disabled && current.kind")


def answer_all(browser, key, phone=False):
    """Take part: prefer ours, name clips as asked, alternately by key and by click. Returns the texts of "n of N"."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    wait = WebDriverWait(browser, 30, poll_frequency=0.05)
    begin = wait.until(lambda d: d.find_element(By.ID, "begin"))
    text = browser.find_element(By.TAG_NAME, "main").text
    assert "What to do" in text and "Nothing else is kept." in text and "Questions: Ada" in text
    assert not begin.is_enabled()
    browser.find_element(By.ID, "agree").click()
    begin.click()
    counted, seen = [], set()
    ready = "return current && !document.querySelector('[data-answer]').disabled && [current.id, current.flip]"
    gone = "return !busy && (!current || current.id !== arguments[0])"
    for number in range(PAIRS + NAMES):
        now, flip = wait.until(lambda d: d.execute_script(ready))
        counted.append(browser.find_element(By.ID, "count").text)
        about = key["questions"][now]
        side = "left" if about.get("left") == "ours" else "right"
        wanted = ({"left": "right", "right": "left"}[side] if flip else side) if "left" in about else about["emotion"]
        button = browser.find_element(By.CSS_SELECTOR, f"[data-answer={wanted}]")
        if not phone:  # the answers of the other kind have no keys here
            body, other = browser.find_element(By.TAG_NAME, "body"), "\ue012" if "left" not in about else "4"
            body.send_keys(other)
            assert browser.execute_script("return current.id") == now
        if number % 2 or phone:
            button.click()
        else:
            pressed = {"left": "\ue012", "right": "\ue014"}
            ActionChains(browser).send_keys(pressed.get(wanted) or str(MIKELS.index(wanted) + 1)).perform()
        wait.until(lambda d, now=now: d.execute_script(gone, now))
        assert len(borders(browser)) <= 1
        if current_kind(browser) == "pair" and not phone and "moved" not in seen:
            hover = ActionChains(browser).move_to_element(browser.find_element(By.CSS_SELECTOR, "[data-answer=left]"))
            hover.move_by_offset(3, 2).perform()
            wait.until(lambda d: len(borders(d)) == 2)
            seen.add("moved")
    return counted


def test_a_voter_is_led_through_and_a_resting_pointer_marks_nothing(browser, study):
    from selenium.webdriver.common.by import By

    key = read_key(study.with_name("study.key.json"))
    with served(study, voters=1) as (votes, address, tokens):
        ((code, token),) = tokens.items()
        browser.get(f"{address}/?token={token}")
        assert answer_all(browser, key) == [f"{n} of {PAIRS + NAMES}" for n in range(1, PAIRS + NAMES + 1)]
        assert browser.find_element(By.ID, "mine").text == code
        found = summarise_votes(key, read_votes(key, [votes.folder / f"votes-{code}.json"]))
    assert found["preference"]["value"] == 1.0 and found["preference"]["n"] == PAIRS
    assert all(figures["EA-8"]["value"] == 1 for figures in found["named"].values())


def test_the_page_as_a_file_on_a_phone_gives_the_votes_to_download(browser, study, tmp_path):
    from selenium.webdriver.common.by import By

    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True})  # fmt: skip
    browser.get((study / "index.html").as_uri())
    key = read_key(study.with_name("study.key.json"))
    answer_all(browser, key, phone=True)
    link = browser.find_element(By.ID, "file")
    file = tmp_path / link.get_attribute("download")
    read = "const done = arguments[0]; fetch(document.getElementById('file').href).then(r => r.text()).then(done)"
    file.write_text(browser.execute_async_script(read))
    assert summarise_votes(key, read_votes(key, [Path(file)]))["preference"]["value"] == 1.0
    browser.find_element(By.ID, "back").click()
    assert browser.find_element(By.ID, "count").text == f"{PAIRS + NAMES} of {PAIRS + NAMES}"
    assert not browser.execute_script("return document.documentElement.scrollWidth > innerWidth")
