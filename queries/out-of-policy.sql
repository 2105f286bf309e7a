-- title: Which rules were violated, how often and where
-- control: CC6.1, CC7.2    severity: as the rule's    chart: table
-- params: none
-- `example_event_id` is for `bricktrail explain`.
SELECT
  rule, severity, control, min(reason) AS reason,
  count(*) AS events,
  count(DISTINCT bucket) AS buckets,
  count(DISTINCT coalesce(principal, role_arn, principal_arn)) AS actors,
  cast(sum(CASE WHEN sensitivity IN ('restricted', 'confidential') THEN 1 ELSE 0 END) AS bigint) AS sensitive_events,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  min(event_id) AS example_event_id
FROM violations
GROUP BY rule, severity, control
ORDER BY
  CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END,
  events DESC, rule
