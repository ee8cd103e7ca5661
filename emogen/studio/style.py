"""How the page looks: a gradio theme without fonts from the network, and CSS for the page's own pictures."""

from __future__ import annotations

from typing import Any

FONT = ("ui-sans-serif", "system-ui", "sans-serif")
MONO = ("ui-monospace", "Menlo", "monospace")


def theme() -> Any:
    """Gradio's Soft theme in the page's colours. Its own fonts would come from fonts.googleapis.com."""
    import gradio as gr

    return gr.themes.Soft(primary_hue="violet", secondary_hue="violet", neutral_hue="slate", font=list(FONT),
                          font_mono=list(MONO), radius_size="lg", spacing_size="md").set(
        body_background_fill="*neutral_50", block_shadow="none", block_border_width="1px",
        block_title_background_fill="none", block_title_text_color="*body_text_color", block_title_padding="0",
        block_label_background_fill="none", block_label_text_color="*body_text_color", block_padding="10px 12px",
        checkbox_border_color="*neutral_400", checkbox_border_radius="4px", checkbox_border_width="1px",
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_500")  # fmt: skip


CSS = """
.gradio-container {max-width: 1380px !important; width: 100% !important; margin: 0 auto !important}
.gradio-container .main.fillable {padding: 8px clamp(4px, 1.5vw, 24px) !important}
.gradio-container main {max-width: none !important; padding: 4px clamp(4px, 1.5vw, 24px) !important}
#head {display: flex; align-items: baseline; gap: 14px; padding: 2px}
#head h1 {font-size: 1.3rem; font-weight: 700; margin: 0; color: var(--body-text-color)}
#head p {margin: 0; color: var(--body-text-color-subdued)}
.hint {color: var(--body-text-color-subdued); font-size: .85rem; margin: 4px 0 0; line-height: 1.45}
.hint code, .asked code, .card code {overflow-wrap: anywhere}
.notice {border-radius: 10px; padding: 8px 12px; font-size: .9rem; line-height: 1.45; overflow-wrap: anywhere}
.notice p {margin: 0}
.notice.bad {background: #fdf0d5; color: #6b4700; border: 1px solid #f0cf8a}
.notice.good {background: #e3f6ee; color: #11543e; border: 1px solid #a6dfc8}
.notice.good a {color: inherit; font-weight: 600}
.notice .sheet {width: 100%; margin-top: 8px; border-radius: 8px}
.dark .notice.bad {background: #3d2f10; color: #f5d48f; border-color: #6b5216}
.dark .notice.good {background: #10352a; color: #a6e6cd; border-color: #1d5b48}
.notice.leaving {animation: leave-0 .6s forwards; outline: none}
.notice.leaving:hover, .notice.leaving:focus {animation-play-state: paused}
@keyframes leave-0 {
  to {opacity: 0; max-height: 0; padding-top: 0; padding-bottom: 0; border-width: 0; visibility: hidden}
}
@keyframes leave-1 {
  to {opacity: 0; max-height: 0; padding-top: 0; padding-bottom: 0; border-width: 0; visibility: hidden}
}
.working .track {height: 8px; border-radius: 4px; overflow: hidden; background: var(--border-color-primary)}
.working .track b {display: block; height: 100%; min-width: 3%; background: var(--color-accent); transition: width .2s}
.working p {margin: 4px 0 0; font-size: .85rem; color: var(--body-text-color-subdued)}

.split {display: grid !important; grid-template-columns: minmax(0, 6fr) minmax(0, 5fr); gap: 14px 22px !important;
  align-items: start; grid-template-areas: "first side" "rest side"; grid-template-rows: auto 1fr}
.split > .first {grid-area: first; gap: 10px} .split > .side {grid-area: side; gap: 10px}
.split > .rest {grid-area: rest}
.emotions {display: grid; grid-template-columns: repeat(4, 1fr); gap: 6px}
.emotions button, .palette button {margin: 0 !important; display: flex; align-items: center;
  justify-content: center; gap: 6px; padding: 8px 4px;
  border: 1px solid var(--border-color-primary); border-radius: 9px; cursor: pointer;
  font-size: .88rem; color: var(--body-text-color); background: var(--block-background-fill); min-width: 0}
.emotions i, .palette i {width: 10px; height: 10px; border-radius: 50%; background: var(--own); flex: none}
.emotions button:hover, .palette button:hover {border-color: var(--own, var(--color-accent))}
.emotions button.on, .palette button.on {border-color: var(--own, var(--color-accent)); font-weight: 700;
  box-shadow: inset 0 0 0 1px var(--own, var(--color-accent))}
.suggestions {display: flex; gap: 6px; overflow-x: auto; scrollbar-width: none}
.suggestions button {flex: none; padding: 3px 10px; border-radius: 99px; font-size: .8rem; cursor: pointer;
  border: 1px solid var(--border-color-primary); background: none; color: var(--body-text-color-subdued)}
.suggestions button:hover {border-color: var(--color-accent)}
#what .wrap {flex-wrap: nowrap; gap: 6px} #what label {padding: 6px 10px; white-space: nowrap}
.palette {display: flex; flex-wrap: wrap; gap: 5px; margin-top: 6px}
.palette button {padding: 4px 9px; font-size: .8rem} .palette button:disabled {opacity: .4; cursor: default}
svg.edit {touch-action: none; cursor: crosshair; user-select: none}
svg.edit .curve {fill: none; stroke: var(--body-text-color-subdued); stroke-width: 2}
svg.edit .dot {cursor: grab; outline: none} svg.edit .reach {fill: transparent}
svg.edit .dot circle:nth-child(2) {stroke: #fff; stroke-width: 1.5}
svg.edit .dot.chosen circle:nth-child(2), svg.edit .dot:focus circle:nth-child(2) {stroke: var(--body-text-color);
  stroke-width: 2.5}
svg.edit .name {fill: var(--body-text-color)}
.several {display: grid; grid-template-columns: repeat(4, 1fr); gap: 8px}
.several button {padding: 0; border: 1px solid var(--border-color-primary); border-radius: 10px; overflow: hidden;
  cursor: pointer; background: var(--block-background-fill); font-size: .8rem; color: var(--body-text-color)}
.several img {width: 100%; display: block; aspect-ratio: 1; object-fit: contain}

svg.plane {display: block; width: 100%; max-width: 380px; margin: 0 auto; touch-action: none; cursor: crosshair;
  user-select: none; outline: none}
svg.plane:focus-visible .field {stroke: var(--color-accent); stroke-width: 2}
svg .field {stroke: var(--border-color-primary)}
svg .axis {stroke: var(--body-text-color-subdued); stroke-width: 1; opacity: .35; fill: none}
svg .ring {stroke-dasharray: 3 4}
svg .pole {font-size: 11px; fill: var(--body-text-color-subdued)}
svg.plane .point text {font-size: 11.5px; font-weight: 600; fill: var(--body-text-color)}
svg.plane .point circle {stroke: #fff; stroke-width: 1.5}
svg.plane .picked circle {fill: var(--body-text-color); fill-opacity: .15; stroke: var(--body-text-color);
  stroke-width: 2.5}
svg.plane .picked path {stroke: var(--body-text-color); stroke-width: 2}
.small-plane {width: 84px; flex: none}
.small-plane .field {fill: var(--background-fill-secondary)}
.small-plane .mark {stroke: var(--body-text-color); stroke-width: 1.5; fill: none}
.small-plane .mark.read, .key.read {fill: var(--body-text-color); background: var(--body-text-color)}
svg.arc {width: 100%; display: block; margin-top: 6px}
svg.arc .key {stroke: var(--body-text-color-subdued); stroke-width: 1; stroke-dasharray: 2 4; fill: none}
svg.arc .name {font-size: 12px; font-weight: 600; paint-order: stroke; stroke: var(--block-background-fill);
  stroke-width: 3px}

.asked code {font-size: .95rem; font-weight: 600}
.bars {display: grid; grid-template-columns: 1fr 1fr; gap: 5px 18px; margin-top: 8px}
.bar {display: grid; grid-template-columns: 84px 1fr 38px; align-items: center; gap: 8px; font-size: .8rem}
.bar .track {position: relative; height: 9px; border-radius: 5px; background: var(--border-color-primary)}
.bar .track b {position: absolute; inset: 0 auto 0 0; border-radius: 5px}
.bar .tick {position: absolute; top: -3px; width: 2px; height: 15px; margin-left: -1px;
  background: var(--body-text-color)}
.bar em {font-style: normal; text-align: right; color: var(--body-text-color-subdued)}

.stage {display: grid; place-items: center; min-height: 300px; border-radius: 14px; text-align: center;
  background: var(--background-fill-secondary); border: 1px solid var(--border-color-primary);
  color: var(--body-text-color-subdued)}
.stage img {width: 100%; max-height: 420px; object-fit: contain; border-radius: 14px}
.reading h4 {margin: 4px 0 0; font-size: .95rem}
.reading .where {display: flex; gap: 14px; align-items: center; margin-top: 10px; font-size: .85rem; line-height: 1.5}
.reading .where p {margin: 0}
.key {display: inline-block; width: 9px; height: 9px; border-radius: 50%; border: 1.5px solid var(--body-text-color);
  margin: 0 4px 0 8px}
.key:first-child {margin-left: 0}
.gallery {display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 14px}
.card {display: flex; flex-direction: column; gap: 5px; text-align: left; padding: 9px; border-radius: 14px;
  cursor: pointer; background: var(--block-background-fill); border: 1px solid var(--border-color-primary);
  font-size: .82rem; font-weight: 400; color: var(--body-text-color)}
.card code {font-size: .78rem; font-weight: 400}
.card:hover, .card:focus-visible {border-color: var(--color-accent)}
.card.selected {border-color: var(--color-accent); box-shadow: 0 0 0 2px var(--color-accent)}
.card img {width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 9px;
  background: var(--background-fill-secondary)}
.card .prompt {font-weight: 600; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical;
  overflow: hidden}
.card .strip {display: flex; height: 7px; border-radius: 4px; overflow: hidden}
.card .read {color: var(--body-text-color-subdued)}
.empty {padding: 34px; text-align: center; border: 1px dashed var(--border-color-primary); border-radius: 14px;
  color: var(--body-text-color-subdued)}
.room {gap: 22px} .gallery.clips {grid-template-columns: repeat(auto-fill, minmax(120px, 1fr)); gap: 8px}
.card video {width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 9px;
  background: var(--background-fill-secondary)}
.stage video {width: 100%; max-height: 420px; border-radius: 14px}
.card .label i {display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 5px}
#data-labels .emotions {grid-template-columns: repeat(3, 1fr)} #data-clip .stage {min-height: 200px}
.problems {width: 100%; font-size: .85rem; border-collapse: collapse; margin-top: 6px}
.problems td, .problems th {text-align: left; padding: 4px 6px; border-top: 1px solid var(--border-color-primary);
  overflow-wrap: anywhere}
.problems td:first-child {white-space: nowrap; max-width: 16em; overflow: hidden; text-overflow: ellipsis}
.problems tr[data-number]:not([data-number=""]) {cursor: pointer}
.memory {width: 100%; font-size: .85rem; border-collapse: collapse; margin-bottom: 8px}
.memory caption {text-align: left; font-weight: 600; padding: 4px 0}
.memory td {padding: 2px 8px 2px 0; border-top: 1px solid var(--border-color-primary)}
.memory td:nth-child(2) {text-align: right; white-space: nowrap} .memory tr:last-child {font-weight: 600}
.room pre, #train-table pre {font-size: .75rem; white-space: pre; overflow-x: auto; margin: 0}
.charts {display: grid; gap: 10px} .chart {margin: 0} .chart figcaption {font-size: .85rem; font-weight: 600}
.chart svg {width: 100%; display: block} .chart .axis {stroke: var(--body-text-color-subdued); opacity: .3}
.chart .pole, .chart .name {font-size: 11px} .chart .pole {fill: var(--body-text-color-subdued)}
.previews {display: grid; grid-template-columns: minmax(0, 1fr); gap: 10px}
.previews figure {margin: 0; font-size: .8rem} .previews img {width: 100%; border-radius: 8px}
iframe.report {width: 100%; height: 80vh; border: 1px solid var(--border-color-primary); border-radius: 10px;
  background: #fff}
.dark svg .name, .dark svg polyline {filter: brightness(1.5)}
.sliders {gap: 6px 14px} .numbers {gap: 10px}
.plane .quiet {font-size: 10px; font-weight: 400 !important; opacity: .6}
.gradio-container .tab-container button {padding-left: 12px; padding-right: 12px}
@media (max-width: 900px) {
  .split {grid-template-columns: minmax(0, 1fr); grid-template-areas: "first" "side" "rest"; grid-template-rows: none}
}
@media (max-width: 640px) {
  .chart .pole, .chart .name {font-size: 15px}
  .bars {grid-template-columns: 1fr} #head p {display: none} #head h1 {font-size: 1.05rem}
  .emotions {gap: 4px} .emotions button {flex-direction: column; gap: 3px; font-size: .74rem; padding: 6px 0}
  .emotions button.on {font-weight: 600} #what label {padding: 5px 7px; font-size: .8rem; gap: 4px}
  .stage {min-height: 180px} .several {grid-template-columns: repeat(4, 1fr); gap: 4px}
  .tab-container button {padding-left: 9px; padding-right: 9px; font-size: .9rem}
}
"""
