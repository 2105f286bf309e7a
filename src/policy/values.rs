//! The values of attributes, before they are Cedar's: cheap to collect, to write
//! as bytes, and to turn into Cedar's expressions when a judgement is made.

use super::mentions::{Attribute, Mentions};
use super::request::Fault;
use cedar_policy::RestrictedExpression;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// The value of an attribute.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Truth(bool),
    Long(i64),
    Address(IpAddr),
    /// A set that is the same for every access under one policy.
    Setting(&'a [String]),
    Record(Attributes<'a>),
}

impl<'a> Value<'a> {
    /// One value for all of its type: where rules look only whether there is one.
    fn presence(self) -> Value<'a> {
        match self {
            Value::Text(_) => Value::Text(""),
            Value::Truth(_) => Value::Truth(false),
            Value::Long(_) => Value::Long(0),
            Value::Address(_) => Value::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Value::Setting(_) | Value::Record(_) => self,
        }
    }
}

/// Attributes as Cedar takes them.
pub(super) type Expressions = HashMap<String, RestrictedExpression>;

/// The attributes that rules mention; an unknown one is absent.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    mentions: Mentions,
    values: Vec<(Attribute, Value<'a>)>,
}

/// Ends a list of attributes; none has this number.
pub(super) const END: u8 = u8::MAX;

impl<'a> Attributes<'a> {
    pub(super) fn new(mentions: Mentions) -> Attributes<'a> {
        Attributes {
            mentions,
            values: Vec::with_capacity(8),
        }
    }

    /// Adds an attribute that is known; if no rule mentions it, it is not even
    /// worked out.
    pub(super) fn put(&mut self, attribute: Attribute, value: impl FnOnce() -> Option<Value<'a>>) {
        if self.mentions.has(attribute)
            && let Some(value) = value()
        {
            let value = match self.mentions.reads(attribute) {
                true => value,
                false => value.presence(),
            };
            self.values.push((attribute, value));
        }
    }

    pub(super) fn values(&self) -> &[(Attribute, Value<'a>)] {
        &self.values
    }

    pub(super) fn text(&mut self, attribute: Attribute, value: Option<&'a str>) {
        self.put(attribute, || value.map(Value::Text));
    }

    pub(super) fn truth(&mut self, attribute: Attribute, value: impl FnOnce() -> bool) {
        self.put(attribute, || Some(Value::Truth(value())));
    }

    /// These and others: no attribute may be in both.
    #[must_use]
    pub(super) fn and(mut self, others: Attributes<'a>) -> Attributes<'a> {
        self.values.extend(others.values);
        self
    }

    /// Writes the attributes; no two lists give the same bytes, nor is one the
    /// beginning of another.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (attribute, value) in &self.values {
            out.push(*attribute as u8);
            match value {
                Value::Text(text) => {
                    out.push(0);
                    write_text(text, out);
                }
                Value::Truth(truth) => out.extend([1, u8::from(*truth)]),
                Value::Long(number) => {
                    out.push(2);
                    out.extend(number.to_be_bytes());
                }
                Value::Address(IpAddr::V4(address)) => {
                    out.push(3);
                    out.extend(address.octets());
                }
                Value::Address(IpAddr::V6(address)) => {
                    out.push(4);
                    out.extend(address.octets());
                }
                Value::Setting(_) => out.push(5),
                Value::Record(attributes) => {
                    out.push(6);
                    attributes.write(out);
                }
            }
        }
        out.push(END);
    }

    /// Returns the attributes as Cedar takes them.
    pub(super) fn expressions(&self) -> Result<Expressions, Fault> {
        let pairs = self.values.iter().map(|(attribute, value)| {
            let expression = match value {
                Value::Text(text) => RestrictedExpression::new_string((*text).to_owned()),
                Value::Truth(truth) => RestrictedExpression::new_bool(*truth),
                Value::Long(number) => RestrictedExpression::new_long(*number),
                Value::Address(address) => RestrictedExpression::new_ip(address.to_string()),
                Value::Setting(texts) => {
                    let texts = texts.iter().cloned();
                    RestrictedExpression::new_set(texts.map(RestrictedExpression::new_string))
                }
                Value::Record(attributes) => {
                    RestrictedExpression::new_record(attributes.expressions()?)?
                }
            };
            Ok((attribute.as_str().to_owned(), expression))
        });
        pairs.collect()
    }
}

/// Writes a text after its length.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Eight bytes, so that no length is cut.
    out.extend((text.len() as u64).to_be_bytes());
    out.extend(text.as_bytes());
}

/// Writes a text that may be absent.
pub(super) fn write_optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => {
            out.push(1);
            write_text(text, out);
        }
        None => out.push(0),
    }
}
