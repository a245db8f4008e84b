"""Where a controller pays off: quality against all that was spent on reaching it.

    python -m benchmarks.payoff --search tuned.jsonl --controllers FOLDER --out DIR

Reads what `benchmarks.tune` wrote about its searches and what `gan-gym fit-controller` wrote into a
controller's card; nothing is run. Both were tried on the same validation instances as they went. What is
spent are updates of generators: for a controller all of its training, once, with the search for the schedule
that it began by imitating; tries on validation instances are charged to neither. Writes `payoff.json` and
`payoff.png`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agents.controller import Controller
from agents.environments import make_one
from agents.mixtures import shares_of
from benchmarks.comparison_rows import read_rows
from benchmarks.contestants import fixed
from benchmarks.provenance import command, commit

Course = list[list[float]]
"""`[updates spent, quality]` in order of the first, of the best so far."""


def main(argv: Sequence[str] | None = None) -> int:
    """Read, write and draw the courses, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.payoff",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--search", type=Path, required=True, help="log of benchmarks.tune")
    parser.add_argument("--controllers", nargs="+", default=["pretrained"], help="as --agents of compare")
    parser.add_argument("--env", default="GridGAN-v0", help="whose validation instances are shown")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    options = parser.parse_args(argv)
    try:
        searches = search_courses(read_rows(options.search), options.env)
        if not searches:
            raise ValueError(
                f"'{options.search}' holds no search on {options.env}; run benchmarks.tune on it"
            )
        controllers = {
            found.name if len(found.agents) == 1 else f"{found.name}, seed {seed}": controller_course(
                Controller.load(folder).card, options.env, searches
            )
            for found in map(fixed, options.controllers)
            for seed, folder in found.agents.items()
        }
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    result = {
        "env": options.env,
        "commit": commit(),
        "command": command("benchmarks.payoff", None if argv is None else list(argv)),
        "searches": searches,
        "controllers": controllers,
        "overtakes": {
            name: {other: overtakes(course, of) for other, of in searches.items()}
            for name, course in controllers.items()
        },
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "payoff.json").write_text(json.dumps(result, indent=1) + "\n")
    draw(searches, controllers, options.env, options.out / "payoff.png")
    print(json.dumps(result["overtakes"], indent=1))
    return 0


def search_courses(rows: Sequence[Mapping[str, Any]], env: str) -> dict[str, Course]:
    """Return the courses of all searches that a log holds, by name, as far as they were on an environment.

    Of several environments of that id the first one counts.
    """
    courses: dict[str, Course] = {}
    for row in rows:
        ids = [id for id, _ in row["environments"]]
        if row["instances"] == "validation" and env in ids:
            own = np.split(np.array(row["qualities"]), len(ids))[ids.index(env)]
            courses.setdefault(row["search"], []).append([row["spent"], float(own.mean())])
    return {name: best_so_far(course) for name, course in courses.items()}


def controller_course(card: Mapping[str, Any], env: str, searches: Mapping[str, Course]) -> Course:
    """Return the course of a controller's training.

    Args:
        card: of the controller.
        env: id of the environment it was validated on.
        searches: courses of searches; one whose result it began by imitating is charged to it.

    Raises:
        ValueError: if it was not validated on the environment.
    """
    course = card.get("validation", {}).get("course", ())
    if not course or env not in course[0]["quality"]:
        raise ValueError(
            f"a controller was not validated on {env} in its training; train it with gan-gym fit-controller"
        )
    shares = [
        (share.n_envs, make_one(share.id, **share.kwargs))
        for share in shares_of(card["environment"], None, {})
    ]
    n_envs = sum(n for n, _ in shares)
    per_step = sum(n * made.inner_steps for n, made in shares) / n_envs
    before = 0
    if (imitated := card.get("imitated")) is not None:
        before += int(searches[imitated][-1][0]) if imitated in searches else 0
        before += round(card["imitated_timesteps"] * per_step)
    return best_so_far(
        [[before + round(each["timesteps"] * per_step), each["quality"][env]] for each in course]
    )


def best_so_far(course: Course) -> Course:
    """Return the highest quality up to every point."""
    spent, quality = np.array(sorted(course)).T
    return [[int(s), float(q)] for s, q in zip(spent, np.maximum.accumulate(quality), strict=True)]


def overtakes(course: Course, other: Course) -> int | None:
    """Return the updates after which a course first is above another and stays so; `None` if it never is."""
    points = sorted({int(spent) for spent, _ in [*course, *other]})
    ahead = [_at(course, point) > _at(other, point) for point in points]
    if not ahead[-1]:
        return None
    last_behind = max((i for i, is_ahead in enumerate(ahead) if not is_ahead), default=-1)
    return points[last_behind + 1]


def _at(course: Course, spent: int) -> float:
    """Return the quality reached with so many updates; 0 before the first."""
    return max((quality for point, quality in course if point <= spent), default=0.0)


def draw(searches: Mapping[str, Course], controllers: Mapping[str, Course], env: str, path: Path) -> None:
    """Draw quality against updates, searches dashed."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    end = max(course[-1][0] for course in [*searches.values(), *controllers.values()])
    for style, courses in (("--", searches), ("-", controllers)):
        for name, course in courses.items():
            spent, quality = np.array([*course, [end, course[-1][1]]]).T
            axes.step(spent / 1e6, quality, style, where="post", label=name)
    axes.set_xlabel("millions of updates spent, training or search as a whole")
    axes.set_ylabel(f"quality on validation instances of {env},\nbest so far")
    axes.grid(alpha=0.3)
    for text in axes.legend().get_texts():
        text.set_parse_math(False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
