//! One set of rows gives the same facts as JSON lines, as Parquet and as a Delta
//! table, with the types of any description of the columns, in any order and
//! number of files, however often a row is repeated.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use bricktrail::databricks::read_exports;
use bricktrail::model::UtcMicros;
use bricktrail::model::databricks::DatabricksFacts;
use deltalake::{DeltaTable, DeltaTableBuilder};
use parquet::arrow::ArrowWriter;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use url::Url;

/// 2026-11-24T00:00:00Z; the rows are of the day before.
const NOW: UtcMicros = UtcMicros(1_795_478_400_000_000);
const DAY_BEFORE_MILLIS: i64 = 1_795_392_000_000;

/// How a column is typed.
#[derive(Clone, Copy, Debug)]
enum Types {
    /// Timestamps, structs, maps, lists; workspaces as text.
    Native,
    /// ISO text, JSON text; workspaces as numbers.
    Texts,
    /// Epoch milliseconds, structs; workspaces as numbers, members in camel case.
    Numbers,
}

const TYPES: [Types; 3] = [Types::Native, Types::Texts, Types::Numbers];

/// A value of a row, before it has a type.
#[derive(Clone, Debug)]
enum Held {
    Id(u64),
    Text(Option<String>),
    Minute(i64),
    Texts(Vec<String>),
    /// A struct, or a map if `true`.
    Members(Vec<(&'static str, Held)>, bool),
    Number(i64),
}
use Held as V;

type Row = Vec<(&'static str, V)>;

fn text(text: impl Into<String>) -> V {
    V::Text(Some(text.into()))
}

impl Types {
    fn data_type(self, value: &V) -> DataType {
        match (value, self) {
            (V::Id(_), Types::Native) | (V::Text(_), _) => DataType::Utf8,
            (V::Id(_), _) | (V::Number(_), _) => DataType::Int64,
            (V::Minute(_), Types::Native) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            (V::Minute(_), Types::Texts) => DataType::Utf8,
            (V::Minute(_), Types::Numbers) => DataType::Int64,
            (V::Texts(_), Types::Texts) => DataType::Utf8,
            (V::Texts(_), _) => {
                DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)))
            }
            (V::Members(..), Types::Texts) => DataType::Utf8,
            (V::Members(_, true), Types::Native) => {
                let entry = Fields::from(vec![
                    Field::new("key", DataType::Utf8, false),
                    Field::new("value", DataType::Utf8, true),
                ]);
                let entries = Field::new("key_value", DataType::Struct(entry), false);
                DataType::Map(Arc::new(entries), false)
            }
            (V::Members(members, _), _) => DataType::Struct(
                members
                    .iter()
                    .map(|(name, value)| Field::new(self.name(name), self.data_type(value), true))
                    .collect(),
            ),
        }
    }

    /// Members are in camel case in one description.
    fn name(self, name: &str) -> String {
        let mut out = String::new();
        let mut upper = false;
        for c in name.chars() {
            match (c, self) {
                ('_', Types::Numbers) => upper = true,
                (c, _) if upper => {
                    out.push(c.to_ascii_uppercase());
                    upper = false;
                }
                (c, _) => out.push(c),
            }
        }
        out
    }

    fn json(self, value: &V) -> Value {
        match (value, self) {
            (V::Id(id), Types::Native) => json!(id.to_string()),
            (V::Id(id), _) => json!(id),
            (V::Number(number), _) => json!(number),
            (V::Text(text), _) => json!(text),
            (V::Minute(minute), Types::Numbers) => json!(DAY_BEFORE_MILLIS + minute * 60_000),
            (V::Minute(minute), _) => {
                json!(UtcMicros((DAY_BEFORE_MILLIS + minute * 60_000) * 1000).to_string())
            }
            (V::Texts(texts), Types::Texts) => json!(json!(texts).to_string()),
            (V::Texts(texts), _) => json!(texts),
            (V::Members(members, _), _) => {
                let members: Map<String, Value> = members
                    .iter()
                    .map(|(name, value)| (self.name(name), self.json(value)))
                    .collect();
                match self {
                    Types::Texts => json!(Value::Object(members).to_string()),
                    _ => Value::Object(members),
                }
            }
        }
    }

    fn schema(self, row: &Row) -> SchemaRef {
        let mut fields: Vec<Field> = row
            .iter()
            .map(|(name, value)| Field::new(*name, self.data_type(value), true))
            .collect();
        // Columns are added without notice.
        fields.push(Field::new("brand_new_column", DataType::Boolean, true));
        Arc::new(Schema::new(fields))
    }

