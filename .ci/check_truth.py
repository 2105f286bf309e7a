"""Grades the attribution of a simulated trail by its truth.

usage: check_truth.py LAKE TRUTH

Prints, for each level, how many claims are exact and strong, how many of them
are wrong, how many claims are surer than can be known, and how much of what can
be known is claimed. Fails if an exact claim is wrong, if more than 0.1 % of the
strong claims of a level are, if a claim is surer than can be known, if less than
99.5 % of what can be known is claimed, or if rows and truth name different events.
"""

import sys

import duckdb
from deltalake import DeltaTable

SURENESS = {"none": 0, "ambiguous": 1, "strong": 2, "exact": 3}
STRONG_WRONG_MAX = 0.001
CLAIMED_MIN = 0.995
LEVELS = {
    "workspace": "workspace_id",
    "cluster": "cluster_id",
    "job": "job_run_id",
    "task": "task_key",
    "principal": "principal",
}


def main(lake: str, truth: str) -> int:
    con = duckdb.connect()
    con.register("rows", DeltaTable(f"{lake}/s3_access").to_pyarrow_dataset())
    con.execute(f"CREATE VIEW truth AS SELECT * FROM '{truth}'")
    faults = []
    for what, sql in {
        "rows that the truth does not know": "SELECT count(*) FROM rows ANTI JOIN truth USING (event_id)",
        # Of an event and its copy in another account one has the row, and the record that
        # corrects an event stands for it.
        "events of the truth without a row": "SELECT count(*) FROM truth ANTI JOIN rows USING (event_id) WHERE copy_of IS NULL "
        "AND event_id NOT IN (SELECT copy_of FROM truth JOIN rows USING (event_id) WHERE copy_of IS NOT NULL) "
        "AND event_id NOT IN (SELECT original_event_id FROM rows WHERE original_event_id IS NOT NULL)",
    }.items():
        [(count,)] = con.sql(sql).fetchall()
        if count:
            faults.append(f"{count} {what}")
    print(f"{'level':<10}{'exact':>9}{'wrong':>7}{'strong':>9}{'wrong':>7}{'too sure':>10}{'claimed':>10}")
    for level, column in LEVELS.items():
        groups = con.sql(
            f"SELECT rows.{level}_confidence, coalesce(truth.{level}_max, 'none'), "
            f"rows.{column} IS NOT DISTINCT FROM truth.{column}, count(*) "
            "FROM rows JOIN truth USING (event_id) GROUP BY ALL"
        ).fetchall()
        count = lambda wanted: sum(n for claim, most, right, n in groups if wanted(claim, most, right))
        exact, strong = (count(lambda claim, *_: claim == label) for label in ("exact", "strong"))
        exact_wrong = count(lambda claim, _, right: claim == "exact" and not right)
        strong_wrong = count(lambda claim, _, right: claim == "strong" and not right)
        too_sure = count(lambda claim, most, _: SURENESS[claim] > SURENESS[most])
        known = count(lambda _, most, __: SURENESS[most] >= 2)
        claimed = count(lambda claim, most, _: SURENESS[most] >= 2 and SURENESS[claim] >= 2)
        share = 100 * claimed / max(known, 1)
        print(f"{level:<10}{exact:>9}{exact_wrong:>7}{strong:>9}{strong_wrong:>7}{too_sure:>10}{share:>9.2f}%")
        if exact_wrong:
            faults.append(f"{exact_wrong} exact claims of the {level} are wrong")
        if strong_wrong > STRONG_WRONG_MAX * max(strong, 1):
            faults.append(f"{strong_wrong} of {strong} strong claims of the {level} are wrong")
        if too_sure:
            faults.append(f"{too_sure} claims of the {level} are surer than can be known")
        if claimed < CLAIMED_MIN * known:
            faults.append(f"{known - claimed} of {known} {level}s that can be known are not claimed")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
