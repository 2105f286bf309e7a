-- title: Who reached which dataset, in the course of which job, and how sure that is
-- control: CC6.1, CC6.3    severity: low    chart: table
-- params: none
-- Where nobody is named, `aws_principal` is what AWS saw instead. NULL as dataset:
-- no location of datasets.toml holds it.
WITH accesses AS (
  SELECT
    dataset, sensitivity, principal, principal_kind, principal_candidates, principal_confidence,
    CASE WHEN principal IS NULL THEN coalesce(role_arn, principal_arn, identity_type) END AS aws_principal,
    job_id, workspace_id, access_path, operation, verdict, bytes_out, event_time
  FROM s3_access
)
SELECT
  dataset, sensitivity, principal, principal_kind, principal_candidates, aws_principal,
  principal_confidence, workspace_id, job_id, access_path,
  count(*) AS events,
  cast(sum(CASE WHEN operation IN ('read', 'list') THEN 1 ELSE 0 END) AS bigint) AS reads,
  cast(sum(CASE WHEN operation IN ('write', 'delete') THEN 1 ELSE 0 END) AS bigint) AS writes,
  cast(sum(CASE WHEN verdict = 'out_of_policy' THEN 1 ELSE 0 END) AS bigint) AS out_of_policy,
  cast(sum(bytes_out) AS bigint) AS bytes_out,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen
FROM accesses
GROUP BY
  dataset, sensitivity, principal, principal_kind, principal_candidates, aws_principal,
  principal_confidence, workspace_id, job_id, access_path
ORDER BY dataset NULLS LAST, events DESC, principal, aws_principal, workspace_id, job_id, access_path
