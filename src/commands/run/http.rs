//! `/healthz`, `/readyz` and `/metrics` of a worker.

use crate::commands::UsageError;
use crate::pipeline::meters::Meters;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A queue that did not answer for so long, in seconds, is not there: a poll takes 20.
const POLLED_WITHIN: i64 = 90;

/// The form that Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers from now on, at the address that it tells.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(
    listen: SocketAddr,
    meters: Arc<Meters>,
) -> anyhow::Result<(JoinHandle<()>, SocketAddr)> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        UsageError(format!(
            "cannot listen on {listen}: {error}; name another address with --listen"
        ))
    })?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(meters);
    let listens = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are served no more");
        }
    });
    Ok((serving, listens))
}

async fn ready(State(meters): State<Arc<Meters>>) -> impl IntoResponse {
    match meters.has_polled_within(POLLED_WITHIN) {
        true => (StatusCode::OK, "ready\n"),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the queue has not answered\n",
        ),
    }
}

async fn metrics(State(meters): State<Arc<Meters>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], meters.text())
}
