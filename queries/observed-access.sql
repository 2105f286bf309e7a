-- title: Who used which dataset for what, as far as it is settled and attributed
-- control: CC6.1, CC6.3    severity: low    chart: table
-- params: none
-- What S3 answered only. `principal` is NULL where the caller is none of Databricks';
-- `role_arn` then names its role. What nobody is known for is left out: see
-- unattributed-reasons.
SELECT
  dataset, operation, principal, principal_kind,
  CASE WHEN principal IS NULL THEN access_path END AS access_path,
  CASE WHEN principal IS NULL THEN role_arn END AS role_arn,
  count(*) AS events,
  cast(sum(CASE WHEN job_id IS NOT NULL THEN 1 ELSE 0 END) AS bigint) AS in_jobs,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen
FROM s3_access
WHERE settled AND outcome = 'ok' AND dataset IS NOT NULL
  AND (principal_confidence IN ('exact', 'strong')
    OR access_path IN ('other_role', 'aws_service', 'databricks_platform'))
GROUP BY
  dataset, operation, principal, principal_kind,
  CASE WHEN principal IS NULL THEN access_path END,
  CASE WHEN principal IS NULL THEN role_arn END
ORDER BY dataset, events DESC, principal NULLS LAST, role_arn NULLS LAST, operation, access_path NULLS LAST
