"""The page on which a person labels clips: one clip, nine answers, keys, undo; made for a desk and for a phone."""

from __future__ import annotations

import html
import json

from emogen.curation.labels import NONE, UNSURE
from emogen.emotion import MIKELS

_HINTS = {
    "amusement": "laughing, joking",
    "awe": "wonder, being overwhelmed",
    "contentment": "calm, at ease",
    "excitement": "thrilled, full of energy",
    "anger": "furious, annoyed",
    "disgust": "revolted, put off",
    "fear": "afraid, anxious",
    "sadness": "sad, hurt, lonely",
}

_STYLE = """
:root{color-scheme:light dark;--line:#8886}*{box-sizing:border-box}
body{margin:0;font:16px/1.4 system-ui,sans-serif;display:flex;flex-direction:column;min-height:100dvh}
header{display:flex;gap:1rem;align-items:center;padding:.5rem 1rem;border-bottom:1px solid var(--line)}
header progress{flex:1;min-width:4rem}#said{font-variant-numeric:tabular-nums;white-space:nowrap}
main{flex:1;display:grid;grid-template-columns:minmax(0,3fr) minmax(16rem,2fr);gap:1rem;padding:1rem;
max-width:80rem;width:100%;margin:auto}
#clip{display:grid;place-items:center;background:#8882;border-radius:.6rem;min-height:12rem}
#clip video,#clip img{max-width:100%;max-height:70dvh;border-radius:.6rem;min-width:min(16rem,100%)}
#answers{display:grid;grid-template-columns:1fr 1fr;gap:.5rem;align-content:start}
#question{grid-column:1/-1;margin:0 0 .2rem;font-weight:600}
button{font:inherit;text-align:left;padding:.55rem .7rem;border:1px solid var(--line);border-radius:.5rem;
background:#8881;color:inherit;cursor:pointer;min-height:3.4rem}
button:focus-visible{outline:2px solid #4a7dbd}
@media(hover:hover){button:hover{background:#8883}}button small{display:block;opacity:.75}
button b{opacity:.6;font-weight:400;float:right}button.wide{grid-column:1/-1;min-height:2.6rem}
#bad{grid-column:1/-1;color:#b3261e;min-height:1.4em;margin:0}
#end{display:none;margin:auto;text-align:center;padding:2rem}
@media(max-width:44rem){main{grid-template-columns:1fr;padding:.5rem;gap:.5rem}#clip video,#clip img{max-height:38dvh}
button{padding:.4rem .6rem;min-height:3rem}button b{display:none}}
"""

_SCRIPT = """
const token = new URLSearchParams(location.search).get('token');
const keys = SETTINGS.keys, clip = document.getElementById('clip'), bad = document.getElementById('bad');
let now = null, since = 0, busy = false;
async function call(path, body) {
  const answer = await fetch(path + '?token=' + encodeURIComponent(token),
    body ? {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)} : {});
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error || answer.statusText);
  return value;
}
function show(state) {
  const p = state.progress, bar = document.getElementById('bar');
  bar.max = Math.max(1, p.mine + p.left); bar.value = p.mine;
  document.getElementById('said').textContent = p.mine + ' answered, ' + p.left + ' left';
  now = state.offer;
  document.querySelector('main').style.display = now ? '' : 'none';
  document.getElementById('end').style.display = now ? 'none' : 'block';
  clip.replaceChildren();
  if (!now) return;
  const source = '/media/' + encodeURIComponent(now.clip_id) + '?token=' + encodeURIComponent(token) + now.span;
  const shown = document.createElement(now.still ? 'img' : 'video');
  shown.src = source;
  if (!now.still) {
    shown.autoplay = shown.loop = shown.controls = shown.playsInline = true;
    shown.muted = !SETTINGS.sound;
    if (now.end !== null) shown.addEventListener('timeupdate', () => {
      if (shown.currentTime >= now.end || shown.currentTime < now.start - 0.3) shown.currentTime = now.start;
    });
  }
  shown.onerror = () => {
    bad.textContent = 'This clip cannot be shown here. Answer "unsure", and tell whoever runs this page: '
      + now.clip_id;
  };
  clip.append(shown);
  since = performance.now();
}
async function act(work) {
  if (busy) return;
  busy = true; bad.textContent = '';
  try { show(await work()); } catch (error) { bad.textContent = 'Not saved: ' + error.message + '. Try again.'; }
  busy = false;
}
const answer = emotion => now && act(() => call('/api/vote', {clip_id: now.clip_id, round: now.round, emotion: emotion,
  seconds: Math.round(performance.now() - since) / 1000}));
const undo = () => act(() => call('/api/undo', {}));
for (const button of document.querySelectorAll('button[data-emotion]'))
  button.addEventListener('click', () => answer(button.dataset.emotion));
document.getElementById('undo').addEventListener('click', undo);
addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (keys[event.key]) { event.preventDefault(); answer(keys[event.key]); }
  else if (event.key === 'z' || event.key === 'Backspace') { event.preventDefault(); undo(); }
});
act(() => call('/api/next'));
"""


def label_page(title: str = "How does this clip feel?", sound: bool = True) -> str:
    """The page as HTML. It holds no clip: it asks the server (`label_server`) for one at a time."""
    keys = {str(number): emotion for number, emotion in enumerate(MIKELS, start=1)} | {"0": NONE, "u": UNSURE}
    buttons = "".join(
        f'<button data-emotion="{emotion}">{emotion} <b>{number}</b><small>{_HINTS[emotion]}</small></button>'
        for number, emotion in enumerate(MIKELS, start=1)
    )
    settings = json.dumps({"keys": keys, "sound": sound}).replace("<", "\\u003c")
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style></head><body>
<header><progress id="bar" value="0" max="1"></progress><span id="said" role="status"></span></header>
<main><div id="clip"></div><div id="answers"><p id="question">{html.escape(title)}</p>{buttons}
<button class="wide" data-emotion="{NONE}">no specific emotion <b>0</b></button>
<button data-emotion="{UNSURE}">unsure <b>u</b></button><button id="undo">undo <b>z</b></button>
<p id="bad" role="alert"></p></div></main>
<div id="end"><h1>Thank you.</h1><p>There is nothing left for you to answer. You may close this page.</p></div>
<script>const SETTINGS = {settings};{_SCRIPT}</script></body></html>"""
