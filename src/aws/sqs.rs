//! Amazon SQS behind [`MessageQueue`].

use super::queue::{Answer, BATCH_MAX, Message, MessageQueue, QueueDepth, QueueError};
use crate::model::UtcMicros;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::time::Duration;

/// A queue of SQS, by its URL.
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue of that URL, `https://sqs.<region>.amazonaws.com/<account>/<name>`.
    pub fn new(config: &SdkConfig, url: &str) -> SqsQueue {
        SqsQueue {
            client: Client::new(config),
            url: url.to_owned(),
        }
    }

    fn error<E: ProvideErrorMetadata>(
        &self,
        error: &SdkError<E>,
        needs: &'static str,
    ) -> QueueError {
        let queue = self.url.clone();
        let code = error.code().unwrap_or_default();
        let detail = super::s3::tell(error);
        match code {
            "AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist" | "InvalidAddress" => {
                QueueError::NotFound { queue }
            }
            "AccessDenied"
            | "AccessDeniedException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "KMS.AccessDeniedException"
            | "KmsAccessDenied" => QueueError::Denied {
                queue,
                detail,
                needs,
            },
            _ => QueueError::Unavailable { queue, detail },
        }
    }
}

/// The region in the URL of a queue, which is where its client must ask.
pub fn region_of(url: &str) -> Option<String> {
    let host = url.split_once("://")?.1.split(['/', ':']).next()?;
    let region = host.strip_prefix("sqs.")?.split('.').next()?;
    (region.contains('-')).then(|| region.to_owned())
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

/// The answers to the entries of a request, which are named by their places.
fn answers(count: usize, failed: &[BatchResultErrorEntry]) -> Vec<Answer> {
    let mut answers = vec![Answer::Done; count];
    for entry in failed {
        let place = entry.id().parse::<usize>().ok();
        if let Some(answer) = place.and_then(|place| answers.get_mut(place)) {
            *answer = answer_of(entry.code());
        }
    }
    answers
}

/// SQS calls a receipt invalid that is out of date, and a message not in flight whose
/// time is over.
fn answer_of(code: &str) -> Answer {
    match code {
        "ReceiptHandleIsInvalid"
        | "InvalidParameterValue"
        | "MessageNotInflight"
        | "AWS.SimpleQueueService.MessageNotInflight" => Answer::Lost,
        _ => Answer::Failed,
    }
}

fn message(message: aws_sdk_sqs::types::Message) -> Option<Message> {
    let attributes: HashMap<MessageSystemAttributeName, String> =
        message.attributes.unwrap_or_default();
    let number = |name| {
        attributes
            .get(&name)
            .and_then(|text| text.parse::<i64>().ok())
    };
    let sent_at = number(MessageSystemAttributeName::SentTimestamp)
        .map(|millis| UtcMicros(millis.saturating_mul(1000)));
    let count = number(MessageSystemAttributeName::ApproximateReceiveCount);
    Some(Message {
        id: message.message_id?,
        receipt: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
        sent_at,
        receive_count: count.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
    })
}

impl MessageQueue for SqsQueue {
    fn name(&self) -> &str {
        &self.url
    }

    fn receive(
        &self,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        let most = i32::try_from(most.clamp(1, BATCH_MAX)).unwrap_or(1);
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(most)
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(hide))
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        Box::pin(async move {
            let answer = request.send().await;
            let answer = answer.map_err(|error| self.error(&error, "sqs:ReceiveMessage"))?;
            let messages = answer.messages.unwrap_or_default();
            Ok(messages.into_iter().filter_map(message).collect())
        })
    }

    fn hide<'q>(
        &'q self,
        receipts: &'q [String],
        time: Duration,
    ) -> BoxFuture<'q, Result<Vec<Answer>, QueueError>> {
        Box::pin(async move {
            let mut request = self
                .client
                .change_message_visibility_batch()
                .queue_url(&self.url);
            for (place, receipt) in receipts.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(place.to_string())
                    .receipt_handle(receipt)
                    .visibility_timeout(seconds(time))
                    .build()
                    .map_err(|error| self.defect(&error))?;
                request = request.entries(entry);
            }
            let answer = request.send().await;
            let answer =
                answer.map_err(|error| self.error(&error, "sqs:ChangeMessageVisibility"))?;
            Ok(answers(receipts.len(), answer.failed()))
        })
    }

    fn delete<'q>(
        &'q self,
        receipts: &'q [String],
    ) -> BoxFuture<'q, Result<Vec<Answer>, QueueError>> {
        Box::pin(async move {
            let mut request = self.client.delete_message_batch().queue_url(&self.url);
            for (place, receipt) in receipts.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder()
                    .id(place.to_string())
                    .receipt_handle(receipt)
                    .build()
                    .map_err(|error| self.defect(&error))?;
                request = request.entries(entry);
            }
            let answer = request.send().await;
            let answer = answer.map_err(|error| self.error(&error, "sqs:DeleteMessage"))?;
            Ok(answers(receipts.len(), answer.failed()))
        })
    }

    fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>> {
        let (waiting, hidden) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        );
        Box::pin(async move {
            let answer = self
                .client
                .get_queue_attributes()
                .queue_url(&self.url)
                .attribute_names(waiting.clone())
                .attribute_names(hidden.clone())
                .send()
                .await
                .map_err(|error| self.error(&error, "sqs:GetQueueAttributes"))?;
            let count = |name| {
                let found = answer.attributes().and_then(|all| all.get(name));
                found.and_then(|text| text.parse().ok()).unwrap_or_default()
            };
            Ok(QueueDepth {
                waiting: count(&waiting),
                hidden: count(&hidden),
            })
        })
    }
}

impl SqsQueue {
    /// The queue's settings, by SQS's names.
    ///
    /// # Errors
    /// When the queue does not answer.
    pub async fn attributes(&self) -> Result<HashMap<String, String>, QueueError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await
            .map_err(|error| self.error(&error, "sqs:GetQueueAttributes"))?;
        let attributes = answer.attributes.unwrap_or_default().into_iter();
        Ok(attributes
            .map(|(name, value)| (name.as_str().to_owned(), value))
            .collect())
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn send(&self, body: String) -> Result<(), QueueError> {
        let sent = self.client.send_message().queue_url(&self.url);
        let sent = sent.message_body(body).send().await;
        sent.map(drop)
            .map_err(|error| self.error(&error, "sqs:SendMessage"))
    }

    fn defect(&self, error: &impl std::fmt::Display) -> QueueError {
        QueueError::Unavailable {
            queue: self.url.clone(),
            detail: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_queue_names_its_region() {
        let cases = [
            (
                "https://sqs.us-gov-west-1.amazonaws.com/1/q",
                Some("us-gov-west-1"),
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/1/q",
                Some("cn-north-1"),
            ),
            ("http://127.0.0.1:5000/1/q", None),
            ("https://queue.amazonaws.com/1/q", None),
        ];
        for (url, region) in cases {
            assert_eq!(region_of(url).as_deref(), region, "{url}");
        }
    }

    #[test]
    fn an_entry_that_failed_is_found_by_its_place() {
        let failed = |id: &str, code: &str| {
            BatchResultErrorEntry::builder()
                .id(id)
                .code(code)
                .sender_fault(true)
                .build()
                .unwrap()
        };
        let failed = [
            failed("2", "ReceiptHandleIsInvalid"),
            failed("0", "InternalError"),
        ];
        assert_eq!(
            answers(3, &failed),
            [Answer::Failed, Answer::Done, Answer::Lost]
        );
    }
}
