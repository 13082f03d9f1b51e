"""/metrics read by Prometheus's own library. Argument: its URL.

The page must be what docs/metrics.md tells of: the same families in the same order, with the same types and labels.
"""

import re
import sys
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from expect import equal

ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", re.MULTILINE)
# How a name from the configuration that has everything to be escaped arrives.
NASTY = 'sh"op\\n {x=1},'


def main(url):
    with urlopen(url, timeout=30) as answer:
        equal("media type", answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        page = answer.read().decode()
    families = list(text_string_to_metric_families(page))
    book = (Path(__file__).parent / "../../docs/metrics.md").read_text()
    told = [(name, kind, set(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in ROW.findall(book)]
    # The library takes `_total` off a counter's name.
    full = lambda family: family.name + ("_total" if family.type == "counter" else "")
    equal("families", [full(family) for family in families], [name for name, *_ in told])
    for family, (name, kind, labels, text) in zip(families, told):
        equal(f"type and help of {name}", (family.type, family.documentation), (kind, text))
        series = [tuple(sorted(sample.labels.items())) for sample in family.samples]
        equal(f"series of {name} once each", len(set(series)), len(series))
        for sample in family.samples:
            equal(f"name and labels of {name}", (sample.name, set(sample.labels)), (name, labels))
    pools = {sample.labels["database"] for family in families if family.name == "howdah_pool_clients" for sample in family.samples}
    if NASTY not in pools:
        sys.exit(f"{NASTY!r} is not among {pools!r}")


if __name__ == "__main__":
    main(sys.argv[1])
