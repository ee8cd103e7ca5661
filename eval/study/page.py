"""The page that people vote on: welcome and consent, a question a screen, thanks. One file, no network.

Opened as a file or from any web server it keeps the votes in the browser until the voter downloads them. Opened with a
`token` in its address it asks its server (`emogen.eval.study.server`) which questions to show, and sends every answer.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONSENT = (
    "Your answers, the time each took and your voter code are stored, and nothing else about you. They are used to "
    "compare ways of making video clips. Some clips show anger, disgust, fear or sadness. Taking part is voluntary: "
    "you may stop at any moment by closing this page."
)


@dataclass(frozen=True)
class Words:
    """What a study says to those who take part.

    Attributes:
        title: heading of the page.
        consent: what they agree to before the first question; blank lines part paragraphs.
        contact: whom to ask or to send the votes to; "" leaves it out.
    """

    title: str = "Which emotion?"
    consent: str = CONSENT
    contact: str = ""


def study_page(data: Mapping[str, Any], words: Words) -> str:
    """The page as HTML.

    Args:
        data: the study's fingerprint, the emotions and the questions; clips by their place beside the page.
    """
    settings = {**data, "words": vars(words)}
    # In a script, < can end it or begin a comment that swallows the page.
    script = _SCRIPT.replace("/*DATA*/", json.dumps(settings).replace("<", "\\u003c"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1"><link rel="icon" href="data:,"><title>'
        f"{html.escape(words.title)}</title><style>{_STYLE}</style>"
        '</head><body><header id="head" hidden><progress id="bar" value="0"></progress><span id="count" role="status">'
        f'</span></header><main id="main"></main><script>{script}</script></body></html>'
    )


# A pointer that rests where the next question puts a button must not mark an answer: buttons show that they are under
# the pointer only once it has moved on this screen (body.moved).
_STYLE = """
:root{color-scheme:light dark;--line:#8886;--accent:#2f6fb0}*{box-sizing:border-box}[hidden]{display:none!important}
body{margin:0;font:17px/1.5 system-ui,sans-serif}
header{display:flex;gap:1rem;align-items:center;max-width:52rem;margin:auto;padding:.6rem 1rem}
header progress{flex:1}#count{white-space:nowrap;font-variant-numeric:tabular-nums}
main{max-width:52rem;margin:auto;padding:0 1rem 2rem;text-align:center}main.text{text-align:left;max-width:40rem}
h1{font-size:1.5rem;line-height:1.3;margin:.6rem 0 1rem;outline:none}h1 em{font-style:normal;border-bottom:3px solid}
h2{font-size:1.05rem;margin:1.4rem 0 .3rem}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem;max-width:44rem;margin:auto}
.clip{display:grid;place-items:center;background:#8882;border-radius:10px;overflow:hidden;aspect-ratio:1;
max-height:58dvh;margin:0 auto;width:100%}
.one .clip{max-width:min(24rem,44dvh)}.clip img,.clip video{width:100%;height:100%;object-fit:contain}
button,.button{font:inherit;min-height:3rem;padding:.5rem .8rem;border:1px solid var(--line);border-radius:10px;
background:#8881;color:inherit;cursor:pointer;text-decoration:none}
button:disabled{opacity:.45;cursor:default}button:focus-visible{outline:3px solid var(--accent)}
body.moved button:not(:disabled):hover{border-color:var(--accent)}
.main{background:var(--accent);color:#fff;border-color:var(--accent);padding:.6rem 1.6rem;display:inline-block}
.pair button{width:100%;margin-top:.6rem}.wide{margin-top:1rem;min-width:50%}
.names{display:grid;gap:.5rem;grid-template-columns:repeat(4,1fr);margin:1rem auto 0;max-width:44rem}
.foot{display:flex;justify-content:space-between;gap:1rem;margin-top:1.2rem;font-size:.85rem;opacity:.8}
.foot button{min-height:2.2rem;padding:.2rem .8rem;font-size:.85rem}
kbd{font:inherit;border:1px solid var(--line);border-radius:5px;padding:0 .4em}
#bad{color:#c0392b;min-height:1.5em;margin:.6rem 0 0}label{display:block;margin:1rem 0}
input[type=text]{font:inherit;padding:.4rem .6rem;border:1px solid var(--line);border-radius:8px;width:14rem;
max-width:100%;background:transparent;color:inherit}
@media(max-width:36rem){.names{grid-template-columns:1fr 1fr}.keys{display:none}body{font-size:16px}
h1{font-size:1.25rem;margin:.2rem 0 .6rem}.pair{gap:.6rem}.one .clip{max-width:min(100%,34dvh)}}
"""

_SCRIPT = """
const study = /*DATA*/;
const token = new URLSearchParams(location.search).get("token");
const place = "emogen-study-" + study.study, main = document.getElementById("main");
const draw = length => Array.from(crypto.getRandomValues(new Uint8Array(length)),
  n => "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"[n % 32]).join("");
let state = null, order = [], current = null, since = 0, busy = false, kept = true;

// A voter's own numbers: another order for everybody, and each pair the other way round for half of them.
const rank = text => {
  let h = 2166136261;
  for (const c of state.voter + text) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
  h = Math.imul(h ^ h >>> 15, 2246822519);
  return (h ^ h >>> 13) >>> 0;
};
const SWAPPED = {left: "right", right: "left"};
const meant = answer => current.flip && SWAPPED[answer] || answer;

function put(tag, about = {}, ...inside) {
  const made = Object.assign(document.createElement(tag), about);
  made.append(...inside);
  return made;
}
const paragraphs = text => text.split(/\\n\\s*\\n/).map(part => put("p", {textContent: part.trim()}));
function screen(className, ...parts) {
  document.body.classList.remove("moved");
  main.className = className;
  main.replaceChildren(...parts, put("p", {id: "bad", role: "alert"}));
  const heading = main.querySelector("h1");
  heading.tabIndex = -1;
  heading.focus({preventScroll: true});
  scrollTo(0, 0);
}
const complain = text => { document.getElementById("bad").textContent = text; };
addEventListener("pointermove", event => {
  if (event.movementX || event.movementY) document.body.classList.add("moved");
});

async function call(path, body) {
  const answer = await fetch(path + "?token=" + encodeURIComponent(token), body === undefined ? {} :
    {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error || answer.statusText);
  return value;
}
function keep() {
  if (token) return;
  try { localStorage.setItem(place, JSON.stringify(state)); } catch { kept = false; }
}
function arrange() {
  const known = new Map(study.questions.map(q => [q.id, q]));
  order = state.order ? state.order.map(([id, flip]) => ({...known.get(id), flip}))
    : study.questions.map(q => ({...q, flip: rank("side" + q.id) % 2 === 1})).sort((a, b) => rank(a.id) - rank(b.id));
}

function welcome() {
  const pairs = order.filter(q => q.kind === "pair").length, names = order.length - pairs;
  const agree = put("input", {type: "checkbox", id: "agree"});
  const code = put("input", {type: "text", id: "code", value: state.voter, maxLength: 40, readOnly: Boolean(token),
    spellcheck: false, autocomplete: "off"});
  const begin = put("button", {className: "main", textContent: "Begin", id: "begin", disabled: true});
  const agreed = () => { begin.disabled = !agree.checked || !code.value.trim(); };
  agree.onchange = code.oninput = agreed;
  begin.onclick = async () => {
    const voter = code.value.trim();
    if (!token && voter !== state.voter) { state.voter = voter; arrange(); }
    state.consent = new Date().toISOString();
    try { if (token) await call("/api/begin", {consent: true}); } catch (error) { return complain(error.message); }
    keep();
    next();
  };
  const tasks = [];
  if (pairs) tasks.push(put("li", {}, `Two clips side by side (${pairs} times): choose the one that shows more of ` +
    "the emotion that is named above them."));
  if (names) tasks.push(put("li", {}, `One clip (${names} times): choose the word that says best what it feels like.`));
  screen("text", put("h1", {textContent: study.words.title}),
    put("p", {textContent: `Welcome. You will see ${order.length} short clips or pairs of clips, which takes about ` +
      `${Math.max(1, Math.round(order.length * 8 / 60))} minutes. They loop: look as long as you like.`}),
    put("h2", {textContent: "What to do"}), put("ul", {}, ...tasks),
    put("p", {textContent: "There is no right answer; your first impression counts. You can go back to the question " +
      "before."}),
    put("h2", {textContent: "What you agree to"}), ...paragraphs(study.words.consent),
    ...(study.words.contact ? [put("p", {textContent: "Questions: " + study.words.contact})] : []),
    put("label", {}, agree, " I have read this, and I take part."),
    put("label", {}, "Your voter code ", code, put("br"), put("small", {textContent: token ? "It was drawn for you." :
      "Keep it, or type the code that you were given."})), begin);
}

function shown(source) {
  const film = /\\.(mp4|webm)$/.test(source);
  const clip = put(film ? "video" : "img",
    film ? {autoplay: true, loop: true, muted: true, playsInline: true} : {alt: "clip"});
  const there = new Promise((resolve, reject) => {
    clip[film ? "onloadeddata" : "onload"] = resolve;
    clip.onerror = () => reject(new Error("clip"));
  });
  clip.src = source + (token ? "?token=" + encodeURIComponent(token) : "");
  return [put("div", {className: "clip"}, clip), there];
}
const choice = (answer, text, key) => {
  const button = put("button", {textContent: text, disabled: true, onclick: () => vote(answer)});
  button.dataset.answer = answer;
  button.dataset.key = key;
  return button;
};

function next() {
  const votes = state.votes, left = order.filter(q => !(q.id in votes) && !(state.skipped || []).includes(q.id));
  const head = document.getElementById("head"), bar = document.getElementById("bar");
  current = left[0];
  head.hidden = !current;
  if (!current) return done();
  const seen = order.length - left.length;
  bar.max = order.length;
  bar.value = seen;
  document.getElementById("count").textContent = `${seen + 1} of ${order.length}`;
  const loading = [], clipOf = source => { const [box, there] = shown(source); loading.push(there); return box; };
  const back = put("button", {textContent: "Back", id: "back", disabled: !newest()[0], onclick: undo});
  const foot = keys => put("div", {className: "foot"}, back, put("span", {className: "keys"}, ...keys));
  const key = text => put("kbd", {textContent: text});
  if (current.kind === "pair") {
    const sides = current.flip ? ["right", "left"] : ["left", "right"];
    screen("", put("h1", {}, "Which shows more ", put("em", {textContent: current.emotion}), "?"),
      put("div", {className: "pair"}, ...sides.map((side, i) => put("div", {}, clipOf(current[side]),
        choice(["left", "right"][i], ["left", "right"][i], ["ArrowLeft", "ArrowRight"][i])))),
      choice("tie", "no difference", "0"),
      foot(["Keys: ", key("\\u2190"), " left, ", key("\\u2192"), " right, ", key("0"), " no difference"]));
    main.querySelector("[data-answer=tie]").classList.add("wide");
  } else {
    screen("one", put("h1", {textContent: "What does this clip feel like?"}), clipOf(current.clip),
      put("div", {className: "names"}, ...study.emotions.map((e, i) => choice(e, e, String(i + 1)))),
      foot(["Keys: ", key("1"), " to ", key(String(study.emotions.length)), " in this order"]));
  }
  const asked = current;
  Promise.all(loading).then(() => {
    if (asked !== current) return;
    for (const button of main.querySelectorAll("[data-answer]")) button.disabled = false;
    since = performance.now();
  }, () => {
    if (asked !== current) return;
    complain("A clip of this question cannot be shown here. ");
    document.getElementById("bad").append(put("button", {textContent: "Leave it out", id: "skip", onclick: () => {
      (state.skipped ||= []).push(asked.id);
      keep();
      next();
    }}));
  });
}
async function vote(answer) {
  if (busy || !current) return;
  busy = true;
  const id = current.id, given = {answer: meant(answer), n: 1 + newest()[1],
    seconds: Math.round((performance.now() - since) / 100) / 10};
  try {
    if (token) await call("/api/vote", {id, ...given});
    state.votes[id] = given;
    keep();
    next();
  } catch (error) { complain("Not saved: " + error.message + ". Try again."); }
  busy = false;
}
const newest = () => Object.entries(state.votes).reduce((best, [id, v]) => v.n > best[1] ? [id, v.n] : best, [null, 0]);
async function undo() {
  const last = newest()[0];
  if (busy || !last) return;
  busy = true;
  try {
    if (token) await call("/api/undo", {id: last});
    delete state.votes[last];
    keep();
    next();
  } catch (error) { complain("Not taken back: " + error.message + ". Try again."); }
  busy = false;
}
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !current) return;
  const button = [...main.querySelectorAll("[data-answer]")].find(one => one.dataset.key === event.key);
  if (!button || button.disabled) return;
  event.preventDefault();
  vote(button.dataset.answer);
});
function done() {
  const file = new Blob([JSON.stringify({study: study.study, ...state})], {type: "application/json"});
  const name = `votes-${state.voter.replace(/[^A-Za-z0-9_-]/g, "_")}.json`;
  const link = put("a", {className: "button main", id: "file", download: name, href: URL.createObjectURL(file),
    textContent: token ? "Download a copy" : "Download your votes"});
  const send = token ? "Your answers are kept. You may close this page." :
    `Download your votes and send the file ${name} to ${study.words.contact || "whoever asked you"}. Until then they ` +
    "are in this browser alone.";
  screen("text", put("h1", {textContent: "Thank you."}), put("p", {textContent: send}),
    put("p", {}, "Your voter code: ", put("b", {id: "mine", textContent: state.voter})), put("p", {}, link),
    ...(newest()[0] ? [put("p", {}, put("button", {textContent: "Back to the last question", id: "back",
      onclick: undo}))] : []));
}
addEventListener("beforeunload", event => { if (!kept && current) event.preventDefault(); });
(async () => {
  try {
    if (token) state = await call("/api/study");
    else {
      try { state = JSON.parse(localStorage.getItem(place)); } catch { kept = false; }
      state ||= {voter: draw(6), votes: {}};
    }
    arrange();
    state.consent ? next() : welcome();
  } catch (error) { screen("text", put("h1", {textContent: "This page cannot begin."})); complain(error.message); }
})();
"""
