"""The page that people vote on: one file, no network, votes kept in the browser until they are downloaded."""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Which emotion?</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>
body{font:17px/1.5 system-ui,sans-serif;max-width:760px;margin:2rem auto;padding:0 1rem;color:#222;
text-align:center}.pair{display:flex;gap:1.2rem;justify-content:center}
.pair button{flex:1;max-width:340px}button{font:inherit;padding:.6rem;
border:2px solid #ccc;border-radius:12px;background:#fff;cursor:pointer}button:hover,button:focus{border-color:#0072b2}
img,video{width:100%;max-width:320px;border-radius:8px;image-rendering:auto}.names{display:grid;gap:.6rem;
grid-template-columns:repeat(auto-fit,minmax(150px,1fr));margin-top:1rem}.small{color:#666;font-size:14px}
progress{width:100%}</style>
<progress id="bar" value="0"></progress><main id="main" aria-live="polite"></main>
<p class="small">Keys: left and right arrow, 1 to 8. Votes stay in this browser until you download them.</p>
<script>
const data = /*DATA*/;
const place = "emogen-study-" + data.study, main = document.getElementById("main");
let votes = JSON.parse(localStorage.getItem(place) || "null") ||
  {study: data.study, voter: Math.random().toString(36).slice(2, 10), votes: {}};
// every voter sees another order, the same again after a reload
const rank = id => { let h = 2166136261; for (const c of votes.voter + id) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
  return h >>> 0; };
const order = data.questions.slice().sort((a, b) => rank(a.id) - rank(b.id));
const text = s => s.replace(/[&<>"]/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}[c]));
const show = src => /\\.(mp4|webm)$/.test(src) ? `<video src="${text(src)}" autoplay loop muted playsinline></video>`
  : `<img src="${text(src)}" alt="clip">`;
let shown = 0, current = null;
function vote(answer) {
  votes.votes[current.id] = {answer, seconds: Math.round((performance.now() - shown) / 100) / 10};
  localStorage.setItem(place, JSON.stringify(votes)); next();
}
function next() {
  current = order.find(q => !(q.id in votes.votes));
  const bar = document.getElementById("bar");
  bar.max = order.length; bar.value = Object.keys(votes.votes).length;
  if (!current) return done();
  shown = performance.now();
  if (current.kind === "pair") {
    main.innerHTML = `<h1>Which shows more <em>${text(current.emotion)}</em>?</h1><div class="pair">` +
      `<button data-a="left">${show(current.left)}<br>left</button>` +
      `<button data-a="right">${show(current.right)}<br>right</button></div>` +
      `<p><button data-a="tie">no difference</button></p>`;
  } else {
    main.innerHTML = `<h1>What does this clip feel like?</h1>${show(current.clip)}<div class="names">` +
      data.emotions.map((e, i) => `<button data-a="${e}">${i + 1} ${e}</button>`).join("") + "</div>";
  }
  main.querySelectorAll("button").forEach(b => b.onclick = () => vote(b.dataset.a));
}
function done() {
  const file = new Blob([JSON.stringify(votes)], {type: "application/json"});
  const name = `votes-${votes.voter}.json`, address = URL.createObjectURL(file);
  main.innerHTML = `<h1>Thank you.</h1><p><a download="${name}" href="${address}">` +
    "Download your votes</a> and send the file to whoever asked you.</p>";
}
document.onkeydown = e => {
  if (!current) return;
  if (current.kind === "pair") { const a = {ArrowLeft: "left", ArrowRight: "right"}[e.key]; if (a) vote(a); }
  else if (/^[1-8]$/.test(e.key)) vote(data.emotions[e.key - 1]);
};
next();
</script></html>"""
