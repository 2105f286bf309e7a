//! The members of a record that rows and routing use, found by their places.
//!
//! One table, [`member`], says which members matter; both ways of reading a
//! record, by the shape it shares with earlier ones ([`super::shape`]) and by
//! its own tape ([`Fields::read`]), fill the same [`Fields`] through it. What
//! the fields mean is decided once, after that, in [`super::record`].
//!
//! Field names and their traps are CloudTrail's (user guide, record contents and
//! userIdentity element; S3 user guide, CloudTrail events), checked on public
//! real records.
//!
//! INVARIANT (tolerant): any member may be missing or of another type; then its
//! field is empty. An empty text says as little as none.

use super::tape::Value;

/// An object or array of a record, as far as members in it matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Record,
    UserIdentity,
    SessionContext,
    SessionAttributes,
    SessionIssuer,
    InScopeOf,
    RequestParameters,
    ResponseElements,
    AdditionalEventData,
    TlsDetails,
    Addendum,
    Resources,
    /// An item of `resources`, by its number.
    Resource(u8),
    /// Nothing in it matters.
    Elsewhere,
}

/// A text that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Text {
    EventVersion,
    EventTime,
    EventSource,
    EventName,
    AwsRegion,
    SourceIp,
    UserAgent,
    ErrorCode,
    ErrorMessage,
    RequestId,
    EventId,
    RecipientAccountId,
    SharedEventId,
    VpcEndpointId,
    EventCategory,
    IdentityType,
    PrincipalId,
    Arn,
    AccountId,
    AccessKeyId,
    UserName,
    InvokedBy,
    CreationDate,
    IssuerArn,
    IssuerAccountId,
    SourceIdentity,
    Ec2RoleDelivery,
    ScopeIssuerType,
    ScopeIssuedTo,
    RequestBucket,
    RequestKey,
    RequestPrefix,
    RequestVersionId,
    RequestCopySource,
    RequestSignedAt,
    RequestSse,
    RequestKmsKey,
    RequestCustomerAlgorithm,
    ResponseSse,
    ResponseKmsKey,
    ResponseCustomerAlgorithm,
    AuthMethod,
    CipherSuite,
    SseApplied,
    AdditionalVpcEndpointId,
    AddendumReason,
    AddendumOriginalEventId,
    TlsVersion,
}

impl Text {
    /// How many there are.
    const COUNT: usize = Text::TlsVersion as usize + 1;
}

/// A byte count that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Count {
    BytesIn,
    BytesOut,
}

/// A text of an item of `resources`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceText {
    Kind,
    AccountId,
    Arn,
    ArnPrefix,
}

/// What a member is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Text(Text),
    /// A text, or an array whose only item is one: eventVersion 1.03 wraps
    /// request parameters so.
    TextOrSingle(Text),
    Count(Count),
    ResourceText(u8, ResourceText),
    /// An object or array with members that matter.
    Holds(Place),
    Nothing,
}

/// Whether that a member is there matters, whatever its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Presence {
    TlsDetails,
    /// Only data events count transferred bytes.
    BytesOut,
}

