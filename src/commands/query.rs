//! `query`: SQL over the lake's tables and views.

use super::{Common, UsageError, output};
use crate::lake::queries::{NAMED, NamedQuery};
use crate::lake::sql;
use anyhow::Context as _;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use datafusion::execution::context::SQLOptions;
use futures::StreamExt as _;
use parquet::arrow::ArrowWriter;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub struct QueryArguments {
    /// File with one SQL query
    #[arg(
        value_name = "FILE.sql",
        required_unless_present_any = ["sql", "name"],
        conflicts_with_all = ["sql", "name"]
    )]
    file: Option<PathBuf>,
    /// The query itself
    #[arg(long, value_name = "TEXT", conflicts_with = "name")]
    sql: Option<String>,
    /// One of the queries that ship with bricktrail, listed below
    #[arg(long, value_name = "NAME", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(NAMED.map(|query| query.name)))]
    name: Option<String>,
    /// How to write the result [default: table on a terminal, else csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

fn after_help() -> String {
    let named: String = NAMED
        .iter()
        .map(|query| format!("\n  {:<21} {}", query.name, query.title()))
        .collect();
    format!(
        "Tables: s3_access, log_objects, sts_sessions, ec2_instances, policy_versions, exceptions, databricks_*. \
View: violations, one row for each rule that an event violated. `SHOW TABLES` lists them, \
`DESCRIBE s3_access` shows columns.

Queries by name (their SQL is in the repository's folder queries/):{named}

Examples:
  bricktrail query --sql \"SELECT * FROM violations WHERE severity = 'high' LIMIT 20\"
  bricktrail query --name dataset-users --format csv
  bricktrail query --format parquet report.sql > report.parquet"
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// With a header; NULL is an empty field, lists and structs are JSON text
    Csv,
    /// One JSON object on each line; NULL members are left out
    Json,
    Parquet,
}

pub async fn run(common: &Common, arguments: QueryArguments) -> anyhow::Result<ExitCode> {
    let config = common.config(None)?;
    let named = arguments.name.as_deref().and_then(NamedQuery::find);
    let text = match (&arguments.file, arguments.sql, named) {
        (_, Some(text), _) => text,
        (_, _, Some(query)) => query.sql.to_owned(),
        (Some(file), None, None) => std::fs::read_to_string(file)
            .map_err(|error| UsageError(format!("query file `{}`: {error}", file.display())))?,
        (None, None, None) => {
            return Err(UsageError("give a file, --sql or --name".to_owned()).into());
        }
    };
    let format = arguments.format.unwrap_or(if output::is_terminal() {
        Format::Table
    } else {
        Format::Csv
    });
    let context = sql::session(&config.lake).await?;
    // A query reads: what it could write would not be a commit of ours.
    let reading = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let frame = context
        .sql_with_options(&text, reading)
        .await
        .map_err(|error| UsageError(format!("query: {}", error.strip_backtrace())))?;
    let mut batches = frame.execute_stream().await.context("run the query")?;
    let mut writer = ResultWriter::new(format, batches.schema())?;
    while let Some(batch) = batches.next().await {
        let batch = batch.context("run the query")?;
        output::to_stdout(&writer.write(batch)?).context("write the result")?;
    }
    output::to_stdout(&writer.finish()?).context("write the result")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes batches as they come; a table is shown whole, because its columns
/// are as wide as their widest value.
enum ResultWriter {
    Table(SchemaRef, Vec<RecordBatch>),
    /// Until the first batch, the schema is what the header is made of.
    Csv {
        header: Option<SchemaRef>,
    },
    Json,
    Parquet(Box<ArrowWriter<Vec<u8>>>),
}

impl ResultWriter {
    fn new(format: Format, schema: SchemaRef) -> anyhow::Result<ResultWriter> {
        Ok(match format {
            Format::Table => ResultWriter::Table(schema, Vec::new()),
            Format::Csv => ResultWriter::Csv {
                header: Some(schema),
            },
            Format::Json => ResultWriter::Json,
            Format::Parquet => {
                ResultWriter::Parquet(Box::new(ArrowWriter::try_new(Vec::new(), schema, None)?))
            }
        })
    }

    /// The bytes that this batch makes ready.
    fn write(&mut self, batch: RecordBatch) -> anyhow::Result<Vec<u8>> {
        match self {
            ResultWriter::Table(_, batches) => {
                batches.push(batch);
                Ok(Vec::new())
            }
            ResultWriter::Csv { header } => {
                let mut bytes = Vec::new();
                let mut writer = arrow::csv::WriterBuilder::new()
                    .with_header(header.take().is_some())
                    .build(&mut bytes);
                writer.write(&flat(&batch)?)?;
                drop(writer);
                Ok(bytes)
            }
            ResultWriter::Json => {
                let mut bytes = Vec::new();
                let mut writer = arrow::json::LineDelimitedWriter::new(&mut bytes);
                writer.write(&batch)?;
                writer.finish()?;
                drop(writer);
                Ok(bytes)
            }
            ResultWriter::Parquet(writer) => {
                writer.write(&batch)?;
                Ok(std::mem::take(writer.inner_mut()))
            }
        }
    }

    fn finish(self) -> anyhow::Result<Vec<u8>> {
        match self {
            ResultWriter::Table(schema, mut batches) => {
                if batches.is_empty() {
                    batches.push(RecordBatch::new_empty(schema));
                }
                let options = FormatOptions::default().with_null("");
                let table = pretty_format_batches_with_options(&batches, &options)?;
                Ok(format!("{table}\n").into_bytes())
            }
            ResultWriter::Csv {
                header: Some(schema),
            } => {
                // Nothing was found, but what was asked for has names.
                let empty = RecordBatch::new_empty(schema);
                ResultWriter::Csv {
                    header: Some(empty.schema()),
                }
                .write(empty)
            }
            ResultWriter::Csv { header: None } | ResultWriter::Json => Ok(Vec::new()),
            ResultWriter::Parquet(writer) => Ok(writer.into_inner()?),
        }
    }
}

/// CSV has no nested values: lists and structs become their text.
fn flat(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    use arrow::array::{ArrayRef, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use arrow::util::display::ArrayFormatter;
    use std::sync::Arc;
    let options = FormatOptions::default();
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if !column.data_type().is_nested() {
            fields.push(field.as_ref().clone());
            columns.push(column.clone());
            continue;
        }
        let formatter = ArrayFormatter::try_new(column, &options)?;
        let texts: StringArray = (0..column.len())
            .map(|row| (!column.is_null(row)).then(|| formatter.value(row).to_string()))
            .collect();
        fields.push(Field::new(field.name(), DataType::Utf8, true));
        columns.push(Arc::new(texts));
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns,
        &options,
    )?)
}
