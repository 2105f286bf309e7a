//! Writes the records of STS and EC2: who got which key, what was launched.
//!
//! Shapes: IAM user guide, CloudTrail integration (the role owner's copy of a
//! cross-account call shows the caller by account only); EC2 records as seen in
//! public trails. The session token is random letters and opens nothing.

use super::compute::Compute;
use super::identity;
use super::org::{DATABRICKS_ACCOUNT, FOREIGN_ACCOUNT, Organisation, place};
use super::play::{Caller, DatedFact, Fact, RoleSession, Signer, agent};
use super::random::Random;
use super::stage::role_of;
use super::text::{human, iso, put, quoted};

/// Writes the record, with a comma behind it.
pub(super) fn write(
    org: &Organisation,
    compute: &Compute,
    number: u64,
    dated: &DatedFact,
    out: &mut String,
) {
    let mut random = Random::of(org.size.seed, "fact", &[number]);
    let random = &mut random;
    match &dated.fact {
        Fact::Issue { .. } => issue(dated, random, out),
        Fact::Launch { instances } => launch(org, compute, dated, instances, random, out),
        Fact::Terminate { instances } => terminate(org, compute, dated, instances, random, out),
        Fact::LaunchOther { id, ip, role } => {
            let profile = &role.name;
            let signer = Signer::User {
                account: role.account,
                name: "terraform".to_owned(),
                id: "AIDAEXAMPLETERRAFORM22".to_owned(),
                key: "AKIAEXAMPLETERRAFORM".to_owned(),
            };
            let tags = r#"{"key":"Name","value":"backend"},{"key":"team","value":"web"}"#;
            begin(
                dated,
                &signer,
                "ec2.amazonaws.com",
                "RunInstances",
                "192.0.2.60",
                agent::BOTO,
                out,
            );
            run_instances(
                &[(id.to_string(), ip.clone())],
                Some(profile),
                tags,
                dated,
                random,
                out,
            );
        }
    }
}

