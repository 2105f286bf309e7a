//! The link from an access to the STS event that issued its credential.

use super::aws::filled;
use super::call::Call;
use super::index::IdentityIndex;
use super::trace::Trace;
use crate::model::{CANDIDATES_MAX, Confidence, Method, Principal, TimeSpan, UtcMicros};

/// The sessions that may have signed, each followed to its origin.
#[derive(Clone, Debug)]
pub(super) struct Link<'a> {
    pub method: Option<Method>,
    pub confidence: Confidence,
    pub traces: Vec<Trace<'a>>,
    /// The event times over which this link holds.
    pub span: TimeSpan,
}

impl<'a> Link<'a> {
    /// Finds the issuing STS event: M1 by access key, else M2 by creation.
    pub fn find(principal: &Principal, at: UtcMicros, index: &'a IdentityIndex) -> Link<'a> {
        let sessions = index.issued_sessions();
        let mut span = TimeSpan::ALWAYS;
        if let Some(key) = filled(principal.access_key_id.as_deref()) {
            let (calls, holds) = sessions.issued(key, at);
            if !calls.is_empty() {
                return Link::new(Method::M1AccessKey, Confidence::Exact, &calls, holds, index);
            }
            span = holds;
        }
        let calls = sessions.created(principal);
        Link::new(
            Method::M2SessionCreation,
            Confidence::Strong,
            &calls,
            span,
            index,
        )
    }

    fn new(
        method: Method,
        when_unique: Confidence,
        calls: &[&'a Call],
        span: TimeSpan,
        index: &'a IdentityIndex,
    ) -> Link<'a> {
        let confidence = match calls {
            [] => Confidence::None,
            [_] => when_unique,
            _ => Confidence::Ambiguous,
        };
        let trace = |call: &&'a Call| Trace::of(call, index);
        Link {
            method: (!calls.is_empty()).then_some(method),
            confidence,
            traces: calls.iter().take(CANDIDATES_MAX).map(trace).collect(),
            span,
        }
    }

    /// The session, where there is one candidate only.
    pub fn sole(&self) -> Option<&Trace<'a>> {
        match self.traces.as_slice() {
            [trace] => Some(trace),
            _ => None,
        }
    }

    /// The session, where the access key proves it.
    pub fn exact(&self) -> Option<&Trace<'a>> {
        self.sole().filter(|_| self.confidence == Confidence::Exact)
    }
}
