//! A cursor over simd-json's tape: reads only what is asked for.
//!
//! The tape is one flat list of nodes; an object or array node says how many
//! nodes follow it, so what nobody needs is stepped over without being looked
//! at. Nothing here allocates, and nothing here fails: a value of another type
//! than expected is simply not there, because in CloudTrail any field may be
//! missing or of another type.

use simd_json::{Node, StaticNode};

/// One value on the tape: its own node first, its children after it.
#[derive(Clone, Copy)]
pub struct Value<'t, 'a>(&'t [Node<'a>]);

impl<'t, 'a> Value<'t, 'a> {
    /// The root of a tape.
    pub fn root(tape: &'t simd_json::Tape<'a>) -> Value<'t, 'a> {
        Value(&tape.0)
    }

    /// The text of a string that is not empty; an empty one says as little as none.
    #[inline]
    pub fn text(self) -> Option<&'a str> {
        match self.0.first() {
            Some(Node::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The text, also where it is the only item of an array: eventVersion 1.03
    /// wraps request parameters so.
    pub fn text_or_single(self) -> Option<&'a str> {
        match self.0 {
            [Node::Array { len: 1, .. }, Node::String(text), ..] if !text.is_empty() => Some(text),
            _ => self.text(),
        }
    }

    /// A byte count: an integer, or a float such as `1462.0`, or either as text.
    pub fn integer(self) -> Option<i64> {
        match self.0.first()? {
            Node::Static(StaticNode::I64(n)) => Some(*n),
            Node::Static(StaticNode::U64(n)) => i64::try_from(*n).ok(),
            Node::Static(StaticNode::F64(n)) => whole(*n),
            Node::String(text) => text
                .parse::<i64>()
                .ok()
                .or_else(|| text.parse::<f64>().ok().and_then(whole)),
            _ => None,
        }
    }

    pub fn is_object(self) -> bool {
        matches!(self.0.first(), Some(Node::Object { .. }))
    }

    pub fn is_array(self) -> bool {
        matches!(self.0.first(), Some(Node::Array { .. }))
    }

    /// The members of an object; none for any other value.
    #[inline]
    pub fn members(self) -> Members<'t, 'a> {
        match self.0.split_first() {
            Some((Node::Object { .. }, rest)) => Members(rest),
            _ => Members(&[]),
        }
    }

    /// The items of an array; none for any other value.
    #[inline]
    pub fn items(self) -> Items<'t, 'a> {
        match self.0.split_first() {
            Some((Node::Array { .. }, rest)) => Items(rest),
            _ => Items(&[]),
        }
    }

    /// The member of that name; the last one if there are several.
    pub fn get(self, name: &str) -> Option<Value<'t, 'a>> {
        self.members()
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .last()
    }

    /// Writes the value as canonical JSON: no blanks, members sorted by name.
    pub fn write_canonical(self, out: &mut String) {
        match self.0.first() {
            Some(Node::Object { .. }) => {
                let mut members: Vec<_> = self.members().collect();
                members.sort_by(|a, b| a.0.cmp(b.0));
                out.push('{');
                for (i, (key, value)) in members.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write_canonical(out);
                }
                out.push('}');
            }
            Some(Node::Array { .. }) => {
                out.push('[');
                for (i, item) in self.items().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_canonical(out);
                }
                out.push(']');
            }
            Some(Node::String(text)) => write_string(text, out),
            Some(Node::Static(StaticNode::I64(n))) => out.push_str(&n.to_string()),
            Some(Node::Static(StaticNode::U64(n))) => out.push_str(&n.to_string()),
            Some(Node::Static(StaticNode::F64(n))) => {
                out.push_str(&serde_json::Value::from(*n).to_string());
            }
            Some(Node::Static(StaticNode::Bool(b))) => {
                out.push_str(if *b { "true" } else { "false" });
            }
            Some(Node::Static(StaticNode::Null)) | None => out.push_str("null"),
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// A float as the integer it stands for, if it stands for one.
pub(super) fn whole(n: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked, and a count has no fraction"
    )]
    (n.is_finite() && n.abs() < 9.0e15).then_some(n as i64)
}

/// Nodes that the value at the front takes up.
#[inline]
fn width(nodes: &[Node<'_>]) -> usize {
    match nodes.first() {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => *count + 1,
        _ => 1,
    }
}

/// Iterates over the members of an object, in the order of the record.
pub struct Members<'t, 'a>(&'t [Node<'a>]);

impl<'t, 'a> Iterator for Members<'t, 'a> {
    type Item = (&'a str, Value<'t, 'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (Node::String(key), rest) = self.0.split_first()? else {
            return None;
        };
        let (value, rest) = rest.split_at_checked(width(rest))?;
        self.0 = rest;
        Some((key, Value(value)))
    }
}

/// Iterates over the items of an array.
pub struct Items<'t, 'a>(&'t [Node<'a>]);

impl<'t, 'a> Iterator for Items<'t, 'a> {
    type Item = Value<'t, 'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (value, rest) = self.0.split_at_checked(width(self.0))?;
        self.0 = rest;
        Some(Value(value))
    }
}
