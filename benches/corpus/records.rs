//! Writes records as CloudTrail does: compact JSON, fields in AWS's order.
//!
//! Shapes follow the CloudTrail, S3 and IAM user guides and public records:
//! eventVersion 1.11, byte counts as integers, `ARNPrefix` for listings, the
//! role owner's copy of a cross-account AssumeRole.

use super::random::Random;
use super::world::{
    Cluster, Key, TABLES, Table, UC_SESSIONS, USER_AGENTS, Vended, World, human, iso,
};
use std::fmt::Write as _;
use std::ops::Range;

/// Events of the object before that stand in an object once more: 1 %.
pub const COPIES: u64 = 42;

/// Databricks' control plane, which assumes the roles of Unity Catalog.
const DATABRICKS_ACCOUNT: &str = "414351767826";

/// Events in a row that come from the same [`TASKS`] tasks.
const BURST: u64 = 128;
const TASKS: u64 = 16;

/// Place of a copied event in its own object.
pub fn copied_place(number: u64) -> u64 {
    7 + 25 * number
}

/// Who makes a request, and from where.
struct Caller {
    identity: String,
    at: u64,
    source_ip: String,
    user_agent: &'static str,
    vpc_endpoint_id: Option<String>,
    presigned: bool,
    /// An AWS service: no TLS details, encryption of its own choice.
    is_service: bool,
    /// Whether the record tells the TLS version.
    has_tls_details: bool,
    /// Where a vended session is at work, and whether it may write there.
    table: Option<(Table, bool)>,
}

/// What a request does.
struct Request {
    name: &'static str,
    parameters: String,
    response: String,
    bytes_in: u64,
    bytes_out: u64,
    sse: &'static str,
    read_only: bool,
    object_arn: String,
    bucket: String,
    error: Option<(&'static str, &'static str)>,
}

/// How many identity facts an object got.
#[derive(Default)]
pub struct Facts {
    pub records: u64,
    pub sts_sessions: u64,
    pub ec2_instances: u64,
}

/// Writes the event at that place of the object; tells whether it is one of S3.
pub fn event(world: &World, object: usize, place: u64, out: &mut String) -> bool {
    let mut random = Random::of(&[8, object as u64, place]);
    let random = &mut random;
    // Events of one moment come from few tasks, each at work on one table.
    let task = [16, object as u64, place / BURST, random.below(TASKS)];
    let mut named = Random::of(&task);
    let mut caller = match named.below(100) {
        0..57 => instance(world, object, &mut named),
        57..91 => unity_catalog(world, object, &mut named),
        91..95 => pipeline_role(world, object, &mut named),
        95..97 => iam_user(world, object, &mut named),
        97..99 => aws_service(world, object, &mut named),
        _ => Caller {
            presigned: true,
            ..iam_user(world, object, &mut named)
        },
    };
    caller.at += random.below(40);
    // Real trails have more of them; with few, records are short and the target is hard.
    caller.has_tls_details &= named.chance(30);
    caller
        .table
        .get_or_insert_with(|| (world.table(object, named.skewed(TABLES)), true));
    if random.chance(10) {
        other_service(world, object, &caller, random, out);
        return false;
    }
    let request = s3_request(world, object, &caller, random);
    s3_event(world, object, &caller, &request, random, out);
    true
}

/// Writes the identity facts of the object's time: launches and ends of
/// clusters, keys of their instances, sessions of Unity Catalog.
pub fn facts(world: &World, object: usize, out: &mut String) -> Facts {
    let mut random = Random::of(&[9, object as u64]);
    let random = &mut random;
    let mut facts = Facts::default();
    let window = world.window(object);
    for cluster in world.clusters(object) {
        if window.contains(&cluster.launched) {
            run_instances(world, object, cluster, random, out);
            facts.records += 1;
            facts.ec2_instances += cluster.instances.len() as u64;
        }
        if window.contains(&cluster.ends) {
            terminate_instances(world, object, cluster, random, out);
            facts.records += 1;
            facts.ec2_instances += cluster.instances.len() as u64;
        }
        for instance in &cluster.instances {
            for at in instance.issues_in(&window, cluster.ends) {
                assume_for_instance(
                    world,
                    object,
                    cluster,
                    &instance.id,
                    &instance.key_at(at),
                    random,
                    out,
                );
                facts.sts_sessions += 1;
            }
        }
    }
    for number in 0..UC_SESSIONS {
        assume_for_unity_catalog(world, object, &world.vended(object, number), random, out);
        facts.sts_sessions += 1;
    }
    facts.records += facts.sts_sessions;
    facts
}

