//! Makes the clients of AWS's services: one HTTP client, credentials and region as
//! every AWS tool finds them, timeouts, retries.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use std::time::Duration;

/// Tries of one request, with a growing wait that is partly random.
const TRIES: u32 = 4;

/// Longer than the longest poll of a queue, which answers after 20 seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads credentials, region and endpoint from environment, profile, web identity,
/// container or instance, in the order that AWS documents for its tools.
///
/// `region` wins over what is found.
pub async fn load_config(region: Option<String>) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::AwsLc,
        ))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES));
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    loader.load().await
}