/// What the member of that name is, at that place.
pub fn member(place: Place, name: &str) -> Member {
    match place {
        Place::Record => record_member(name),
        Place::UserIdentity => match name {
            "type" => Member::Text(Text::IdentityType),
            "principalId" => Member::Text(Text::PrincipalId),
            "arn" => Member::Text(Text::Arn),
            "accountId" => Member::Text(Text::AccountId),
            "accessKeyId" => Member::Text(Text::AccessKeyId),
            "userName" => Member::Text(Text::UserName),
            "invokedBy" => Member::Text(Text::InvokedBy),
            "sessionContext" => Member::Holds(Place::SessionContext),
            "inScopeOf" => Member::Holds(Place::InScopeOf),
            _ => Member::Nothing,
        },
        Place::SessionContext => match name {
            "attributes" => Member::Holds(Place::SessionAttributes),
            "sessionIssuer" => Member::Holds(Place::SessionIssuer),
            "sourceIdentity" => Member::Text(Text::SourceIdentity),
            "ec2RoleDelivery" => Member::Text(Text::Ec2RoleDelivery),
            _ => Member::Nothing,
        },
        Place::SessionAttributes => match name {
            "creationDate" => Member::Text(Text::CreationDate),
            _ => Member::Nothing,
        },
        Place::SessionIssuer => match name {
            "arn" => Member::Text(Text::IssuerArn),
            "accountId" => Member::Text(Text::IssuerAccountId),
            _ => Member::Nothing,
        },
        Place::InScopeOf => match name {
            "issuerType" => Member::Text(Text::ScopeIssuerType),
            "credentialsIssuedTo" => Member::Text(Text::ScopeIssuedTo),
            _ => Member::Nothing,
        },
        Place::RequestParameters => request_parameter(name),
        Place::ResponseElements => match name {
            "x-amz-server-side-encryption" => Member::Text(Text::ResponseSse),
            "x-amz-server-side-encryption-aws-kms-key-id" => Member::Text(Text::ResponseKmsKey),
            "x-amz-server-side-encryption-customer-algorithm" => {
                Member::Text(Text::ResponseCustomerAlgorithm)
            }
            _ => Member::Nothing,
        },
        Place::AdditionalEventData => match name {
            "AuthenticationMethod" => Member::Text(Text::AuthMethod),
            "CipherSuite" => Member::Text(Text::CipherSuite),
            "SSEApplied" => Member::Text(Text::SseApplied),
            "bytesTransferredIn" => Member::Count(Count::BytesIn),
            "bytesTransferredOut" => Member::Count(Count::BytesOut),
            "vpcEndpointId" => Member::Text(Text::AdditionalVpcEndpointId),
            _ => Member::Nothing,
        },
        Place::TlsDetails => match name {
            "tlsVersion" => Member::Text(Text::TlsVersion),
            _ => Member::Nothing,
        },
        Place::Addendum => match name {
            "reason" => Member::Text(Text::AddendumReason),
            "originalEventID" => Member::Text(Text::AddendumOriginalEventId),
            _ => Member::Nothing,
        },
        Place::Resource(item) => match name {
            "type" => Member::ResourceText(item, ResourceText::Kind),
            "ARN" | "arn" => Member::ResourceText(item, ResourceText::Arn),
            "ARNPrefix" => Member::ResourceText(item, ResourceText::ArnPrefix),
            "accountId" | "accountid" => Member::ResourceText(item, ResourceText::AccountId),
            _ => Member::Nothing,
        },
        Place::Resources | Place::Elsewhere => Member::Nothing,
    }
}

/// By length first: a record has some 25 members, and comparing each with every
/// name in turn costs as much as the rest of the walk.
fn record_member(name: &str) -> Member {
    let (text, holds) = (Member::Text, Member::Holds);
    match name.len() {
        7 if name == "eventID" => text(Text::EventId),
        8 if name == "addendum" => holds(Place::Addendum),
        9 => match name {
            "eventTime" => text(Text::EventTime),
            "eventName" => text(Text::EventName),
            "awsRegion" => text(Text::AwsRegion),
            "userAgent" => text(Text::UserAgent),
            "errorCode" => text(Text::ErrorCode),
            "requestID" => text(Text::RequestId),
            "resources" => holds(Place::Resources),
            _ => Member::Nothing,
        },
        10 if name == "tlsDetails" => holds(Place::TlsDetails),
        11 if name == "eventSource" => text(Text::EventSource),
        12 => match name {
            "eventVersion" => text(Text::EventVersion),
            "userIdentity" => holds(Place::UserIdentity),
            "errorMessage" => text(Text::ErrorMessage),
            _ => Member::Nothing,
        },
        13 => match name {
            "eventCategory" => text(Text::EventCategory),
            "sharedEventID" => text(Text::SharedEventId),
            "vpcEndpointId" => text(Text::VpcEndpointId),
            _ => Member::Nothing,
        },
        15 if name == "sourceIPAddress" => text(Text::SourceIp),
        16 if name == "responseElements" => holds(Place::ResponseElements),
        17 if name == "requestParameters" => holds(Place::RequestParameters),
        18 if name == "recipientAccountId" => text(Text::RecipientAccountId),
        19 if name == "additionalEventData" => holds(Place::AdditionalEventData),
        _ => Member::Nothing,
    }
}

/// Parameter names are compared without case: Outposts writes `Key`, old
/// records lower-case hosts.
fn request_parameter(name: &str) -> Member {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    let text = Member::TextOrSingle;
    match name.len() {
        3 if is("key") => text(Text::RequestKey),
        6 if is("prefix") => text(Text::RequestPrefix),
        9 if is("versionId") => text(Text::RequestVersionId),
        10 if is("bucketName") => text(Text::RequestBucket),
        10 if is("X-Amz-Date") => text(Text::RequestSignedAt),
        17 if is("x-amz-copy-source") => text(Text::RequestCopySource),
        28 if is("x-amz-server-side-encryption") => text(Text::RequestSse),
        43 if is("x-amz-server-side-encryption-aws-kms-key-id") => text(Text::RequestKmsKey),
        47 if is("x-amz-server-side-encryption-customer-algorithm") => {
            text(Text::RequestCustomerAlgorithm)
        }
        _ => Member::Nothing,
    }
}

/// What of a member matters by being there.
pub fn presence(member: Member) -> Option<Presence> {
    match member {
        Member::Holds(Place::TlsDetails) => Some(Presence::TlsDetails),
        Member::Count(Count::BytesOut) => Some(Presence::BytesOut),
        _ => None,
    }
}

