-- title: The view `violations` in Databricks or Spark 4
-- control: CC6.1, CC6.3, CC7.2    severity: as the rule's    chart: table
-- params: none
-- Run it in the schema that holds the table `s3_access`, for example one made with
--   CREATE TABLE s3_access USING DELTA LOCATION 's3://acme-lake/bricktrail/s3_access';
CREATE OR REPLACE VIEW violations AS
SELECT
  violation.rule AS rule,
  violation.severity AS severity,
  violation.control AS control,
  violation.reason AS reason,
  violation.exception AS exception,
  event.* EXCEPT (violation, violations)
FROM (SELECT explode(violations) AS violation, * FROM s3_access) AS event;
