"""The results as a Markdown table and as JSON."""

import json
import os
import pathlib
import platform
import subprocess
import time

from . import goals, plot


def conditions(root, store, given):
    """What the figures depend on besides the program; `given`: the server, if not built here."""
    return {
        "store": store,
        "given": given,
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "commit": _git(root, "rev-parse", "--short", "HEAD"),
        "changed": bool(_git(root, "status", "--porcelain", "--untracked-files=no")),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
    }


def markdown(about, results):
    """One row a figure."""
    mark = " (with changes)" if about["changed"] else ""
    server = f", server {about['given']}" if about["given"] else ""
    lines = [
        f"Measured {about['time']} at commit {about['commit']}{mark}{server}, store "
        f"{about['store']}, Linux {about['kernel']}, {about['cores']} cores, load average before "
        f"{about['load_average']:.1f}.",
        "",
        "| what | measured | goal |",
        "|---|---|---|",
    ]
    wanted = goals.of(result["name"] for result in results)
    for what, figure in (row for result in results for row in result["rows"]):
        lines.append(f"| {what} | {figure} | {goals.judged(wanted.pop(what, None), figure)} |")
    # With other sizes the rows have other names: their goals do not just vanish.
    lines += [f"| {what} | not in this run | {goals.text(goal)} |" for what, goal in wanted.items()]
    return "\n".join(lines) + "\n"


def write(directory, about, results):
    """`table.md`, `table.json` and the charts of the last run; returns the Markdown."""
    text = markdown(about, results)
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "table.md").write_text(text)
    (directory / "table.json").write_text(json.dumps({"about": about, "results": results}))
    plot.write(directory, results)
    return text


def publish(directory, about, results):
    """What is shown to others: the table and the charts. Charts of scenarios that were not run stay."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "table.md").write_text(markdown(about, results))
    plot.write(directory, results)


def _git(root, *arguments):
    done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True)
    return done.stdout.strip()
