"""Three scripted annotators over sixty clips, through the server; what they answered is what is kept."""

import json
import threading
import urllib.error
import urllib.request
from collections import Counter

import numpy as np
import pytest

from emogen.curation.agreement import krippendorff
from emogen.curation.label_server import Shown, serve
from emogen.curation.label_store import LabelError, LabelStore, Plan, offered_first
from emogen.curation.labels import ANSWERS, answers
from emogen.local_server import serve_in_background


def labelling(tmp_path, count=60, **plan):
    clips = {}
    for number in range(count):
        path = tmp_path / f"clip{number}.webp"
        path.write_bytes(bytes([number]) * (1000 + number))
        clips[f"c{number}"] = Shown(path)
    store = LabelStore(tmp_path / "labels.sqlite", Plan(**plan))
    assert store.add_items(list(clips)) == count
    server = serve(store, clips, port=0)
    serve_in_background(server)
    return store, server, f"http://127.0.0.1:{server.server_address[1]}"


def ask(address, token, path, body=None, headers=()):
    request = urllib.request.Request(
        f"{address}{path}?token={token}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **dict(headers)},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        content = response.read()
        kind = response.headers["Content-Type"]
        return response.status, json.loads(content) if kind == "application/json" else content


def refused(*args, **kwargs):
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(*args, **kwargs)
    return caught.value.code, json.loads(caught.value.read() or b"{}").get("error", "")


def test_three_annotators_at_once(tmp_path):
    store, server, address = labelling(tmp_path, repeat_every=10)
    rng = np.random.default_rng(0)
    said = {who: {f"c{n}": ANSWERS[rng.integers(9)] for n in range(60)} for who in ("ann", "bob", "cem")}
    again = {who: {} for who in said}

    def answer_all(who):
        token = store.token_of(who)
        state = ask(address, token, "/api/next")[1]
        while state["offer"]:
            clip, number = state["offer"]["clip_id"], state["offer"]["round"]
            if number == 2:
                again[who][clip] = said[who][clip]
            state = ask(address, token, "/api/vote", {
                "clip_id": clip, "round": number, "emotion": said[who][clip], "seconds": 1.5,
            })[1]  # fmt: skip

    threads = [threading.Thread(target=answer_all, args=(who,)) for who in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.shutdown()
    votes = store.votes()
    kept = answers(vote for vote in votes if vote["round"] == 1)
    assert kept == {f"c{n}": {who: said[who][f"c{n}"] for who in said} for n in range(60)}
    assert all(len(found) == 6 for found in again.values())
    assert Counter(vote["round"] for vote in votes) == {1: 180, 2: 18}
    audited = {vote["clip_id"] for vote in votes if vote["audit"]}
    assert 1 <= len(audited) <= 15
    truth = {f"c{n}": {who: said[who][f"c{n}"] for who in said} for n in range(60)}
    assert krippendorff(kept) == krippendorff(truth)
    assert store.progress("ann") == {"mine": 66, "left": 0, "done": 60, "all": 60}


def test_no_clip_is_offered_to_more_people_than_it_needs(tmp_path):
    store = LabelStore(tmp_path / "a.sqlite", Plan(annotators=1, repeat_every=0, audit_share=0))
    store.add_items(["a", "b"])
    first, second = store.offer("ann"), store.offer("bob")
    assert {first.clip_id, second.clip_id} == {"a", "b"} and store.offer("cem") is None
    assert store.offer("ann") == first  # a page that is loaded again shows the same clip
    store.vote("ann", first.clip_id, "unsure")
    assert store.offer("ann") is None and store.offer("cem").clip_id == first.clip_id  # "unsure" leaves the place free


def test_undo_gives_the_clip_back(tmp_path):
    store = LabelStore(tmp_path / "a.sqlite", Plan(audit_share=0))
    store.add_items(["a", "b"])
    assert store.undo("ann") is None
    store.vote("ann", store.offer("ann").clip_id, "fear")
    assert store.offer("ann").clip_id == "b"
    assert store.undo("ann") == "a" and store.offer("ann").clip_id == "a" and store.votes() == []


def test_a_labelling_goes_on_after_a_restart(tmp_path):
    store = LabelStore(tmp_path / "a.sqlite", Plan(audit_share=0))
    store.add_items(["a", "b"])
    token = store.token_of("ann")
    store.vote("ann", "a", "awe")
    later = LabelStore(tmp_path / "a.sqlite", Plan(audit_share=0))
    assert later.add_items(["a", "b", "c"]) == 1
    assert later.annotator(token) == "ann" and later.offer("ann").clip_id == "b"


def test_the_server_gives_nothing_away(tmp_path):
    store, server, address = labelling(tmp_path, 3)
    token = store.token_of("ann")
    assert b"no specific emotion" in ask(address, token, "/")[1]
    assert refused(address, "guess", "/api/next")[0] == 403
    assert refused(address, token, "/api/next", headers=[("Host", "evil.example")])[0] == 403
    for path in ("/media/../labels.sqlite", "/media/%2e%2e%2flabels.sqlite", "/media/c9", "/labels.sqlite"):
        assert refused(address, token, path)[0] == 404
    assert ask(address, token, "/media/c1")[1] == b"\x01" * 1001
    status, part = ask(address, token, "/media/c2", headers=[("Range", "bytes=1000-")])
    assert (status, part) == (206, b"\x02\x02")
    assert refused(address, token, "/media/c2", headers=[("Range", "bytes=5000-6000")])[0] == 416
    for body in ({"clip_id": "c0"}, {"clip_id": "c0", "emotion": "joyful", "round": 1}, [1],
                 {"clip_id": "nowhere", "emotion": "fear", "round": 1},
                 {"clip_id": "c0", "emotion": "fear", "round": 1, "seconds": "NaN"}):  # fmt: skip
        code, why = refused(address, token, "/api/vote", body)
        assert code == 400 and why
    server.shutdown()
    with pytest.raises(LabelError):
        store.token_of(" ")


def test_clips_that_judges_disagree_on_come_first():
    assert offered_first({"b": 0.2, "c": 0.9}, ["a", "b", "c"]) == ["c", "b", "a"]
