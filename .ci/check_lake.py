"""Checks a lake with readers and counts that share no code with bricktrail.

Usage: check_lake.py TRAIL LAKE

Reads every table with PyPI deltalake and with DuckDB on the files that it
lists, then counts the distinct S3 events of TRAIL with the standard library
and compares them, one by one, with the rows of s3_access.

An event is identified by its eventID and the account that received it; where
the eventID is no GUID (public samples hold placeholders), by its content.
"""

import glob
import gzip
import json
import os
import re
import sys

import deltalake
import duckdb

S3 = {"s3.amazonaws.com", "s3express.amazonaws.com", "s3-outposts.amazonaws.com"}
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def events(trail):
    """Yields each distinct S3 event of the trail as (eventID, account, eventTime)."""
    seen = set()
    for path in sorted(glob.glob(f"{trail}/**/*.json.gz", recursive=True)):
        account = os.path.basename(path).split("_")[0]
        for record in json.loads(gzip.open(path).read())["Records"]:
            if record.get("eventSource") not in S3:
                continue
            event_id = record["eventID"]
            recipient = record.get("recipientAccountId") or account
            content = "" if GUID.fullmatch(event_id) else json.dumps(record, sort_keys=True)
            if (event_id, recipient, content) not in seen:
                seen.add((event_id, recipient, content))
                yield event_id, recipient, record["eventTime"]


def read_every_table(lake):
    rows = {}
    for name in sorted(os.listdir(lake)):
        if not os.path.isdir(f"{lake}/{name}/_delta_log"):
            continue
        table = deltalake.DeltaTable(f"{lake}/{name}")
        rows[name] = table.to_pyarrow_table()
        files = table.file_uris()
        counted = 0
        if files:
            query = f"SELECT count(*) FROM read_parquet({files!r}, hive_partitioning = true)"
            counted = duckdb.sql(query).fetchall()[0][0]
        assert counted == rows[name].num_rows, (name, counted, rows[name].num_rows)
        print(f"{name}: version {table.version()}, {len(files)} files, {counted} rows")
    return rows


def main(trail, lake):
    rows = read_every_table(lake)
    expected = sorted(events(trail))
    s3_access = rows["s3_access"].select(["event_id", "aws_account_id", "event_time"]).to_pylist()
    found = sorted(
        (r["event_id"], r["aws_account_id"], r["event_time"].strftime("%Y-%m-%dT%H:%M:%SZ"))
        for r in s3_access
    )
    assert found == expected, f"{len(found)} rows for {len(expected)} distinct S3 events"
    print(f"{len(found)} rows for {len(expected)} distinct S3 events")


if __name__ == "__main__":
    main(*sys.argv[1:])
