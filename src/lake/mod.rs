//! The lake: Delta tables, written exactly once, read with SQL. Layer 3.
//!
//! [`columns`] makes schema and rows from one list; [`s3_access`] and
//! [`fact_tables`] are those lists; [`data_file`] encodes Parquet, [`chunks`] does
//! so for rows that have much in common; [`delta`] is one table; [`store`] is the
//! lake: what is committed together and how an interrupted commit is completed, with the
//! [`policies`] that judged beside it;
//! [`ledger`] knows what is committed already; [`facts`] reads back what is known,
//! by [`rows`], and [`news`] what others committed since; [`settle`] reads rows to be decided again, and finds copies; [`replay`]
//! reads them as policies see them; [`compact`] puts small files together;
//! [`databricks_tables`] and [`databricks`] hold what Databricks records, of which
//! [`databricks_window`] reads what is near some dates; [`probe`] tries out a place; [`sql`] answers queries, of which [`queries`] holds those that ship; [`vacuum`] deletes files that are no
//! longer wanted.

pub mod chunks;
pub mod columns;
pub mod compact;
pub mod data_file;
pub mod databricks;
pub mod databricks_tables;
pub mod databricks_window;
pub mod delta;
pub mod error;
pub mod fact_tables;
pub mod facts;
pub mod ledger;
pub mod news;
pub mod policies;
pub mod probe;
pub mod queries;
pub mod replay;
pub mod rows;
pub mod s3_access;
pub mod settle;
pub mod sql;
pub mod store;
pub mod vacuum;

pub use error::LakeError;
pub use fact_tables::LogObject;
pub use store::Lake;
