"""The figures as Markdown: ratios to PgBouncer in the same round first, what they are ratios of after."""
import os
import platform
import re
import statistics
import time

from workloads import WORKLOADS

REFERENCE = "PgBouncer"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def markdown(results, about):
    """`results`: by workload, by pooler, the figures of each round in their order."""
    return "\n".join([*about, "", *_ratios(results), "", *_absolute(results)]) + "\n"


def _ratios(results):
    lines = ["| workload | | cost: PgBouncer | Howdah | ratio | to reach | rate | p50 | p99 |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, by_pooler in results.items():
        workload, reference = WORKLOADS[name], by_pooler[REFERENCE]
        for pooler, rounds in by_pooler.items():
            if pooler == REFERENCE:
                continue
            cost, *others = (_ratio(rounds, reference, key) for key in ("cost", "rate", "p50", "p99"))
            if cost == "–":
                cost = next((found["note"] for found in reference if "note" in found), cost)
            else:
                cost = f"**{cost}**"
            lines.append("| " + " | ".join([
                f"{workload.about}, {workload.unit}", pooler, _middle(reference, "cost"), _middle(rounds, "cost"),
                cost, workload.goal, *others]) + " |")
    return lines


def _absolute(results):
    lines = ["| workload | pooler | rate | p50 ms | p99 ms | cost | server's CPU | other load | |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    for name, by_pooler in results.items():
        workload = WORKLOADS[name]
        for pooler, rounds in by_pooler.items():
            cells = [_spread(rounds, key) for key in ("rate", "p50", "p99", "cost", "server")]
            if cells[0] != "–":
                cells[0] += f" {workload.rate}"
            notes = [found["note"] for found in rounds if found.get("note")]
            notes = notes[-1:] + sorted({found["failed"] for found in rounds if "failed" in found})
            notes = "; ".join(notes).replace("\n", " ").replace("|", "/")
            lines.append("| " + " | ".join([workload.about, pooler, *cells, _middle(rounds, "other"), notes]) + " |")
    return lines


def _values(rounds, key):
    return [found[key] for found in rounds if key in found]


def _middle(rounds, key):
    values = _values(rounds, key)
    return _number(statistics.median(values)) if values else "–"


def _ratio(rounds, reference, key):
    """Median of the rounds' ratios, and the least and the greatest of them."""
    pairs = zip(rounds, reference)
    return _range([mine[key] / theirs[key] for mine, theirs in pairs if mine.get(key) and theirs.get(key)],
                  lambda value: f"{value:.2f}")


def _spread(rounds, key):
    return _range(_values(rounds, key), _number)


def _range(values, show):
    if not values:
        return "–"
    middle, least, greatest = show(statistics.median(values)), show(min(values)), show(max(values))
    return middle if least == greatest else f"{middle} ({least}–{greatest})"


def _number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine():
    """One line on what it was measured on."""
    with open("/proc/cpuinfo") as lines:
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    date = time.strftime("%Y-%m-%d")
    return f"{date}; {os.cpu_count()} cores, {model}; {system}, Linux {platform.release().split('-')[0]}"


def write(path, text):
    """Puts the figures between the file's markers."""
    with open(path) as file:
        before = file.read()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(before):
        raise SystemExit(f"{path} has no {BEGIN} … {END}")
    with open(path, "w") as file:
        file.write(pattern.sub(lambda _: f"{BEGIN}\n{text}{END}", before))
