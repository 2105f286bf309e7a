-- title: Why nobody could be named, by access path
-- control: CC6.2, CC7.2    severity: low    chart: bar
-- params: none
-- `bricktrail health` says of each reason what it means and what would mend it.
WITH counted AS (
  SELECT
    access_path, unattributed_reason, count(*) AS events,
    sum(CASE WHEN settled THEN 1 ELSE 0 END) AS settled_events,
    sum(CASE WHEN sensitivity IN ('restricted', 'confidential') THEN 1 ELSE 0 END) AS sensitive_events,
    min(event_id) AS example_event_id
  FROM s3_access
  GROUP BY access_path, unattributed_reason
),
shares AS (
  SELECT
    access_path, unattributed_reason, events, settled_events, sensitive_events, example_event_id,
    sum(events) OVER (PARTITION BY access_path) AS path_events,
    sum(events) OVER () AS all_events
  FROM counted
)
SELECT
  access_path, unattributed_reason,
  cast(events AS bigint) AS events,
  round(100.0 * events / path_events, 2) AS percent_of_path,
  round(100.0 * events / all_events, 2) AS percent_of_all,
  cast(settled_events AS bigint) AS settled_events,
  cast(sensitive_events AS bigint) AS sensitive_events,
  example_event_id
FROM shares
WHERE unattributed_reason IS NOT NULL
ORDER BY events DESC, access_path, unattributed_reason