    fn lines(self, rows: &[Row]) -> String {
        rows.iter()
            .map(|row| {
                let members: Map<String, Value> = row
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), self.json(value)))
                    .collect();
                Value::Object(members).to_string() + "\n"
            })
            .collect()
    }

    fn batch(self, rows: &[Row]) -> RecordBatch {
        let schema = self.schema(&rows[0]);
        let lines = self.lines(rows);
        let mut reader = arrow::json::ReaderBuilder::new(schema)
            .with_batch_size(rows.len())
            .build(lines.as_bytes())
            .unwrap();
        reader.next().unwrap().unwrap()
    }
}

/// A few numbers from which a row of each table is made.
type Seed = (u64, i64, u64, u64);

fn audit(&(a, minute, b, c): &Seed) -> Row {
    let action = [
        "generateTemporaryTableCredential",
        "generateTemporaryPathCredentials",
        "runStart",
        "runSucceeded",
        "runCommand",
        "getSecret",
        "addPrincipalToGroup",
    ][(b % 7) as usize];
    let service = [
        "unityCatalog",
        "unityCatalog",
        "jobs",
        "jobs",
        "notebook",
        "secrets",
        "accounts",
    ][(b % 7) as usize];
    let parameters = vec![
        ("workspace_id", text("12")),
        ("operation", text(["READ", "READ_WRITE"][(c % 2) as usize])),
        ("table_url", text(format!("s3://lake/{c}"))),
        ("jobId", text("7")),
        ("runId", text(c.to_string())),
        ("multitaskParentRunId", V::Text(None)),
        ("clusterId", text("c-1")),
        ("targetUserName", text("b@example.com")),
    ];
    vec![
        ("event_id", text(format!("e-{a}-{minute}-{b}-{c}"))),
        ("event_time", V::Minute(minute)),
        ("workspace_id", V::Id(0)),
        ("source_ip_address", text(format!("10.0.0.{a}:443"))),
        (
            "user_identity",
            V::Members(
                vec![
                    ("email", text(format!("u{a}@example.com"))),
                    ("subject_name", V::Text(None)),
                ],
                false,
            ),
        ),
        ("service_name", text(service)),
        ("action_name", text(action)),
        ("request_id", text("r")),
        ("request_params", V::Members(parameters, true)),
        (
            "response",
            V::Members(
                vec![("status_code", V::Number(200)), ("result", V::Text(None))],
                false,
            ),
        ),
    ]
}

fn instance_event(&(a, minute, b, c): &Seed) -> Row {
    let placed = c % 2 == 0;
    vec![
        ("workspace_id", V::Id(11)),
        ("instance_id", text(format!("i-{a}"))),
        ("event_time", V::Minute(minute)),
        (
            "state",
            text(if placed {
                "INSTANCE_PLACED"
            } else {
                "INSTANCE_READY"
            }),
        ),
        ("cluster_id", V::Text(placed.then(|| format!("c-{b}")))),
    ]
}

fn node(&(a, minute, b, _): &Seed) -> Row {
    vec![
        ("workspace_id", V::Id(11)),
        ("cluster_id", text(format!("c-{b}"))),
        ("instance_id", text(format!("i-{a}"))),
        ("start_time", V::Minute(minute)),
        ("end_time", V::Minute(minute + 1)),
    ]
}

fn task_run(&(a, minute, b, c): &Seed) -> Row {
    vec![
        ("workspace_id", V::Id(11)),
        ("job_id", V::Id(b)),
        ("run_id", V::Id(a)),
        ("job_run_id", V::Id(900 + a)),
        ("period_start_time", V::Minute(minute)),
        ("period_end_time", V::Minute(minute + 60)),
        ("task_key", text("load")),
        (
            "compute_ids",
            V::Texts(vec![format!("c-{c}"), "w-1".to_owned()]),
        ),
        (
            "result_state",
            V::Text((c % 3 == 0).then(|| "SUCCEEDED".to_owned())),
        ),
    ]
}

type Make = fn(&Seed) -> Row;

const TABLES: [(&str, Make); 4] = [
    ("system.access.audit", audit),
    ("system.compute.instance_events", instance_event),
    ("system.compute.node_timeline", node),
    ("system.lakeflow.job_task_run_timeline", task_run),
];

