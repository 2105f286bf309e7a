-- title: One row for each rule that an event violated
-- control: CC6.1, CC6.3, CC7.2    severity: as the rule's    chart: table
-- params: none
-- `exception` names the approved exception that covers the violation; where it is NULL,
-- the violation counts.
SELECT
  violation['rule'] AS rule,
  violation['severity'] AS severity,
  violation['control'] AS control,
  violation['reason'] AS reason,
  violation['exception'] AS exception,
  event.* EXCEPT (violation, violations)
FROM (SELECT unnest(violations) AS violation, * FROM s3_access) AS event
