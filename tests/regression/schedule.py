"""Which tests are run, in which order?

As PostgreSQL's `parallel_schedule` has it; of a part, the same groups without the tests that are not wanted.
"""
import os
import re

# What CI runs: the tests that lean on the session they run in, and a few large ones that do a little of everything.
PART = """
    guc prepare prepared_xacts temp sequence privileges transactions portals portals_p2 advisory_lock async combocid
    plancache psql rules plpgsql create_procedure lock rowsecurity roleattributes password namespace truncate
    rangefuncs polymorphism insert insert_conflict copy2 largeobject create_role object_address
    select_into subselect join aggregates matview create_view collate horology timestamptz interval conversion
""".split()

# What a test leans on that others have made, as the schedule's comments and the tests themselves tell.
LEANS_ON = {
    "multirangetypes": ["rangetypes"],
    "geometry": ["point", "lseg", "line", "box", "path", "polygon", "circle"],
    "horology": ["date", "time", "timetz", "timestamp", "timestamptz", "interval"],
    "aggregates": ["create_aggregate"], "join": ["create_misc"], "select_parallel": ["create_misc"],
    "with": ["create_misc"], "psql": ["create_am"], "select_views": ["create_view"],
    "amutils": ["geometry", "create_index_spgist", "hash_index", "brin"],
}
ALWAYS = ["test_setup", "create_index"]

# For each test that differs through Howdah, the lines that do.
KNOWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "known")


def read(path):
    """The groups, and the tests whose failure counts for nothing."""
    groups, ignored = [], []
    with open(path) as lines:
        for line in lines:
            kind, _, names = line.partition(":")
            if kind == "test":
                groups.append(names.split())
            elif kind == "ignore":
                ignored += names.split()
    return groups, ignored


def part_of(groups, wanted):
    """The groups reduced to these tests and those they lean on."""
    known = {name for group in groups for name in group}
    if unknown := sorted(set(wanted) - known):
        raise SystemExit(f"there is no test {', '.join(unknown)}")
    chosen, open_names = set(), [*ALWAYS, *wanted]
    while open_names:
        name = open_names.pop()
        if name not in chosen:
            chosen.add(name)
            open_names += LEANS_ON.get(name, [])
    reduced = [[name for name in group if name in chosen] for group in groups]
    return [group for group in reduced if group]


def write(path, groups, ignored):
    lines = [f"ignore: {name}" for name in ignored] + [f"test: {' '.join(group)}" for group in groups]
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")


def results(output):
    """What pg_regress said of each test: name → (verdict, the rest of the line)."""
    lines = re.findall(r"(?m)^(?:test|    ) +(\S+) +\.\.\. (ok|FAILED|failed \(ignored\))(.*)$", output)
    return {name: (verdict, " ".join(rest.split())) for name, verdict, rest in lines}


def diffs(text):
    """The pieces of regression.diffs: name → its diff."""
    pieces = re.split(r"(?m)^(?=diff -U3 )", text)
    named = ((re.search(r"/results/(\S+)\.out$", piece.partition("\n")[0]), piece) for piece in pieces)
    return {found[1]: piece for found, piece in named if found}


def is_known(name, diff):
    """Whether this diff is the one that `docs/transparency.md` explains, and nothing else."""
    path = os.path.join(KNOWN, f"{name}.diff")
    if not os.path.exists(path):
        return False
    # Before the first place that differs stand the names of the files.
    changes = [line for line in diff.partition("\n@@")[2].splitlines() if line.startswith(("+", "-"))]
    with open(path) as file:
        return changes == file.read().splitlines()