async fn facts(place: &Path) -> DatabricksFacts {
    let (mut facts, report) = read_exports(place.to_str().unwrap(), NOW).await.unwrap();
    for source in &report.sources {
        assert_eq!(source.bad(), 0, "{}: {:?}", source.source, source.faults);
    }
    for watermark in &mut facts.watermarks {
        watermark.rows = 0;
    }
    facts
}

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), bytes).unwrap();
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

async fn put_delta(folder: &Path, batch: &RecordBatch) {
    std::fs::create_dir_all(folder).unwrap();
    let url = Url::from_directory_path(folder).unwrap();
    let table: DeltaTable = DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
    // Two commits, so that the log has to be read.
    let half = batch.num_rows() / 2;
    let table = table.write([batch.slice(0, half)]).await.unwrap();
    let rest = batch.slice(half, batch.num_rows() - half);
    table.write([rest]).await.unwrap();
}

/// The rows in each format, from different types, orders and files.
async fn check(seeds: &[Seed], turn: usize) {
    let dir = tempfile::tempdir().unwrap();
    let [lines, columns, delta] = ["lines", "parquet", "delta"].map(|name| dir.path().join(name));
    for (i, (name, make)) in TABLES.iter().enumerate() {
        let rows: Vec<Row> = seeds.iter().map(make).collect();
        let types = |format: usize| TYPES[(turn + i + format) % TYPES.len()];
        // Two files, the later rows in the first, some rows in both.
        let (first, second) = rows.split_at(rows.len() / 2);
        let folder = lines.join(name);
        put(&folder, "a.json", types(0).lines(second).as_bytes());
        put(&folder, "b.jsonl", types(1).lines(first).as_bytes());
        put(&folder, "c.ndjson", types(2).lines(second).as_bytes());
        put(
            &columns.join(name),
            "p.parquet",
            &parquet(&types(1).batch(&rows)),
        );
        put_delta(&delta.join(name), &types(2).batch(&rows)).await;
    }
    let expect = facts(&lines).await;
    assert_eq!(facts(&columns).await, expect);
    assert_eq!(facts(&delta).await, expect);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_rows_are_the_same_facts_in_every_format(
        seeds in vec((0_u64..4, 0_i64..300, 0_u64..9, 0_u64..4), 2..40),
        turn in 0_usize..3,
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(check(&seeds, turn));
    }
}

#[test]
fn a_column_of_a_wrong_type_makes_bad_rows_and_the_next_file_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("system.compute.node_timeline");
    let rows: Vec<Row> = (0..5).map(|n| node(&(1, n, 1, 0))).collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let mut row = row.clone();
        row[3].1 = V::Texts(vec!["x".to_owned()]);
        wrong.push(row);
    }
    put(&folder, "a.parquet", &parquet(&Types::Native.batch(&wrong)));
    put(&folder, "b.parquet", &parquet(&Types::Native.batch(&rows)));
    let whole = parquet(&Types::Native.batch(&rows));
    put(&folder, "c.parquet", &whole[..whole.len() - 9]);
    let place = dir.path().to_str().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (facts, report) = runtime.block_on(read_exports(place, NOW)).unwrap();
    let source = &report.sources[0];
    assert_eq!((source.rows, source.bad_rows, source.bad_files), (5, 5, 1));
    assert_eq!(facts.nodes.len(), 1);
    assert_eq!(
        source.faults[0].to_string(),
        "system.compute.node_timeline/a.parquet row 1: `start_time` is no time: a list"
    );
}

/// Bytes of a page overwritten: rows are lost, the program is not.
#[test]
fn damaged_parquet_files_never_stop_the_import() {
    let rows: Vec<Row> = (0..200).map(|n| audit(&(1, n, n as u64, 1))).collect();
    let whole = parquet(&Types::Native.batch(&rows));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut random = super::world::Random(20_261_124);
    let mut damaged = 0;
    for _ in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(20) {
            let place = random.below(bytes.len() as u64) as usize;
            bytes[place] = random.below(256) as u8;
        }
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("system.access.audit");
        put(&folder, "a.parquet", &bytes);
        put(&folder, "b.parquet", &whole);
        let place = dir.path().to_str().unwrap();
        let (_, report) = runtime.block_on(read_exports(place, NOW)).unwrap();
        let source = &report.sources[0];
        assert!(source.rows >= 200, "{source:?}");
        damaged += source.bad_files;
    }
    assert!(damaged > 0, "no file was damaged");
}
