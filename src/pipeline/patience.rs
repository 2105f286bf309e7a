//! Patience with a store that does not answer as it should.

use crate::lake::LakeError;
use std::time::{Duration, Instant};

/// Waits after failures of the store, longer each time, until patience ends.
pub struct Waiting {
    until: Instant,
    wait: Duration,
}

impl Waiting {
    /// Without patience the first failure is the last.
    pub fn new(patience: Duration) -> Waiting {
        Waiting {
            until: Instant::now() + patience,
            wait: Duration::from_millis(200),
        }
    }

    /// Waits, and says whether to try again.
    ///
    /// # Errors
    /// The failure itself, once patience ends.
    pub async fn after(&mut self, error: LakeError) -> Result<(), LakeError> {
        if Instant::now() + self.wait > self.until {
            return Err(error);
        }
        let wait_ms = self.wait.as_millis();
        tracing::warn!(%error, wait_ms, "the lake did not answer as it should; trying again");
        tokio::time::sleep(self.wait.mul_f64(0.5 + fastrand::f64())).await;
        self.wait = (self.wait * 2).min(Duration::from_secs(15));
        Ok(())
    }
}
