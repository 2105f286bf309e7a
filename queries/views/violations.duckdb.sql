-- title: The view `violations` in DuckDB
-- control: CC6.1, CC6.3, CC7.2    severity: as the rule's    chart: table
-- params: none
-- Run it where `s3_access` is known, for example after
--   CREATE VIEW s3_access AS SELECT * FROM delta_scan('s3://acme-lake/bricktrail/s3_access');
CREATE OR REPLACE VIEW violations AS
SELECT
  violation.rule AS rule,
  violation.severity AS severity,
  violation.control AS control,
  violation.reason AS reason,
  violation.exception AS exception,
  event.* EXCLUDE (violation, violations)
FROM (SELECT unnest(violations) AS violation, * FROM s3_access) AS event;
