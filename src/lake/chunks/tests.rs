//! Files against their slow, obvious twin: the same rows through
//! [`FileWriter::encode`], which takes every value of every row.

use super::hybrid;
use super::pages::PAGE_ROWS;
use super::*;
use crate::lake::columns::{Values, batch, column, schema, shared};
use crate::lake::s3_access::{self, DecidedAccess, RowSource, UNREPEATED};
use crate::model::*;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows with the numbers of what they share.
struct Given<R> {
    rows: Vec<R>,
    decisions: Vec<u32>,
    sources: Vec<u32>,
    parts: Vec<Parts>,
}

impl<R: Clone> SharedRows<R> for Given<R> {
    fn count(&self) -> usize {
        self.rows.len()
    }
    fn row(&self, place: usize) -> Option<R> {
        self.rows.get(place).cloned()
    }
    fn decision(&self, place: usize) -> u32 {
        self.decisions[place]
    }
    fn source(&self, place: usize) -> u32 {
        self.sources[place]
    }
    fn parts(&self, decision: u32) -> Parts {
        self.parts[decision as usize]
    }
}

fn read(bytes: Vec<u8>) -> (ParquetMetaData, RecordBatch) {
    let file = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
    let (metadata, schema) = (file.metadata().as_ref().clone(), file.schema().clone());
    let batches: Vec<RecordBatch> = file.build().unwrap().map(Result::unwrap).collect();
    (metadata, concat_batches(&schema, &batches).unwrap())
}

/// Encodes the rows both ways and compares what is read back.
#[track_caller]
fn check<R: Clone>(columns: &[Column<R>], given: &Given<R>, unrepeated: &[&str], ranged: &[&str]) {
    let writer = FileWriter::new(schema(columns), unrepeated, ranged);
    let mut press = Press::new().unwrap();
    // Twice, so that all room was used before.
    encode(&writer, columns, given, &mut press).unwrap();
    let fast = encode(&writer, columns, given, &mut press).unwrap();
    let mut rest = given.rows.iter().cloned();
    let (slow, _) = writer
        .encode(columns, |block, most| {
            block.extend(rest.by_ref().take(most))
        })
        .unwrap();
    let (fast_size, slow_size) = (fast.len(), slow.len());
    let ((fast_file, fast), (slow_file, slow)) = (read(fast), read(slow));
    assert_eq!(fast.schema(), slow.schema());
    assert_eq!(fast.num_rows(), given.rows.len());
    for (place, column) in columns.iter().enumerate() {
        assert_eq!(fast.column(place), slow.column(place), "{}", column.name);
    }
    let key_values = |file: &ParquetMetaData| file.file_metadata().key_value_metadata().cloned();
    assert_eq!(key_values(&fast_file), key_values(&slow_file));
    for (fast, slow) in fast_file.row_groups().iter().zip(slow_file.row_groups()) {
        for (fast, slow) in fast.columns().iter().zip(slow.columns()) {
            assert_eq!(fast.column_descr(), slow.column_descr());
            assert_eq!(fast.statistics(), slow.statistics());
            assert_eq!(fast.num_values(), slow.num_values());
        }
    }
    assert!(
        fast_size < slow_size / 10 * 11 + 8192,
        "{fast_size} bytes, the twin {slow_size}"
    );
}

/// A small generator: a property's seed decides everything.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
    fn maybe(&mut self, prefix: &str, distinct: u64) -> Option<String> {
        let null = self.roll(4) == 0;
        let number = self.roll(distinct.max(1));
        (!null).then(|| format!("{prefix}-{number}"))
    }
    fn list(&mut self, prefix: &str, distinct: u64) -> Vec<String> {
        let len = match self.roll(8) {
            0..4 => 0,
            4..7 => self.roll(3),
            _ => self.roll(40),
        };
        (0..len)
            .filter_map(|_| self.maybe(prefix, distinct))
            .collect()
    }
    fn pick<'a, T>(&mut self, of: &'a [T]) -> (u32, &'a T) {
        let place = self.roll(of.len() as u64);
        (place as u32, &of[place as usize])
    }
}

/// The distinct parts that rows are put together from.
struct World {
    principals: Vec<Principal>,
    clients: Vec<Client>,
    targets: Vec<Target>,
    attributions: Vec<Attribution>,
    datasets: Vec<Dataset>,
    sources: Vec<RowSource>,
    decisions: Vec<Decided>,
    owns: Vec<Own>,
}

