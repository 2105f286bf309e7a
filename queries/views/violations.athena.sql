-- title: The view `violations` in Athena or Trino
-- control: CC6.1, CC6.3, CC7.2    severity: as the rule's    chart: table
-- params: none
-- Run it in the database that holds the table `s3_access`, for example one made with
--   CREATE EXTERNAL TABLE s3_access LOCATION 's3://acme-lake/bricktrail/s3_access/'
--   TBLPROPERTIES ('table_type' = 'DELTA');
-- Trino cannot leave a column out: the list `violations` stays beside its parts.
CREATE OR REPLACE VIEW violations AS
SELECT
  violation.rule AS rule,
  violation.severity AS severity,
  violation.control AS control,
  violation.reason AS reason,
  violation.exception AS exception,
  event.*
FROM s3_access AS event
CROSS JOIN UNNEST(event.violations) AS violation (rule, severity, control, reason, exception);
