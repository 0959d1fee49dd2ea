"""A table on its way to a worker process: as Arrow against the same data as a pandas frame.

The predecessors compared these on 4.4 million rows of taxi rides (``dask-with-arrow.ipynb``) and published a
factor of 1.4. The rows here are made up, of like types: times, numbers, and text that repeats. Text in their
frames was Python's strings; today's pandas keeps it as Arrow does, which is shown as well. What is measured
is `client.scatter`, unhashed, as the runner sends chunks; the worker has the data when it returns.
Needs the extra 'bench'.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import pyarrow as pa
from _common import MB, Figures, best_of_each
from distributed import Client, LocalCluster

SEED = 20200101
VENDORS = ["CMT", "VTS", "DDS"]


def rides(rows: int) -> pa.Table:
    """Return a table of made-up taxi rides."""
    random = np.random.default_rng(SEED)
    start = random.integers(1_577_836_800, 1_580_515_200, rows)
    names = pa.array(VENDORS)
    columns = {
        "vendor": names.take(pa.array(random.integers(0, len(VENDORS), rows))),
        "pickup": pa.array(start * 1_000_000, pa.timestamp("us")),
        "dropoff": pa.array((start + random.integers(60, 3600, rows)) * 1_000_000, pa.timestamp("us")),
        "passengers": pa.array(random.integers(1, 7, rows)),
        "distance": pa.array(random.exponential(3.0, rows)),
        "payment": names.take(pa.array(random.integers(0, len(VENDORS), rows))),
    }
    money = {f"amount_{number}": pa.array(random.exponential(10.0, rows)) for number in range(8)}
    return pa.table({**columns, **money})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_400_000)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    table = rides(arguments.rows)
    today: pd.DataFrame = table.to_pandas()
    strings = [field.name for field in table.schema if field.type == pa.string()]
    then = today.astype(dict.fromkeys(strings, object))
    print(f"{arguments.rows:,} rows, {table.nbytes / MB:,.0f} MB as Arrow")
    local = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0)
    with local as cluster, Client(cluster) as client:

        def send(data: object) -> None:
            client.scatter([data], hash=False)[0].release()

        times = best_of_each(
            {
                "Arrow": lambda: send(table),
                "pandas, Python's strings": lambda: send(then),
                "pandas, its default": lambda: send(today),
            },
            arguments.repeat,
        )
    for name, seconds in times.items():
        print(f"{name}: {seconds:.2f} s, {table.nbytes / MB / seconds:,.0f} MB/s")
    figures = Figures()
    figures.at_least("Arrow against pandas", times["pandas, Python's strings"] / times["Arrow"], 1.4, "x")
    figures.finish()


if __name__ == "__main__":
    main()