struct Decided {
    parts: Parts,
    credential: Credential,
    event_name: String,
    operation: Operation,
    outcome: Outcome,
    sse: Option<String>,
    kms_key_arn: Option<String>,
    presigned: bool,
    dataset: Option<u32>,
    violations: Vec<Violation>,
}

/// What is a row's own.
struct Own {
    decision: u32,
    source: u32,
    texts: [Option<String>; 9],
    event_time: i64,
    bytes: [Option<i64>; 2],
    source_index: u32,
}

const CREDENTIALS: [Credential; 3] = [
    Credential::Temporary,
    Credential::Static,
    Credential::Anonymous,
];
const METHODS: [Method; 3] = [
    Method::M1AccessKey,
    Method::M3InstanceTags,
    Method::RootBucketLayout,
];

impl World {
    /// `distinct` of each part, `rows` rows in stretches of about `stretch`.
    fn random(seed: u64, rows: usize, distinct: u64, stretch: u64) -> World {
        let mut dice = Dice(seed);
        let each = |dice: &mut Dice| dice.roll(distinct) + 1;
        let principals = (0..each(&mut dice)).map(|_| principal(&mut dice, distinct));
        let principals: Vec<Principal> = principals.collect();
        let clients: Vec<Client> = (0..each(&mut dice))
            .map(|_| client(&mut dice, distinct))
            .collect();
        let targets: Vec<Target> = (0..each(&mut dice))
            .map(|_| target(&mut dice, distinct))
            .collect();
        let attributions: Vec<Attribution> = (0..each(&mut dice))
            .map(|_| attribution(&mut dice, distinct))
            .collect();
        let datasets: Vec<Dataset> = (0..each(&mut dice))
            .map(|n| Dataset {
                name: format!("dataset-{n}"),
                sensitivity: dice.maybe("sensitivity", 3),
                owner: None,
            })
            .collect();
        let sources: Vec<RowSource> = (0..each(&mut dice))
            .map(|n| RowSource {
                uri: format!("file:///trail/{n}.json.gz"),
                etag: dice.maybe("etag", 1000),
                ingested_at: UtcMicros(1_790_000_000_000_456 + i64::try_from(n).unwrap()),
            })
            .collect();
        let faultless = dice.roll(2) == 0;
        let decisions: Vec<Decided> = (0..each(&mut dice) * 3)
            .map(|number| {
                let (principal, _) = dice.pick(&principals);
                let dataset = (dice.roll(3) > 0).then(|| dice.pick(&datasets).0);
                Decided {
                    parts: Parts {
                        dataset: dataset.unwrap_or(u32::MAX),
                        request: u32::try_from(number).unwrap(),
                        judgement: u32::try_from(number).unwrap(),
                        principal,
                        client: dice.pick(&clients).0,
                        target: dice.pick(&targets).0,
                        attribution: dice.pick(&attributions).0,
                    },
                    // As the principal's, so of it alone.
                    credential: CREDENTIALS[principal as usize % CREDENTIALS.len()],
                    event_name: dice.maybe("Event", 5).unwrap_or_default(),
                    operation: *dice.pick(&Operation::ALL).1,
                    outcome: *dice.pick(&[Outcome::Ok, Outcome::Denied]).1,
                    sse: dice.maybe("SSE", 2),
                    kms_key_arn: dice.maybe("arn:aws:kms", distinct),
                    presigned: dice.roll(3) == 0,
                    dataset,
                    violations: match faultless {
                        true => Vec::new(),
                        false => violations(&mut dice),
                    },
                }
            })
            .collect();
        let mut owns = Vec::with_capacity(rows);
        let (mut decision, mut source, mut at) = (0, 0, 1_790_000_000_000_000);
        let sparse = dice.roll(distinct + 2) + 1;
        for place in 0..rows {
            if dice.roll(stretch) == 0 {
                decision = dice.pick(&decisions).0;
            }
            if dice.roll(stretch * 3) == 0 {
                source = dice.pick(&sources).0;
            }
            at += 1_000_000 * (dice.roll(9) as i64 / 4 - 1);
            let own = |name: &str, dice: &mut Dice| dice.maybe(name, sparse * sparse);
            owns.push(Own {
                decision,
                source,
                texts: [
                    Some(format!("{:08x}-{place}", dice.roll(1 << 31))),
                    own("error", &mut dice).filter(|_| place % 5 == 0),
                    own("message", &mut dice).filter(|_| place > PAGE_ROWS),
                    own("table/part", &mut dice),
                    own("prefix", &mut dice).filter(|_| sparse > 2),
                    own("version", &mut dice),
                    own("copy", &mut dice),
                    Some(format!("{:x}", dice.roll(1 << 31))),
                    own("shared", &mut dice),
                ],
                event_time: at,
                bytes: [
                    (dice.roll(9) > 5).then_some(at / 7),
                    (dice.roll(9) > 2).then_some(3),
                ],
                source_index: place as u32,
            });
        }
        World {
            principals,
            clients,
            targets,
            attributions,
            datasets,
            sources,
            decisions,
            owns,
        }
    }

