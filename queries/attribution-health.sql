-- title: How much of each access path could be attributed, level by level
-- control: CC7.2    severity: low    chart: bar
-- params: none
-- A level that does not exist for an access (the job of a person's notebook)
-- counts as `none`, like one that nobody could find.
WITH counted AS (
  SELECT
    access_path, session_confidence, workspace_confidence, cluster_confidence,
    job_confidence, task_confidence, principal_confidence, count(*) AS events
  FROM s3_access
  GROUP BY
    access_path, session_confidence, workspace_confidence, cluster_confidence,
    job_confidence, task_confidence, principal_confidence
),
levels AS (
  SELECT
    counted.access_path, l.place, l.level, counted.events,
    CASE l.level
      WHEN 'session' THEN counted.session_confidence
      WHEN 'workspace' THEN counted.workspace_confidence
      WHEN 'cluster' THEN counted.cluster_confidence
      WHEN 'job' THEN counted.job_confidence
      WHEN 'task' THEN counted.task_confidence
      ELSE counted.principal_confidence
    END AS confidence
  FROM counted
  CROSS JOIN (
    VALUES (1, 'session'), (2, 'workspace'), (3, 'cluster'), (4, 'job'), (5, 'task'), (6, 'principal')
  ) AS l(place, level)
),
summed AS (
  SELECT
    access_path, place, level, sum(events) AS events,
    sum(CASE WHEN confidence = 'exact' THEN events ELSE 0 END) AS exact_events,
    sum(CASE WHEN confidence = 'strong' THEN events ELSE 0 END) AS strong_events,
    sum(CASE WHEN confidence = 'ambiguous' THEN events ELSE 0 END) AS ambiguous_events
  FROM levels
  GROUP BY access_path, place, level
)
SELECT
  access_path, level,
  cast(events AS bigint) AS events,
  cast(exact_events AS bigint) AS exact_events,
  cast(strong_events AS bigint) AS strong_events,
  cast(ambiguous_events AS bigint) AS ambiguous_events,
  cast(events - exact_events - strong_events - ambiguous_events AS bigint) AS none_events,
  round(100.0 * exact_events / events, 2) AS exact_percent,
  round(100.0 * strong_events / events, 2) AS strong_percent,
  round(100.0 * ambiguous_events / events, 2) AS ambiguous_percent,
  round(100.0 * (events - exact_events - strong_events - ambiguous_events) / events, 2) AS none_percent
FROM summed
ORDER BY access_path, place
