"""`python -m emogen.eval` and `emogen eval`: run a benchmark, or draw its page anew."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from emogen.failure import fail

_EXAMPLES = """\
  python -m emogen.eval --config configs/eval/tiny.yaml --output_dir out
  accelerate launch -m emogen.eval --config configs/eval/emovid240.yaml --output_dir out   (several GPUs)
  python -m emogen.eval --config FILE --output_dir out --metrics agreement,clip_score --weights clip=DIR
  python -m emogen.eval --config configs/eval/own_set.yaml --data set --split benchmark --output_dir out
  python -m emogen.eval --metrics list
  python -m emogen.eval --report out    (the page anew, from results.json)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 the configuration is wrong."""
    from emogen.eval.arguments import finished, key_values, measuring_parser, parse
    from emogen.eval.benchmark.config import ConfigError, load_eval_config, with_metrics
    from emogen.eval.benchmark.results import Evaluation, drawing

    about = "Compare systems: does a clip show the emotion asked for, and what else did it cost?"
    parser = measuring_parser("emogen.eval", about, _EXAMPLES, "configs/eval/")
    add = parser.add_argument
    add("--metrics", metavar="NAME,NAME", help="in place of the configuration's; `--metrics list` says which there are")
    add(
        "--weights", action="append", default=[], metavar="KEY=PATH", help="beside the configuration's: clip=FOLDER ..."
    )
    add("--data", metavar="FOLDER", help="ask for the clips of a labelled data set, each with its own label")
    add("--split", metavar="NAME", help="of --data: benchmark (the default, where there is one), test, val or train")
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--metrics", "list"], ["--metrics=list"]):
        from emogen.eval.metrics.choose import listing

        print(listing())
        return 0
    args = parse(parser, words)
    try:
        if args.report:
            from emogen.eval.report.page import write_report

            out = args.report
            results = finished(out, Evaluation)
            with drawing(out):
                write_report(results, out)
        else:
            of_data = {key: getattr(args, key) for key in ("data", "split") if getattr(args, key) is not None}
            config = load_eval_config(args.config, args.trust_remote_code, of_data)
            if args.metrics or args.weights:
                metrics = args.metrics.split(",") if args.metrics else None
                config = with_metrics(config, metrics, key_values("--weights", args.weights))
            from emogen.eval.benchmark.run import run_benchmark

            out = args.output_dir
            results = run_benchmark(config, out, args.quiet)
            if not results:
                return 0
        from emogen.eval.report.tables import text_table

        with drawing(out):
            print(text_table(results))
    except ConfigError as error:
        return fail(error, 2)
    print(f"\n{out / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