    fn row<'w>(&'w self, own: &'w Own) -> DecidedAccess<'w> {
        let decided = &self.decisions[own.decision as usize];
        let [
            event_id,
            error_code,
            error_message,
            object_key,
            list_prefix,
            version_id,
            copy_source,
            request_id,
            shared_event_id,
        ] = own.texts.each_ref().map(Option::as_deref);
        let [bytes_in, bytes_out] = own.bytes;
        DecidedAccess {
            access: AccessEvent {
                content_id: own
                    .source_index
                    .is_multiple_of(3)
                    .then_some([own.source_index as u8; 16]),
                event_id: event_id.unwrap(),
                event_time: UtcMicros(own.event_time),
                event_name: &decided.event_name,
                operation: decided.operation,
                outcome: decided.outcome,
                error_code,
                error_message,
                object_key,
                list_prefix,
                version_id,
                copy_source,
                bytes_in,
                bytes_out,
                sse: decided.sse.as_deref(),
                kms_key_arn: decided.kms_key_arn.as_deref(),
                presigned: decided.presigned,
                signed_at: own
                    .source_index
                    .is_multiple_of(5)
                    .then(|| UtcMicros(own.event_time - 1_000_000)),
                request_id,
                shared_event_id,
                principal: &self.principals[decided.parts.principal as usize],
                client: &self.clients[decided.parts.client as usize],
                target: &self.targets[decided.parts.target as usize],
            },
            credential: decided.credential,
            attribution: &self.attributions[decided.parts.attribution as usize],
            dataset: decided.dataset.map(|n| &self.datasets[n as usize]),
            verdict: Verdict::InPolicy,
            violations: &decided.violations,
            policy_version: "policy-1",
            source: &self.sources[own.source as usize],
            source_index: own.source_index,
            addendum: None,
            settled: false,
            decided_at: UtcMicros(1_790_000_000_000_123),
        }
    }

    fn given(&self) -> Given<DecidedAccess<'_>> {
        Given {
            rows: self.owns.iter().map(|own| self.row(own)).collect(),
            decisions: self.owns.iter().map(|own| own.decision).collect(),
            sources: self.owns.iter().map(|own| own.source).collect(),
            parts: self.decisions.iter().map(|d| d.parts).collect(),
        }
    }
}

fn principal(dice: &mut Dice, distinct: u64) -> Principal {
    let text = |name: &str, dice: &mut Dice| dice.maybe(name, distinct);
    Principal {
        identity_type: dice.maybe("type", 2),
        arn: text("arn", dice),
        account_id: dice.maybe("account", 3),
        access_key_id: text("ASIA", dice),
        invoked_by: dice.maybe("service", 2),
        session_issuer_arn: text("role", dice),
        session_name: text("session", dice),
        session_issued_at: (dice.roll(3) > 0).then(|| UtcMicros(dice.roll(distinct) as i64)),
        source_identity: text("identity", dice),
        principal_id: text("AROA", dice),
        user_name: text("user", dice),
        session_issuer_account_id: dice.maybe("account", 3),
        in_scope_issuer_type: dice.maybe("scope", 2),
        in_scope_issued_to: text("instance", dice),
        ec2_role_delivery: dice.maybe("delivery", 2),
    }
}

fn client(dice: &mut Dice, distinct: u64) -> Client {
    Client {
        source_ip: dice.maybe("10.0.0", distinct),
        user_agent: dice.maybe("agent", distinct),
        vpc_endpoint_id: dice.maybe("vpce", 2),
        tls: Tls {
            version: dice.maybe("TLS", 2),
            plaintext: dice.roll(2) == 0,
        },
        auth_method: dice.maybe("AuthHeader", 1),
    }
}

