//! Records that differ from those of a general purpose bucket in a current trail:
//! access points, directory buckets, Outposts, and older event versions.
//!
//! Shapes: S3 user guide, CloudTrail log file examples for directory buckets and
//! monitoring of access points; CloudTrail user guide, record contents (which version
//! added which field); S3 on Outposts, log file entries.
//!
//! A directory bucket is worked on with the key of a session of its own, which
//! `CreateSession` issued in exchange for the caller's: later records show that key
//! and no issuer. Clients renew such sessions; here an activity has one.

use super::identity;
use super::org::Location;
use super::play::Signer;
use super::random::Random;
use super::scenario::Scenario;
use super::text::{human, put};

/// What a request is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Bucket,
    AccessPoint,
    /// A bucket of S3 Express One Zone.
    Directory,
    Outpost,
}

/// The `minor` of the newest eventVersion, 1.11.
const NEWEST_MINOR: u64 = 11;

/// The minor of the record's eventVersion: each of the old ones, in turn. An addendum
/// takes version 1.08.
pub(super) fn minor_version(scenario: Scenario, number: u64, has_addendum: bool) -> u64 {
    match scenario {
        Scenario::JobOldRecords if has_addendum => 8,
        Scenario::JobOldRecords => 5 + number % 4,
        _ => NEWEST_MINOR,
    }
}

/// The name of the call that opens a session with a directory bucket.
pub(super) const CREATE_SESSION: &str = "CreateSession";

impl Shape {
    pub(super) fn of(scenario: Scenario) -> Shape {
        match scenario {
            Scenario::JobAccessPoint => Shape::AccessPoint,
            Scenario::JobDirectoryBucket => Shape::Directory,
            Scenario::OutpostsApplication => Shape::Outpost,
            _ => Shape::Bucket,
        }
    }

