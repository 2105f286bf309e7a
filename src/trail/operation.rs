//! What an S3 event does to data, by its name.
//!
//! CloudTrail's names differ from API and IAM names in places; these are
//! CloudTrail's (S3 user guide, CloudTrail events).

use crate::model::Operation;

/// What an event of that name does to data, from the IAM action it needs.
///
/// Bucket and account configuration: a change is `permission`, because each of
/// these settings decides who may reach the data or whether it survives; a read
/// of a setting touches no data and is `other`.
pub fn operation(event_name: &str) -> Operation {
    match event_name {
        "GetObject"
        | "HeadObject"
        | "SelectObjectContent"
        | "GetObjectTorrent"
        | "GetObjectAcl"
        | "GetObjectAttributes"
        | "GetObjectTagging"
        | "GetObjectLegalHold"
        | "GetObjectRetention"
        | "GetObjectAnnotation"
        | "ListObjectAnnotations" => Operation::Read,
        "ListObjects" | "ListObjectsV2" | "HeadBucket" | "ListObjectVersions" | "ListParts" => {
            Operation::List
        }
        "PutObject"
        | "POST Object"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload"
        | "CopyObject"
        | "AbortMultipartUpload"
        | "RestoreObject"
        | "PutObjectTagging"
        | "DeleteObjectTagging"
        | "PutObjectAnnotation"
        | "DeleteObjectAnnotation" => Operation::Write,
        "DeleteObject" | "DeleteObjects" => Operation::Delete,
        "PutObjectAcl" | "PutObjectLegalHold" | "PutObjectRetention" | "UpdateObjectEncryption" => {
            Operation::Permission
        }
        name if changes_bucket(name) => Operation::Permission,
        _ => Operation::Other,
    }
}

/// Whether the name is a Put, Delete, Create or Update of a bucket's or the
/// account's configuration.
fn changes_bucket(name: &str) -> bool {
    ["Put", "Delete", "Create", "Update"]
        .iter()
        .find_map(|verb| name.strip_prefix(verb))
        .is_some_and(|noun| {
            [
                "Bucket",
                "Account",
                "Accelerate",
                "AccessPoint",
                "MultiRegionAccessPoint",
            ]
            .iter()
            .any(|what| noun.starts_with(what))
        })
}