fn target(dice: &mut Dice, distinct: u64) -> Target {
    Target {
        aws_account_id: dice.maybe("account", 2),
        aws_region: dice.maybe("region", 2),
        bucket: dice.maybe("bucket", distinct),
        bucket_account_id: dice.maybe("account", 3),
    }
}

fn attribution(dice: &mut Dice, distinct: u64) -> Attribution {
    Attribution {
        job_run_candidate_count: 0,
        principal_candidate_count: 0,
        access_path: *dice.pick(&AccessPath::ALL).1,
        instance_id: dice.maybe("i", distinct),
        session_event_id: dice.maybe("event", distinct),
        session_confidence: *dice.pick(&Confidence::ALL).1,
        workspace_id: dice.maybe("workspace", 2),
        workspace_confidence: *dice.pick(&Confidence::ALL).1,
        cluster_id: dice.maybe("cluster", distinct),
        cluster_confidence: *dice.pick(&Confidence::ALL).1,
        job_id: dice.maybe("job", distinct),
        job_run_id: dice.maybe("run", distinct),
        job_confidence: *dice.pick(&Confidence::ALL).1,
        task_key: dice.maybe("task", distinct),
        task_run_id: dice.maybe("task-run", distinct),
        task_confidence: *dice.pick(&Confidence::ALL).1,
        principal: dice.maybe("who", distinct),
        principal_kind: (dice.roll(2) == 0).then_some(PrincipalKind::User),
        principal_confidence: *dice.pick(&Confidence::ALL).1,
        principal_candidates: dice.list("candidate", distinct),
        job_run_candidates: dice.list("run", distinct),
        methods: (0..dice.roll(4)).map(|_| *dice.pick(&METHODS).1).collect(),
        evidence: dice.list("evidence", distinct * 9),
        unattributed_reason: (dice.roll(2) == 0).then_some(UnattributedReason::NoSts),
    }
}

fn violations(dice: &mut Dice) -> Vec<Violation> {
    (0..dice.roll(4))
        .map(|_| Violation {
            rule: Arc::from(format!("rule-{}", dice.roll(5))),
            severity: *dice.pick(&Severity::ALL).1,
            control: dice.maybe("CC6", 3).map(Arc::from),
            reason: Arc::from(format!("reason-{}", dice.roll(5))),
            exception: dice.maybe("EX", 3).map(Arc::from),
        })
        .collect()
}