fn within(span: &Range<u64>, random: &mut Random) -> u64 {
    span.start + random.below(span.end - span.start)
}

/// A role session with its issuer; `more` follows inside and after the context.
fn session(account: &str, role: (&str, &str), name: &str, key: &Key, more: (&str, &str)) -> String {
    let ((role, role_id), (in_context, after), issued) = (role, more, iso(key.issued));
    let key = &key.id;
    format!(
        r#"{{"type":"AssumedRole","principalId":"{role_id}:{name}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{name}","accountId":"{account}","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{role_id}","arn":"arn:aws:iam::{account}:role/{role}","accountId":"{account}","userName":"{role}"}},"attributes":{{"creationDate":"{issued}","mfaAuthenticated":"false"}}{in_context}}}{after}}}"#
    )
}

fn instance(world: &World, object: usize, random: &mut Random) -> Caller {
    let window = world.window(object);
    let alive: Vec<(&Cluster, Range<u64>)> = world
        .clusters(object)
        .filter_map(|cluster| Some((cluster, cluster.alive_in(&window)?)))
        .collect();
    let (cluster, alive) = random.pick(&alive);
    let at = within(alive, random);
    let instance = random.pick(&cluster.instances);
    let (account, region) = (world.account(object), world.region(object));
    // Whether S3 events carry the scope is not documented; a quarter of them do here.
    let scope = match object % 4 {
        0..3 => String::new(),
        _ => format!(
            r#","inScopeOf":{{"issuerType":"AWS::EC2::Instance","credentialsIssuedTo":"arn:aws:ec2:{region}:{account}:instance/{}"}}"#,
            instance.id
        ),
    };
    let key = instance.key_at(at);
    let role = (cluster.role.as_str(), cluster.role_id.as_str());
    Caller {
        identity: session(
            account,
            role,
            &instance.id,
            &key,
            (r#","ec2RoleDelivery":"2.0""#, &scope),
        ),
        at,
        source_ip: instance.private_ip.clone(),
        user_agent: cluster.user_agent,
        vpc_endpoint_id: Some(cluster.vpc_endpoint_id.clone()),
        presigned: false,
        is_service: false,
        has_tls_details: true,
        table: None,
    }
}

fn unity_catalog(world: &World, object: usize, random: &mut Random) -> Caller {
    let number = random.below(UC_SESSIONS);
    let vended = world.vended(object, number);
    let expires = vended.key.issued + 3600;
    let at = within(
        &(vended.key.issued + 1..world.window(object).end.min(expires)),
        random,
    );
    let (role, role_id) = unity_catalog_role(world, object, vended.role);
    Caller {
        identity: session(
            world.account(object),
            (&role, &role_id),
            vended.session_name,
            &vended.key,
            ("", ""),
        ),
        at,
        source_ip: vended.source_ip,
        user_agent: USER_AGENTS[number as usize % 3],
        vpc_endpoint_id: None,
        presigned: false,
        is_service: false,
        has_tls_details: true,
        table: Some((vended.table, vended.writes)),
    }
}

fn unity_catalog_role(world: &World, object: usize, number: u64) -> (String, String) {
    let id = Random::of(&[
        10,
        world.account(object).len() as u64,
        (object % 4 / 2) as u64,
        number,
    ])
    .aws_id("AROA", 17);
    (format!("uc-storage-{number}"), id)
}

/// A role outside Databricks whose sessions the corpus does not explain.
fn pipeline_role(world: &World, object: usize, random: &mut Random) -> Caller {
    let window = world.window(object);
    let mut named = Random::of(&[11, object as u64, random.below(6)]);
    let key = Key {
        id: named.aws_id("ASIA", 16),
        issued: window.start,
    };
    let name = format!("botocore-session-{}", 1_789_000_000 + named.below(900_000));
    let role = ("airflow-loader", "AROA4AIRFLOWLOADER222");
    Caller {
        identity: session(world.account(object), role, &name, &key, ("", "")),
        at: within(&window, random),
        source_ip: format!("10.8.0.{}", 4 + named.below(12)),
        user_agent: USER_AGENTS[4],
        vpc_endpoint_id: Some("vpce-0a1b2c3d4e5f60718".to_owned()),
        presigned: false,
        is_service: false,
        has_tls_details: true,
        table: None,
    }
}

fn iam_user(world: &World, object: usize, random: &mut Random) -> Caller {
    let (account, user) = (world.account(object), random.below(4));
    let mut named = Random::of(&[12, (object % 4 / 2) as u64, user]);
    let (id, key) = (named.aws_id("AIDA", 17), named.aws_id("AKIA", 16));
    Caller {
        identity: format!(
            r#"{{"type":"IAMUser","principalId":"{id}","arn":"arn:aws:iam::{account}:user/svc-legacy-{user}","accountId":"{account}","accessKeyId":"{key}","userName":"svc-legacy-{user}"}}"#
        ),
        at: within(&world.window(object), random),
        source_ip: format!("198.51.100.{}", 20 + named.below(8)),
        user_agent: "[aws-cli/2.15.17 Python/3.11.6 Linux/6.1.0-18-amd64 exe/x86_64.debian.12 prompt/off command/s3.cp]",
        vpc_endpoint_id: None,
        presigned: false,
        is_service: false,
        has_tls_details: true,
        table: None,
    }
}

fn aws_service(world: &World, object: usize, random: &mut Random) -> Caller {
    let service = *random.pick(&[
        "delivery.logs.amazonaws.com",
        "cloudtrail.amazonaws.com",
        "config.amazonaws.com",
    ]);
    Caller {
        identity: format!(r#"{{"type":"AWSService","invokedBy":"{service}"}}"#),
        at: within(&world.window(object), random),
        source_ip: service.to_owned(),
        user_agent: service,
        vpc_endpoint_id: None,
        presigned: false,
        is_service: true,
        has_tls_details: false,
        table: None,
    }
}

fn s3_request(world: &World, object: usize, caller: &Caller, random: &mut Random) -> Request {
    let (account, region) = (world.account(object), world.region(object));
    let (table, may_write) = caller
        .table
        .as_ref()
        .expect("every caller of S3 has a table");
    let may_write = *may_write;
    let bucket = &table.bucket;
    let kind = random.below(100);
    let name = match kind {
        _ if caller.is_service => "PutObject",
        _ if caller.presigned => "GetObject",
        78..87 if may_write => "PutObject",
        87..90 if may_write => "UploadPart",
        90..93 if may_write => "DeleteObject",
        93.. => "ListObjects",
        64..78 => "HeadObject",
        _ => "GetObject",
    };
    let key = if caller.is_service {
        format!(
            "AWSLogs/{account}/{}/{region}/{}_{}.json.gz",
            caller.user_agent,
            caller.at,
            random.uuid_text()
        )
    } else {
        table.key(object, random)
    };
    let host = format!("{bucket}.s3.{region}.amazonaws.com");
    let mut parameters = String::from("{");
    if caller.presigned {
        write!(
            parameters,
            r#""X-Amz-Date":"{}","X-Amz-Algorithm":"AWS4-HMAC-SHA256","X-Amz-SignedHeaders":"host","X-Amz-Expires":"900","#,
            iso(caller.at - caller.at % 60).replace(['-', ':'], "")
        )
        .expect("write to a string");
    }
    let mut response = String::from("null");
    let mut object_arn = format!(r#""ARN":"arn:aws:s3:::{bucket}/{key}""#);
    let (mut bytes_in, mut bytes_out, mut sse) = (0, 0, "");
    write!(parameters, r#""bucketName":"{bucket}","Host":"{host}""#).expect("write to a string");
    if name == "ListObjects" {
        let prefix = &table.prefix;
        write!(
            parameters,
            r#","list-type":"2","encoding-type":"url","max-keys":"5000","prefix":"{prefix}/","delimiter":"/","fetch-owner":"false""#
        )
        .expect("write to a string");
        object_arn = format!(r#""ARNPrefix":"arn:aws:s3:::{bucket}/""#);
        bytes_out = 300 + random.below(60_000);
    } else {
        write!(parameters, r#","key":"{key}""#).expect("write to a string");
    }
    match name {
        "GetObject" => {
            bytes_out = random.below(8_000_000);
            sse = "SSE_KMS";
        }
        "HeadObject" => sse = "SSE_KMS",
        "PutObject" | "UploadPart" => {
            bytes_in = random.below(32_000_000);
            sse = if caller.is_service || table.bucket.contains("-raw") {
                "Default_SSE_S3"
            } else {
                "Default_SSE_KMS"
            };
            response = if sse == "Default_SSE_S3" {
                r#"{"x-amz-server-side-encryption":"AES256"}"#.to_owned()
            } else {
                format!(
                    r#"{{"x-amz-server-side-encryption":"aws:kms","x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:{region}:{account}:key/6f1c2a4e-58d1-4c07-9d0b-3b7f0f9d{:04}"}}"#,
                    1000 + bucket.len()
                )
            };
            if name == "UploadPart" {
                let mut upload = String::new();
                Random::of(&[13, object as u64, random.below(8)]).base64(120, &mut upload);
                let upload = upload.replace(['+', '/'], "_");
                write!(
                    parameters,
                    r#","partNumber":"{}","uploadId":"{upload}""#,
                    1 + random.below(20)
                )
                .expect("write to a string");
            }
        }
        _ => {}
    }
    parameters.push('}');
    let error = match random.below(1000) {
        0..5 => Some(("AccessDenied", "Access Denied")),
        5..20 if matches!(name, "GetObject" | "HeadObject") => {
            Some(("NoSuchKey", "The specified key does not exist."))
        }
        _ => None,
    };
    if error.is_some() {
        response = String::from("null");
        (bytes_in, bytes_out, sse) = (0, 243 + random.below(40), "");
    }
    Request {
        name,
        parameters,
        response,
        bytes_in,
        bytes_out,
        sse,
        read_only: matches!(name, "GetObject" | "HeadObject" | "ListObjects"),
        object_arn,
        bucket: bucket.clone(),
        error,
    }
}

fn s3_event(
    world: &World,
    object: usize,
    caller: &Caller,
    request: &Request,
    random: &mut Random,
    out: &mut String,
) {
    const CIPHER: &str = "TLS_AES_128_GCM_SHA256";
    let (account, region) = (world.account(object), world.region(object));
    begin(caller, "s3.amazonaws.com", request.name, region, out);
    if let Some((code, message)) = request.error {
        put(
            out,
            format_args!(r#""errorCode":"{code}","errorMessage":"{message}","#),
        );
    }
    put(
        out,
        format_args!(
            r#""requestParameters":{},"responseElements":{},"additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":"{CIPHER}","bytesTransferredIn":{},"#,
            request.parameters, request.response, request.bytes_in
        ),
    );
    if !request.sse.is_empty() {
        put(out, format_args!(r#""SSEApplied":"{}","#, request.sse));
    }
    let method = if caller.presigned {
        "QueryString"
    } else {
        "AuthHeader"
    };
    put(
        out,
        format_args!(r#""AuthenticationMethod":"{method}","x-amz-id-2":""#),
    );
    random.base64(76, out);
    put(
        out,
        format_args!(
            r#"","bytesTransferredOut":{}}},"requestID":""#,
            request.bytes_out
        ),
    );
    random.base36(16, out);
    out.push_str(r#"","eventID":""#);
    random.uuid(out);
    put(
        out,
        format_args!(
            r#"","readOnly":{},"resources":[{{"type":"AWS::S3::Object",{}}},{{"accountId":"{account}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{}"}}],"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"{account}","#,
            request.read_only, request.object_arn, request.bucket
        ),
    );
    if caller.is_service {
        put(out, format_args!(r#""sharedEventID":""#));
        random.uuid(out);
        out.push_str("\",");
    }
    if let Some(id) = &caller.vpc_endpoint_id {
        put(out, format_args!(r#""vpcEndpointId":"{id}","#));
    }
    out.push_str(r#""eventCategory":"Data""#);
    if caller.has_tls_details {
        let host = format!("{}.s3.{region}.amazonaws.com", request.bucket);
        tls(&host, out);
    }
    out.push_str("},");
}

/// A management event of a service that has no part in S3 access.
fn other_service(
    world: &World,
    object: usize,
    caller: &Caller,
    random: &mut Random,
    out: &mut String,
) {
    let (account, region) = (world.account(object), world.region(object));
    let (source, name, parameters, read_only) = match random.below(6) {
        0 => ("kms.amazonaws.com", "Decrypt", r#"{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::acme-prod"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#.to_owned(), true),
        1 => ("kms.amazonaws.com", "GenerateDataKey", format!(r#"{{"encryptionContext":{{"aws:s3:arn":"arn:aws:s3:::acme-gold"}},"keySpec":"AES_256","keyId":"arn:aws:kms:{region}:{account}:key/6f1c2a4e-58d1-4c07-9d0b-3b7f0f9d1023"}}"#), true),
        2 => ("ec2.amazonaws.com", "DescribeInstances", r#"{"maxResults":1000,"instancesSet":{},"filterSet":{"items":[{"name":"tag:Vendor","valueSet":{"items":[{"value":"Databricks"}]}}]}}"#.to_owned(), true),
        3 => ("glue.amazonaws.com", "GetTable", r#"{"databaseName":"sales","name":"orders","catalogId":"111122223333"}"#.to_owned(), true),
        4 => ("sts.amazonaws.com", "GetCallerIdentity", "null".to_owned(), true),
        _ => ("ssm.amazonaws.com", "UpdateInstanceInformation", r#"{"agentVersion":"3.3.131.0","agentStatus":"Active","platformType":"Linux","platformName":"Ubuntu","platformVersion":"22.04","availabilityZone":"eu-west-1a"}"#.to_owned(), false),
    };
    begin(caller, source, name, region, out);
    put(
        out,
        format_args!(r#""requestParameters":{parameters},"responseElements":null,"#),
    );
    finish_management(account, source, read_only, random, out);
}

/// The metadata service gets a key for an instance.
fn assume_for_instance(
    world: &World,
    object: usize,
    cluster: &Cluster,
    instance: &str,
    key: &Key,
    random: &mut Random,
    out: &mut String,
) {
    let (account, region) = (world.account(object), world.region(object));
    let caller = Caller {
        identity: r#"{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}"#.to_owned(),
        at: key.issued,
        source_ip: "ec2.amazonaws.com".to_owned(),
        user_agent: "ec2.amazonaws.com",
        vpc_endpoint_id: None,
        presigned: false,
        is_service: true,
        has_tls_details: false,
        table: None,
    };
    let (role, role_id, key_id) = (&cluster.role, &cluster.role_id, &key.id);
    begin(&caller, "sts.amazonaws.com", "AssumeRole", region, out);
    put(
        out,
        format_args!(
            r#""requestParameters":{{"roleArn":"arn:aws:iam::{account}:role/{role}","roleSessionName":"{instance}"}},"responseElements":{{"credentials":{{"accessKeyId":"{key_id}","sessionToken":""#
        ),
    );
    random.base64(860, out);
    put(
        out,
        format_args!(
            r#"","expiration":"{}"}},"assumedRoleUser":{{"assumedRoleId":"{role_id}:{instance}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{instance}"}}}},"sharedEventID":""#,
            human(key.issued + 6 * 3600)
        ),
    );
    random.uuid(out);
    put(
        out,
        format_args!(
            r#"","resources":[{{"accountId":"{account}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{account}:role/{role}"}}],"#
        ),
    );
    finish_management(account, "sts.amazonaws.com", true, random, out);
}

/// The customer's copy of a vend: caller is Databricks, by account only.
fn assume_for_unity_catalog(
    world: &World,
    object: usize,
    vended: &Vended,
    random: &mut Random,
    out: &mut String,
) {
    let (account, region) = (world.account(object), world.region(object));
    let (role, role_id) = unity_catalog_role(world, object, vended.role);
    let (name, key) = (vended.session_name, &vended.key);
    let caller = Caller {
        identity: format!(
            r#"{{"type":"AWSAccount","principalId":"AROAWAK2EXAMPLEUC5TYTL:{name}","accountId":"{DATABRICKS_ACCOUNT}"}}"#
        ),
        at: key.issued,
        source_ip: format!("192.0.2.{}", 30 + random.below(6)),
        user_agent: "aws-sdk-java/2.25.11 Linux/5.15.0-1072-aws OpenJDK_64-Bit_Server_VM/17.0.13+11-LTS Java/17.0.13",
        vpc_endpoint_id: None,
        presigned: false,
        is_service: false,
        has_tls_details: true,
        table: None,
    };
    let (bucket, prefix) = (&vended.table.bucket, &vended.table.prefix);
    let actions = if vended.writes {
        r#"["s3:GetO*","s3:PutO*","s3:DeleteO*","s3:*Multipart*"]"#
    } else {
        r#"["s3:GetO*"]"#
    };
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":["arn:aws:s3:::{bucket}/{prefix}/*","arn:aws:s3:::{bucket}/{prefix}"]}},{{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::{bucket}"],"Condition":{{"StringLike":{{"s3:prefix":["{prefix}","{prefix}/","{prefix}/*"]}}}}}}]}}"#
    )
    .replace('"', "\\\"");
    let external_id = Random::of(&[14, vended.role]).uuid_text();
    begin(&caller, "sts.amazonaws.com", "AssumeRole", region, out);
    put(
        out,
        format_args!(
            r#""requestParameters":{{"roleArn":"arn:aws:iam::{account}:role/{role}","roleSessionName":"{name}","externalId":"{external_id}","durationSeconds":3600,"policy":"{policy}"}},"responseElements":{{"credentials":{{"accessKeyId":"{}","sessionToken":""#,
            key.id
        ),
    );
    random.base64(1100, out);
    put(
        out,
        format_args!(
            r#"","expiration":"{}"}},"assumedRoleUser":{{"assumedRoleId":"{role_id}:{name}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{name}"}},"packedPolicySize":{}}},"sharedEventID":""#,
            human(key.issued + 3600),
            10 + random.below(30)
        ),
    );
    random.uuid(out);
    put(
        out,
        format_args!(
            r#"","resources":[{{"accountId":"{account}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{account}:role/{role}"}}],"#
        ),
    );
    finish_management(account, "sts.amazonaws.com", true, random, out);
}

/// Databricks calls EC2 through a role that it assumes in the account.
fn databricks_compute(world: &World, object: usize, at: u64) -> Caller {
    let key = Key {
        id: Random::of(&[15, object as u64]).aws_id("ASIA", 16),
        issued: at - at % 3600,
    };
    let role = ("dbx-cross-account", "AROA3DATABRICKSXACC22");
    Caller {
        identity: session(world.account(object), role, "databricks", &key, ("", "")),
        at,
        source_ip: "192.0.2.12".to_owned(),
        user_agent: "Databricks-Service/driver aws-sdk-java/1.12.638 Linux/5.15.0-1072-aws",
        vpc_endpoint_id: None,
        presigned: false,
        is_service: false,
        has_tls_details: true,
        table: None,
    }
}

fn run_instances(
    world: &World,
    object: usize,
    cluster: &Cluster,
    random: &mut Random,
    out: &mut String,
) {
    let (account, region) = (world.account(object), world.region(object));
    let caller = databricks_compute(world, object, cluster.launched);
    let mut tags = format!(
        r#"{{"key":"Vendor","value":"Databricks"}},{{"key":"Creator","value":"{}"}},{{"key":"ClusterId","value":"{}"}},{{"key":"ClusterName","value":"cluster {}"}}"#,
        cluster.creator, cluster.id, cluster.id
    );
    if let Some(job_id) = cluster.job_id {
        put(
            &mut tags,
            format_args!(
                r#",{{"key":"JobId","value":"{job_id}"}},{{"key":"RunName","value":"nightly load {job_id}"}}"#
            ),
        );
    }
    let count = cluster.instances.len();
    begin(&caller, "ec2.amazonaws.com", "RunInstances", region, out);
    put(
        out,
        format_args!(
            r#""requestParameters":{{"instancesSet":{{"items":[{{"imageId":"ami-0d9f2b3c4e5a6f708","minCount":{count},"maxCount":{count}}}]}},"instanceType":"i3.2xlarge","iamInstanceProfile":{{"arn":"arn:aws:iam::{account}:instance-profile/{}"}},"monitoring":{{"enabled":false}},"tagSpecificationSet":{{"items":[{{"resourceType":"instance","tags":[{tags}]}}]}}}},"responseElements":{{"requestId":"{}","reservationId":"r-0{:016x}","ownerId":"{account}","instancesSet":{{"items":["#,
            cluster.role,
            random.uuid_text(),
            random.next() >> 4
        ),
    );
    for instance in &cluster.instances {
        put(
            out,
            format_args!(
                r#"{{"instanceId":"{}","imageId":"ami-0d9f2b3c4e5a6f708","currentState":{{"code":0,"name":"pending"}},"instanceType":"i3.2xlarge","launchTime":{}000,"placement":{{"availabilityZone":"{region}a","tenancy":"default"}},"privateIpAddress":"{}","architecture":"x86_64","virtualizationType":"hvm","iamInstanceProfile":{{"arn":"arn:aws:iam::{account}:instance-profile/{}","id":"AIPA3DATABRICKSPROF22"}},"tagSet":{{"items":[{tags}]}}}},"#,
                instance.id,
                1_790_035_200 + cluster.launched,
                instance.private_ip,
                cluster.role
            ),
        );
    }
    out.pop();
    out.push_str("]}},");
    finish_management(account, "ec2.amazonaws.com", false, random, out);
}

fn terminate_instances(
    world: &World,
    object: usize,
    cluster: &Cluster,
    random: &mut Random,
    out: &mut String,
) {
    let caller = databricks_compute(world, object, cluster.ends);
    let ids: Vec<String> = cluster
        .instances
        .iter()
        .map(|instance| format!(r#"{{"instanceId":"{}"}}"#, instance.id))
        .collect();
    begin(
        &caller,
        "ec2.amazonaws.com",
        "TerminateInstances",
        world.region(object),
        out,
    );
    put(
        out,
        format_args!(
            r#""requestParameters":{{"instancesSet":{{"items":[{}]}}}},"responseElements":null,"#,
            ids.join(",")
        ),
    );
    finish_management(
        world.account(object),
        "ec2.amazonaws.com",
        false,
        random,
        out,
    );
}

/// Everything up to the source of the request.
fn begin(caller: &Caller, source: &str, name: &str, region: &str, out: &mut String) {
    put(
        out,
        format_args!(
            r#"{{"eventVersion":"1.11","userIdentity":{},"eventTime":"{}","eventSource":"{source}","eventName":"{name}","awsRegion":"{region}","sourceIPAddress":"{}","userAgent":"{}","#,
            caller.identity,
            iso(caller.at),
            caller.source_ip,
            caller.user_agent
        ),
    );
}

/// Everything after the answer of a management event.
fn finish_management(
    account: &str,
    source: &str,
    read_only: bool,
    random: &mut Random,
    out: &mut String,
) {
    out.push_str(r#""requestID":""#);
    random.uuid(out);
    out.push_str(r#"","eventID":""#);
    random.uuid(out);
    put(
        out,
        format_args!(
            r#"","readOnly":{read_only},"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{account}","eventCategory":"Management""#
        ),
    );
    tls(source, out);
    out.push_str("},");
}

fn tls(host: &str, out: &mut String) {
    put(
        out,
        format_args!(
            r#","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{host}"}}"#
        ),
    );
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("write to a string");
}
