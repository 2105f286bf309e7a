-- title: Why several people remained, by access path
-- control: CC6.2, CC7.2    severity: low    chart: bar
-- params: none
-- `bricktrail health` says of each doubt what it means and what would mend it.
WITH doubtful AS (
  SELECT
    access_path, event_id, sensitivity,
    CASE
      WHEN array_contains(attribution_methods, 'conflict') THEN 'conflict'
      WHEN access_path = 'unity_catalog' AND session_confidence <> 'exact' THEN 'no_session'
      WHEN array_contains(attribution_methods, 'C1_session_reuse') THEN 'session_reuse'
      WHEN array_contains(attribution_methods, 'M5_dedicated_group') THEN 'dedicated_group'
      WHEN array_contains(attribution_methods, 'M5_active_users') THEN 'shared_cluster'
      WHEN array_contains(attribution_methods, 'C1_vend') THEN 'several_vends'
      ELSE 'several_runs'
    END AS doubt
  FROM s3_access
  WHERE principal_confidence = 'ambiguous'
),
counted AS (
  SELECT
    access_path, doubt, count(*) AS events,
    sum(CASE WHEN sensitivity IN ('restricted', 'confidential') THEN 1 ELSE 0 END) AS sensitive_events,
    min(event_id) AS example_event_id
  FROM doubtful
  GROUP BY access_path, doubt
)
SELECT
  access_path, doubt,
  cast(events AS bigint) AS events,
  round(100.0 * events / sum(events) OVER (), 2) AS percent_of_ambiguous,
  cast(sensitive_events AS bigint) AS sensitive_events,
  example_event_id
FROM counted
ORDER BY events DESC, access_path, doubt