fn check_world(world: &World) {
    let columns = s3_access::columns();
    check(&columns, &world.given(), &UNREPEATED, &["event_time"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_file_reads_back_as_its_twin(
        seed: u64,
        rows in prop_oneof![1_usize..20, 1_usize..1200],
        distinct in prop_oneof![Just(1_u64), 2_u64..6, 40_u64..300],
        stretch in prop_oneof![Just(1_u64), 2_u64..60],
    ) {
        check_world(&World::random(seed, rows, distinct, stretch));
    }

    #[test]
    fn texts_of_any_lengths_read_back(
        lengths in prop_oneof![
            prop::collection::vec(prop_oneof![Just(0_u32), Just(36), 1_u32..70], 1..700),
            prop::collection::vec(0_u32..40_000, 1..40),
        ],
    ) {
        let columns = [column::<Odd>("text", Values::MadeText(|r| {
            (r.0 != 7).then(|| "x".repeat(r.0 as usize))
        }))];
        let decisions: Vec<u32> = (0..).take(lengths.len()).collect();
        let given = Given {
            rows: lengths.iter().copied().map(Odd).collect(),
            sources: decisions.clone(),
            parts: odd_parts(u32::try_from(lengths.len()).unwrap()),
            decisions,
        };
        check(&columns, &given, &["text"], &[]);
    }

    #[test]
    fn whole_numbers_read_back(
        numbers in prop_oneof![
            prop::collection::vec(any::<i64>(), 1..300),
            prop::collection::vec(prop_oneof![
                Just(i64::MIN), Just(i64::MAX), Just(0), -5_i64..5, -9_000_000_000..9_000_000_000_i64,
            ], 1..700),
        ],
    ) {
        #[derive(Clone)]
        struct Whole(i64);
        let columns = [
            column::<Whole>("int64", Values::Int64(|r| (r.0 != 3).then_some(r.0))),
            column("int32", Values::Int32(|r| i32::try_from(r.0 >> 32).ok())),
            column("time", Values::Time(|r| Some(UtcMicros(r.0)))),
        ];
        let decisions: Vec<u32> = (0..).take(numbers.len()).collect();
        let given = Given {
            rows: numbers.iter().copied().map(Whole).collect(),
            sources: decisions.clone(),
            parts: odd_parts(u32::try_from(numbers.len()).unwrap()),
            decisions,
        };
        check(&columns, &given, &[], &["time"]);
    }

    #[test]
    fn packed_numbers_read_back(
        stretches in prop::collection::vec((any::<u32>(), 1_usize..40), 0..60),
        bits in 0_u32..32,
    ) {
        let numbers: Vec<u32> = stretches
            .iter()
            .flat_map(|(number, count)| std::iter::repeat_n(number >> bits, *count))
            .collect();
        let width = hybrid::width_of(u32::MAX >> bits);
        let mut bytes = Vec::new();
        hybrid::encode(&numbers, width, &mut bytes);
        prop_assert_eq!(unpack(&bytes, width, numbers.len()), numbers);
    }
}

#[test]
fn files_of_several_pages_read_back_as_their_twins() {
    for (seed, rows, distinct, stretch) in [
        (1, PAGE_ROWS, 30, 1),
        (2, PAGE_ROWS + 1, 2, 9),
        (3, 3 * PAGE_ROWS - 5, 3000, 4),
    ] {
        check_world(&World::random(seed, rows, distinct, stretch));
    }
}

#[test]
fn a_file_of_no_rows_is_a_file() {
    check_world(&World::random(1, 0, 3, 3));
}

/// Decisions that differ in their judgements.
fn odd_parts(decisions: u32) -> Vec<Parts> {
    let parts = |judgement| Parts {
        judgement,
        ..Parts::default()
    };
    (0..decisions).map(parts).collect()
}

/// A row for the kinds of columns that accesses do not have.
#[derive(Clone)]
struct Odd(u32);

#[test]
fn every_kind_of_column_reads_back_whatever_its_part() {
    type Named = (&'static str, fn() -> Values<Odd>);
    let values: [Named; 9] = [
        ("text", || {
            Values::Text(|r| ["a", "", "c"].get(r.0 as usize % 4).copied())
        }),
        ("made", || {
            Values::MadeText(|r| (r.0 % 7 > 1).then(|| r.0.to_string()))
        }),
        ("int32", || Values::Int32(|r| i32::try_from(r.0).ok())),
        ("int64", || {
            Values::Int64(|r| (r.0 % 3 > 0).then(|| -i64::from(r.0)))
        }),
        ("bool", || {
            Values::Bool(|r| [Some(true), None, Some(false)][r.0 as usize % 3])
        }),
        ("time", || {
            Values::Time(|r| Some(UtcMicros(i64::from(r.0 / 2))))
        }),
        ("date", || Values::Date(|r| i32::try_from(r.0 % 5).ok())),
        ("texts", || {
            Values::Texts(|r, each| (0..r.0 % 4).for_each(|n| each(&n.to_string())))
        }),
        ("structs", || {
            Values::Structs(&["a", "b"], |r, each| {
                (0..r.0 % 3).for_each(|n| each(&[Some(&n.to_string()), None]));
            })
        }),
    ];
    for part in [Part::Row, Part::Judgement, Part::Source] {
        let columns: Vec<Column<Odd>> = values
            .iter()
            .map(|(name, values)| shared(part, name, values()))
            .collect();
        for len in [1, 3, 64, 5000] {
            let numbers: Vec<u32> = (0..len).map(|n| n * 7 % 61).collect();
            let given = Given {
                rows: numbers.iter().copied().map(Odd).collect(),
                decisions: numbers.clone(),
                sources: numbers,
                parts: odd_parts(61),
            };
            let ranged: &[&str] = match part {
                Part::Row => &["time", "int64"],
                _ => &[],
            };
            check(&columns, &given, &["int32"], ranged);
        }
    }
}

#[test]
fn a_dictionary_that_grows_too_large_is_left() {
    let columns = [column::<Odd>(
        "text",
        Values::MadeText(|r| Some(format!("{:0>300}", r.0))),
    )];
    let numbers: Vec<u32> = (0..30_000_u32).map(|n| n / 3).collect();
    let given = Given {
        rows: numbers.iter().copied().map(Odd).collect(),
        decisions: numbers.clone(),
        sources: numbers,
        parts: odd_parts(10_000),
    };
    check(&columns, &given, &[], &[]);
}

#[test]
fn a_column_follows_from_its_part_alone() {
    let mut constant: BTreeSet<&str> = s3_access::columns().iter().map(|c| c.name).collect();
    for seed in 0..60 {
        let worlds = [seed, seed + 1000].map(|seed| World::random(seed, 1, 9, 1));
        let [one, mut other] = worlds.each_ref().map(|world| world.row(&world.owns[0]));
        other.decided_at = UtcMicros(7);
        other.policy_version = "policy-2";
        other.settled = true;
        for part in PARTS {
            let mixed = mixed(&one, other, part);
            let columns = || -> Vec<Column<DecidedAccess<'_>>> {
                let columns = s3_access::columns().into_iter();
                columns.filter(|column| column.part == part).collect()
            };
            let made = |row| batch(&schema(&columns()), &columns(), &[row]).unwrap();
            assert_eq!(made(mixed), made(one), "seed {seed}, {part:?}");
            for (place, column) in columns().iter().enumerate() {
                if made(one).column(place) != made(other).column(place) {
                    constant.remove(column.name);
                }
            }
        }
    }
    // Rows differ in everything that rows can differ in, or this proves little.
    constant.retain(|name| columns_of_part(Part::Row).all(|row| row != *name));
    assert_eq!(constant, BTreeSet::from(["attribution_version"]));
}

const PARTS: [Part; 9] = [
    Part::Source,
    Part::Batch,
    Part::Principal,
    Part::Client,
    Part::Target,
    Part::Request,
    Part::Attribution,
    Part::Dataset,
    Part::Judgement,
];

fn columns_of_part(part: Part) -> impl Iterator<Item = &'static str> {
    let columns = s3_access::columns().into_iter();
    columns.filter(move |c| c.part == part).map(|c| c.name)
}

/// The other row, but for the part.
fn mixed<'a>(one: &DecidedAccess<'a>, other: DecidedAccess<'a>, part: Part) -> DecidedAccess<'a> {
    let (mut mixed, access) = (other, &one.access);
    match part {
        Part::Row => {}
        Part::Source => mixed.source = one.source,
        Part::Batch => {
            mixed.decided_at = one.decided_at;
            mixed.policy_version = one.policy_version;
            mixed.settled = one.settled;
        }
        Part::Principal => {
            mixed.access.principal = access.principal;
            mixed.credential = one.credential;
        }
        Part::Client => mixed.access.client = access.client,
        Part::Target => mixed.access.target = access.target,
        Part::Attribution => mixed.attribution = one.attribution,
        Part::Dataset => mixed.dataset = one.dataset,
        Part::Judgement => {
            mixed.verdict = one.verdict;
            mixed.violations = one.violations;
        }
        Part::Request => {
            mixed.access.event_name = access.event_name;
            mixed.access.operation = access.operation;
            mixed.access.outcome = access.outcome;
            mixed.access.sse = access.sse;
            mixed.access.kms_key_arn = access.kms_key_arn;
            mixed.access.presigned = access.presigned;
        }
    }
    mixed
}

/// The numbers of a hybrid stream, read as the format says.
fn unpack(bytes: &[u8], width: u32, len: usize) -> Vec<u32> {
    let (mut rest, mut numbers) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (mut header, mut shift) = (0_u64, 0);
        loop {
            let byte = rest[0];
            rest = &rest[1..];
            header |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let count = (header >> 1) as usize;
        let bit = |at: usize| u32::from(rest[at / 8] >> (at % 8) & 1);
        let number = |first: usize| {
            (0..width).fold(0, |number, place| {
                number | bit(first + place as usize) << place
            })
        };
        if header & 1 == 0 {
            numbers.extend(std::iter::repeat_n(number(0), count));
            rest = &rest[width.div_ceil(8) as usize..];
        } else {
            numbers.extend((0..count * 8).map(|place| number(place * width as usize)));
            rest = &rest[count * width as usize..];
        }
    }
    numbers.truncate(len);
    numbers
}

#[test]
fn numbers_are_packed_as_the_format_shows_it() {
    let encoded = |numbers: &[u32], width| {
        let mut out = Vec::new();
        hybrid::encode(numbers, width, &mut out);
        out
    };
    // The example of the format's text.
    assert_eq!(encoded(&[0, 1, 2, 3, 4, 5, 6, 7], 3), [3, 0x88, 0xc6, 0xfa]);
    assert_eq!(encoded(&[1; 200], 1), [0x90, 3, 1]);
    assert_eq!(encoded(&[300; 3], 9), [6, 44, 1]);
    assert_eq!(encoded(&[], 5), [0_u8; 0]);
}