fn begin(
    dated: &DatedFact,
    signer: &Signer,
    source: &str,
    name: &str,
    source_ip: &str,
    user_agent: &str,
    out: &mut String,
) {
    out.push_str(r#"{"eventVersion":"1.11","userIdentity":"#);
    identity::write(signer, out);
    middle(dated, source, name, source_ip, user_agent, out);
}

fn middle(
    dated: &DatedFact,
    source: &str,
    name: &str,
    source_ip: &str,
    user_agent: &str,
    out: &mut String,
) {
    put(
        out,
        format_args!(
            r#","eventTime":"{}","eventSource":"{source}","eventName":"{name}","awsRegion":"{}","sourceIPAddress":"{source_ip}","userAgent":"{user_agent}","#,
            iso(dated.at),
            place(dated.place).region
        ),
    );
}

fn finish(dated: &DatedFact, shared: bool, read_only: bool, random: &mut Random, out: &mut String) {
    put(
        out,
        format_args!(
            r#""requestID":"{}","eventID":"{}","#,
            random.uuid(),
            random.uuid()
        ),
    );
    if shared {
        put(out, format_args!(r#""sharedEventID":"{}","#, random.uuid()));
    }
    put(
        out,
        format_args!(
            r#""readOnly":{read_only},"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{}","eventCategory":"Management"}},"#,
            place(dated.place).account
        ),
    );
}

fn issue(dated: &DatedFact, random: &mut Random, out: &mut String) {
    let Fact::Issue {
        session,
        caller,
        policy,
        external_id,
        source_ip,
    } = &dated.fact
    else {
        return;
    };
    let account = |id: &str, principal_id: &str| {
        format!(r#"{{"type":"AWSAccount","principalId":"{principal_id}","accountId":"{id}"}}"#)
    };
    let (name, user_agent, shared) = match caller {
        Caller::Ec2 => ("AssumeRole", "ec2.amazonaws.com", true),
        Caller::Databricks { .. } | Caller::Foreign { .. } => ("AssumeRole", agent::UC, true),
        Caller::Session(_) => ("AssumeRole", agent::OLD_SPARK, false),
        Caller::Saml { .. } => ("AssumeRoleWithSAML", agent::BROWSER, false),
        Caller::WebIdentity => ("AssumeRoleWithWebIdentity", agent::BOTO, false),
    };
    out.push_str(r#"{"eventVersion":"1.11","userIdentity":"#);
    match caller {
        Caller::Ec2 => {
            out.push_str(r#"{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}"#);
        }
        Caller::Databricks { principal_id } => {
            out.push_str(&account(DATABRICKS_ACCOUNT, principal_id));
        }
        Caller::Foreign { principal_id } => out.push_str(&account(FOREIGN_ACCOUNT, principal_id)),
        Caller::Session(session) => identity::write_session(session, out),
        Caller::Saml { user } => put(
            out,
            format_args!(
                r#"{{"type":"SAMLUser","principalId":"h1Xq9s2:{user}","userName":"{user}","identityProvider":"h1Xq9s2"}}"#
            ),
        ),
        Caller::WebIdentity => out.push_str(
            r#"{"type":"WebIdentityUser","principalId":"arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE:sts.amazonaws.com:system:serviceaccount:airflow:worker","userName":"system:serviceaccount:airflow:worker","identityProvider":"arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE"}"#,
        ),
    }
    middle(dated, "sts.amazonaws.com", name, source_ip, user_agent, out);
    put(
        out,
        format_args!(
            r#""requestParameters":{{"roleArn":"{}","roleSessionName":"{}""#,
            session.role.arn(),
            session.name
        ),
    );
    if let Some(external_id) = external_id {
        put(
            out,
            format_args!(r#","externalId":"{external_id}","durationSeconds":3600"#),
        );
    }
    if let Some(policy) = policy {
        let text = session_policy(
            &policy.location.bucket,
            &policy.location.prefix,
            policy.writes,
        );
        put(out, format_args!(r#","policy":"{}""#, quoted(&text)));
    }
    response(session, policy.is_some(), random, out);
    finish(dated, shared, true, random, out);
}

fn response(session: &RoleSession, has_policy: bool, random: &mut Random, out: &mut String) {
    let role = &session.role;
    put(
        out,
        format_args!(
            r#"}},"responseElements":{{"credentials":{{"accessKeyId":"{}","sessionToken":""#,
            session.key
        ),
    );
    random.base64(680, out);
    put(
        out,
        format_args!(
            r#"","expiration":"{}"}},"assumedRoleUser":{{"assumedRoleId":"{}:{name}","arn":"arn:aws:sts::{}:assumed-role/{}/{name}"}}"#,
            human(session.expires),
            role.id,
            role.account,
            role.name,
            name = session.name
        ),
    );
    if has_policy {
        put(
            out,
            format_args!(r#","packedPolicySize":{}"#, 10 + random.below(30)),
        );
    }
    put(
        out,
        format_args!(
            r#"}},"resources":[{{"accountId":"{}","type":"AWS::IAM::Role","ARN":"{}"}}],"#,
            role.account,
            role.arn()
        ),
    );
}

/// As open-source Unity Catalog writes it (`AwsPolicyGenerator`).
fn session_policy(bucket: &str, prefix: &str, writes: bool) -> String {
    let actions = if writes {
        r#"["s3:GetO*","s3:PutO*","s3:DeleteO*","s3:*Multipart*"]"#
    } else {
        r#"["s3:GetO*"]"#
    };
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":["arn:aws:s3:::{bucket}/{prefix}/*","arn:aws:s3:::{bucket}/{prefix}"]}},{{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::{bucket}"],"Condition":{{"StringLike":{{"s3:prefix":["{prefix}","{prefix}/","{prefix}/*"]}}}}}}]}}"#
    )
}

/// Databricks manages machines through a role that it assumes in the account.
fn manager(org: &Organisation, workspace: usize, at: i64) -> Option<Signer> {
    let workspace = org.workspaces.get(workspace)?;
    let hour = at.div_euclid(3600);
    let mut named = Random::of(org.size.seed, workspace.name, &[hour.unsigned_abs()]);
    Some(Signer::Session(std::sync::Arc::new(RoleSession {
        role: workspace.roles.cross_account.clone(),
        name: "databricks".to_owned(),
        key: named.aws_id("ASIA", 16),
        issued: hour * 3600,
        expires: hour * 3600 + 3600,
        in_scope_of: None,
        is_delivered: false,
    })))
}

fn launch(
    org: &Organisation,
    compute: &Compute,
    dated: &DatedFact,
    instances: &[usize],
    random: &mut Random,
    out: &mut String,
) {
    let Some(first) = instances.first().and_then(|n| compute.instances.get(*n)) else {
        return;
    };
    let Some(signer) = manager(org, first.workspace, dated.at) else {
        return;
    };
    let workspace = org.workspaces.get(first.workspace);
    let cluster = first.cluster.and_then(|n| compute.clusters.get(n));
    let creator = |owner: usize| {
        workspace
            .and_then(|workspace| workspace.users.get(owner))
            .map(|user| user.name.to_string())
            .unwrap_or_default()
    };
    let mut tags = r#"{"key":"Vendor","value":"Databricks"}"#.to_owned();
    match cluster {
        Some(cluster) => {
            put(
                &mut tags,
                format_args!(
                    r#",{{"key":"Creator","value":"{}"}},{{"key":"ClusterId","value":"{}"}},{{"key":"ClusterName","value":"{}"}}"#,
                    creator(cluster.owner),
                    cluster.id,
                    cluster.name
                ),
            );
            let job = cluster
                .run
                .and_then(|run| compute.runs.get(run))
                .and_then(|run| compute.jobs.get(run.job));
            if let Some(job) = job {
                put(
                    &mut tags,
                    format_args!(
                        r#",{{"key":"JobId","value":"{}"}},{{"key":"RunName","value":"{}"}}"#,
                        job.id, job.name
                    ),
                );
            }
        }
        // A pool's machines have no other tags.
        None => put(
            &mut tags,
            format_args!(
                r#",{{"key":"DatabricksInstancePoolId","value":"{}"}},{{"key":"DatabricksInstancePoolCreatorId","value":"{}"}}"#,
                super::exports::compute::pool_id(org.size.seed, first.workspace),
                4_400_000_000_001_u64
            ),
        ),
    }
    let members: Vec<(String, String)> = instances
        .iter()
        .filter_map(|n| compute.instances.get(*n))
        .map(|instance| (instance.id.to_string(), instance.ip.clone()))
        .collect();
    let role = first
        .profile
        .zip(workspace)
        .map(|(profile, workspace)| role_of(workspace, profile));
    begin(
        dated,
        &signer,
        "ec2.amazonaws.com",
        "RunInstances",
        "203.0.113.5",
        agent::UC,
        out,
    );
    let profile = role.as_ref().map(|role| role.name.as_str());
    run_instances(&members, profile, &tags, dated, random, out);
}

fn run_instances(
    members: &[(String, String)],
    profile: Option<&str>,
    tags: &str,
    dated: &DatedFact,
    random: &mut Random,
    out: &mut String,
) {
    let at = place(dated.place);
    let (account, region) = (at.account, at.region);
    let count = members.len();
    let profile_arn = profile.map(|name| format!("arn:aws:iam::{account}:instance-profile/{name}"));
    let requested = profile_arn
        .as_ref()
        .map(|arn| format!(r#""iamInstanceProfile":{{"arn":"{arn}"}},"#))
        .unwrap_or_default();
    let answered = profile_arn
        .as_ref()
        .map(|arn| {
            format!(r#""iamInstanceProfile":{{"arn":"{arn}","id":"AIPAEXAMPLEPROFILE222"}},"#)
        })
        .unwrap_or_default();
    put(
        out,
        format_args!(
            r#""requestParameters":{{"instancesSet":{{"items":[{{"imageId":"ami-0d9f2b3c4e5a6f708","minCount":{count},"maxCount":{count}}}]}},"instanceType":"i3.2xlarge",{requested}"monitoring":{{"enabled":false}},"tagSpecificationSet":{{"items":[{{"resourceType":"instance","tags":[{tags}]}}]}}}},"responseElements":{{"requestId":"{}","reservationId":"{}","ownerId":"{account}","instancesSet":{{"items":["#,
            random.uuid(),
            random.ec2_id("r")
        ),
    );
    for (n, (id, ip)) in members.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        put(
            out,
            format_args!(
                r#"{{"instanceId":"{id}","imageId":"ami-0d9f2b3c4e5a6f708","currentState":{{"code":0,"name":"pending"}},"instanceType":"i3.2xlarge","launchTime":{}000,"placement":{{"availabilityZone":"{region}a","tenancy":"default"}},"privateIpAddress":"{ip}","architecture":"x86_64","virtualizationType":"hvm",{answered}"tagSet":{{"items":[{tags}]}}}}"#,
                dated.at
            ),
        );
    }
    out.push_str("]}},");
    finish(dated, false, false, random, out);
}

fn terminate(
    org: &Organisation,
    compute: &Compute,
    dated: &DatedFact,
    instances: &[usize],
    random: &mut Random,
    out: &mut String,
) {
    let ids: Vec<String> = instances
        .iter()
        .filter_map(|n| compute.instances.get(*n))
        .map(|instance| format!(r#"{{"instanceId":"{}"}}"#, instance.id))
        .collect();
    let workspace = instances
        .first()
        .and_then(|n| compute.instances.get(*n))
        .map(|instance| instance.workspace);
    let Some(signer) = workspace.and_then(|workspace| manager(org, workspace, dated.at)) else {
        return;
    };
    begin(
        dated,
        &signer,
        "ec2.amazonaws.com",
        "TerminateInstances",
        "203.0.113.5",
        agent::UC,
        out,
    );
    put(
        out,
        format_args!(
            r#""requestParameters":{{"instancesSet":{{"items":[{}]}}}},"responseElements":null,"#,
            ids.join(",")
        ),
    );
    finish(dated, false, false, random, out);
}