/// An item of `resources`, as written.
#[derive(Clone, Copy, Default)]
pub struct Resource<'a> {
    pub kind: &'a str,
    pub account_id: &'a str,
    pub arn: &'a str,
    pub arn_prefix: &'a str,
}

impl<'a> Resource<'a> {
    fn read(item: Value<'_, 'a>) -> Resource<'a> {
        let mut resource = Resource::default();
        for (name, value) in item.members() {
            if let Member::ResourceText(_, text) = member(Place::Resource(0), name) {
                resource.set(text, value.text().unwrap_or_default());
            }
        }
        resource
    }

    fn set(&mut self, text: ResourceText, value: &'a str) {
        *match text {
            ResourceText::Kind => &mut self.kind,
            ResourceText::AccountId => &mut self.account_id,
            ResourceText::Arn => &mut self.arn,
            ResourceText::ArnPrefix => &mut self.arn_prefix,
        } = value;
    }
}

/// Objects and arrays in one object that can matter; a record has the most.
const HELD_MAX: usize = 7;

/// The members of one record that matter.
pub struct Fields<'a> {
    texts: [&'a str; Text::COUNT],
    counts: [Option<i64>; 2],
    present: [bool; 2],
    resources: Vec<Resource<'a>>,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Fields {
            texts: [""; Text::COUNT],
            counts: [None; 2],
            present: [false; 2],
            resources: Vec::new(),
        }
    }
}

impl<'a> Fields<'a> {
    /// Collects the members of a record from its tape.
    pub fn read(record: Value<'_, 'a>) -> Fields<'a> {
        let mut fields = Fields::default();
        fields.walk(Place::Record, record);
        fields
    }

    /// Empties every field, for the next record.
    pub fn clear(&mut self) {
        self.texts = [""; Text::COUNT];
        self.counts = [None; 2];
        self.present = [false; 2];
        self.resources.clear();
    }

    fn walk(&mut self, place: Place, value: Value<'_, 'a>) {
        if place == Place::Resources {
            self.resources = value.items().map(Resource::read).collect();
        }
        // The last of several members of one name counts, so objects wait.
        let mut held: [Option<(Place, Value<'_, 'a>)>; HELD_MAX] = [None; HELD_MAX];
        for (name, value) in value.members() {
            let member = member(place, name);
            match member {
                Member::Text(text) => self.set(text, value.text().unwrap_or_default()),
                Member::TextOrSingle(text) => {
                    self.set(text, value.text_or_single().unwrap_or_default());
                }
                Member::Count(count) => self.set_count(count, value.integer()),
                Member::Holds(place) => {
                    let slot = held
                        .iter_mut()
                        .find(|slot| slot.is_none_or(|(other, _)| other == place));
                    if let Some(slot) = slot {
                        *slot = Some((place, value));
                    }
                }
                Member::ResourceText(..) | Member::Nothing => {}
            }
            if let Some(presence) = presence(member) {
                self.set_present(presence);
            }
        }
        for (place, value) in held.into_iter().flatten() {
            self.walk(place, value);
        }
    }

    #[inline]
    pub fn set(&mut self, text: Text, value: &'a str) {
        if let Some(slot) = self.texts.get_mut(text as usize) {
            *slot = value;
        }
    }

    #[inline]
    pub fn set_count(&mut self, count: Count, value: Option<i64>) {
        if let Some(slot) = self.counts.get_mut(count as usize) {
            *slot = value;
        }
    }

    #[inline]
    pub fn set_present(&mut self, presence: Presence) {
        if let Some(slot) = self.present.get_mut(presence as usize) {
            *slot = true;
        }
    }

    /// Fills in a text of the item of that number; items come in order.
    #[inline]
    pub fn set_resource(&mut self, item: u8, text: ResourceText, value: &'a str) {
        let item = usize::from(item);
        while self.resources.len() <= item {
            self.resources.push(Resource::default());
        }
        if let Some(resource) = self.resources.get_mut(item) {
            resource.set(text, value);
        }
    }

    /// The text; `None` where it is missing, empty or of another type.
    #[inline]
    pub fn get(&self, text: Text) -> Option<&'a str> {
        let value = *self.texts.get(text as usize)?;
        (!value.is_empty()).then_some(value)
    }

    #[inline]
    pub fn count(&self, count: Count) -> Option<i64> {
        self.counts.get(count as usize).copied().flatten()
    }

    #[inline]
    pub fn is_present(&self, presence: Presence) -> bool {
        self.present
            .get(presence as usize)
            .copied()
            .unwrap_or(false)
    }

    pub fn resources(&self) -> &[Resource<'a>] {
        &self.resources
    }
}
