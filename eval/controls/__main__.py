"""`python -m emogen.eval.controls`: measure the controls, or draw the page anew."""

from __future__ import annotations

from collections.abc import Sequence

from emogen.failure import fail

_EXAMPLES = """\
  python -m emogen.eval.controls --config configs/eval/controls.yaml --output_dir out
  python -m emogen.eval.controls --config configs/eval/controls.yaml --output_dir out --only plane,arcs
  python -m emogen.eval.controls --report out    (the page anew, from results.json)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 the configuration is wrong."""
    from emogen.eval.arguments import finished, measuring_parser, parse
    from emogen.eval.benchmark.results import Controls, drawing
    from emogen.eval.controls.config import STUDIES, load_controls_config
    from emogen.settings import ConfigError

    about = "Do intensity, the valence-arousal plane, mixtures and arcs do what they say?"
    parser = measuring_parser("emogen.eval.controls", about, _EXAMPLES, "configs/eval/controls.yaml")
    parser.add_argument("--only", metavar="STUDY,STUDY", help="of intensity, plane, mixtures and arcs; all by default")
    args = parse(parser, argv)
    only = [name.strip() for name in args.only.split(",")] if args.only is not None else list(STUDIES)
    if unknown := [name for name in only if name not in STUDIES]:
        parser.error(f"--only: {unknown[0]!r} is no study; they are {', '.join(STUDIES)}")
    try:
        if args.report:
            from emogen.eval.controls.report import write_report

            out = args.report
            results = finished(out, Controls)
            with drawing(out):
                write_report(results, out)
        else:
            config, out = load_controls_config(args.config, args.trust_remote_code), args.output_dir
            from emogen.eval.controls.run import run_controls

            results = run_controls(config, out, only, args.quiet)
            if not results:
                return 0
        from emogen.eval.controls.headlines import markdown

        with drawing(out):
            print(markdown(results))
    except ConfigError as error:
        return fail(error, 2)
    print(f"\n{out / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