    pub(super) fn event_source(self) -> &'static str {
        match self {
            Shape::Bucket | Shape::AccessPoint => "s3.amazonaws.com",
            Shape::Directory => "s3express.amazonaws.com",
            Shape::Outpost => "s3-outposts.amazonaws.com",
        }
    }

    /// Listing is `ListObjects` on a bucket, whichever version was called.
    pub(super) fn event_name(self, name: &'static str) -> &'static str {
        match (self, name) {
            (Shape::AccessPoint | Shape::Directory, "ListObjects") => "ListObjectsV2",
            _ => name,
        }
    }

    /// The bucket's name: that of a directory bucket tells its zone.
    pub(super) fn bucket(self, name: &str, location: &Location) -> String {
        match self {
            Shape::Directory => format!("{name}--{}--x-s3", zone(location.region)),
            _ => name.to_owned(),
        }
    }

    pub(super) fn host(self, bucket: &str, location: &Location) -> String {
        let region = location.region;
        match self {
            Shape::Bucket => format!("{bucket}.s3.{region}.amazonaws.com"),
            Shape::AccessPoint => format!(
                "{}-{}.s3-accesspoint.{region}.amazonaws.com",
                access_point(bucket),
                location.owner
            ),
            Shape::Directory => {
                let zone = zone(region);
                format!("{bucket}.s3express-{zone}.{region}.amazonaws.com")
            }
            Shape::Outpost => format!("{bucket}.{OUTPOST}.s3-outposts.{region}.amazonaws.com"),
        }
    }

    /// Writes bucket, host and key of `requestParameters`, without a brace. Whether
    /// `bucketName` names an access point or its bucket is not documented: it is the
    /// bucket here, as in `resources`.
    pub(super) fn parameters(
        self,
        bucket: &str,
        key: Option<&str>,
        location: &Location,
        out: &mut String,
    ) {
        let host = self.host(bucket, location);
        if self == Shape::Outpost {
            // Only `resources` name the bucket.
            put(out, format_args!(r#""Host":"{host}""#));
            if let Some(key) = key {
                put(out, format_args!(r#","Key":"{key}""#));
            }
            return;
        }
        put(
            out,
            format_args!(r#""bucketName":"{bucket}","Host":"{host}""#),
        );
        if let Some(key) = key {
            put(out, format_args!(r#","key":"{key}""#));
        }
    }

    /// Writes what `additionalEventData` holds beside the usual; with a comma before.
    pub(super) fn additional(self, name: &str, location: &Location, out: &mut String) {
        if self != Shape::Directory {
            return;
        }
        put(
            out,
            format_args!(r#","availabilityZone":"{}""#, zone(location.region)),
        );
        if name != CREATE_SESSION {
            out.push_str(r#","sessionModeApplied":"ReadOnly""#);
        }
    }

    /// Writes the items of `resources`, for other shapes than a bucket's.
    pub(super) fn resources(
        self,
        bucket: &str,
        key: Option<&str>,
        location: &Location,
        out: &mut String,
    ) {
        let (owner, region) = (location.owner, location.region);
        let (object_kind, bucket_kind, arn) = match self {
            Shape::Bucket | Shape::AccessPoint => (
                "AWS::S3::Object",
                "AWS::S3::Bucket",
                format!("arn:aws:s3:::{bucket}"),
            ),
            Shape::Directory => (
                "AWS::S3Express::Object",
                "AWS::S3Express::DirectoryBucket",
                format!("arn:aws:s3express:{region}:{owner}:bucket/{bucket}"),
            ),
            Shape::Outpost => (
                "AWS::S3Outposts::Object",
                "AWS::S3Outposts::Bucket",
                format!("arn:aws:s3-outposts:{region}:{owner}:outpost/{OUTPOST}/bucket/{bucket}"),
            ),
        };
        match key {
            Some(key) => put(
                out,
                format_args!(r#"{{"type":"{object_kind}","ARN":"{arn}/{key}"}},"#),
            ),
            None => put(
                out,
                format_args!(r#"{{"type":"{object_kind}","ARNPrefix":"{arn}/"}},"#),
            ),
        }
        put(
            out,
            format_args!(r#"{{"accountId":"{owner}","type":"{bucket_kind}","ARN":"{arn}"}}"#),
        );
        if self == Shape::AccessPoint {
            put(
                out,
                format_args!(
                    r#",{{"accountId":"{owner}","type":"AWS::S3::AccessPoint","ARN":"arn:aws:s3:{region}:{owner}:accesspoint/{}"}}"#,
                    access_point(bucket)
                ),
            );
        }
    }

    /// Writes what the record says of the Outpost; with a comma before.
    pub(super) fn edge(self, out: &mut String) {
        if self == Shape::Outpost {
            put(
                out,
                format_args!(
                    r#","edgeDeviceDetails":{{"type":"outposts","deviceId":"{OUTPOST}"}}"#
                ),
            );
        }
    }
}

const OUTPOST: &str = "op-01ac5d28a6a232904";

fn access_point(bucket: &str) -> String {
    format!("{bucket}-readers")
}

/// The availability zone's id, of each region that has a trail.
fn zone(region: &str) -> &'static str {
    match region {
        "eu-west-1" => "euw1-az1",
        "us-east-1" => "use1-az4",
        _ => "usw2-az1",
    }
}

/// The session with a directory bucket that an activity has.
pub(super) struct DirectorySession {
    key: String,
    opened: i64,
}

impl DirectorySession {
    pub(super) fn of(seed: u64, activity: u64, opened: i64) -> DirectorySession {
        let mut random = Random::of(seed, "directory session", &[activity]);
        DirectorySession {
            key: random.aws_id("ASIA", 16),
            opened,
        }
    }

    /// What `CreateSession` answers.
    pub(super) fn answer(&self) -> String {
        format!(
            r#"{{"credentials":{{"accessKeyId":"{}","expiration":"{}","sessionToken":"HIDDEN_IN_THIS_SIMULATION"}}}}"#,
            self.key,
            human(self.opened + 300)
        )
    }

    /// Writes `userIdentity` of what is done in the session.
    pub(super) fn write(&self, signer: &Signer, out: &mut String) {
        match signer {
            Signer::Session(session) => {
                identity::write_directory_session(session, &self.key, self.opened, out);
            }
            other => identity::write(other, out),
        }
    }
}
