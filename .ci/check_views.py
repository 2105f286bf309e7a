"""The view `violations` for DuckDB says what the lake's rows say.

    check_views.py LAKE
"""

import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable

lake = Path(sys.argv[1])
rows = DeltaTable(lake / "s3_access").to_pyarrow_dataset()
session = duckdb.connect()
session.register("s3_access", rows)
view = Path("queries/views/violations.duckdb.sql").read_text()
session.execute(view.replace("CREATE OR REPLACE VIEW", "CREATE OR REPLACE TEMP VIEW"))
(seen,) = session.execute("SELECT count(*) FROM violations").fetchone()
(held,) = session.execute("SELECT sum(len(violations)) FROM s3_access").fetchone()
if seen != held or not held:
    sys.exit(f"the view shows {seen} violations, the rows hold {held}")
print(f"{seen} violations")
