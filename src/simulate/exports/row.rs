//! Writes one row as a JSON object, member by member; unknown is left out.

use crate::simulate::text::{iso_millis, put, quoted};

pub(super) struct Row(String);

impl Row {
    pub(super) fn new() -> Row {
        Row(String::from("{"))
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        put(&mut self.0, format_args!("\"{name}\":"));
    }

    pub(super) fn text(mut self, name: &str, text: &str) -> Row {
        self.name(name);
        put(&mut self.0, format_args!("\"{}\"", quoted(text)));
        self
    }

    pub(super) fn maybe(self, name: &str, text: Option<&str>) -> Row {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    pub(super) fn long(mut self, name: &str, number: i64) -> Row {
        self.name(name);
        put(&mut self.0, format_args!("{number}"));
        self
    }

    pub(super) fn bool(mut self, name: &str, value: bool) -> Row {
        self.name(name);
        put(&mut self.0, format_args!("{value}"));
        self
    }

    /// A timestamp, from milliseconds.
    pub(super) fn time(self, name: &str, millis: i64) -> Row {
        let text = iso_millis(millis);
        self.text(name, &text)
    }

    pub(super) fn texts(mut self, name: &str, texts: &[&str]) -> Row {
        self.name(name);
        self.0.push('[');
        for (n, text) in texts.iter().enumerate() {
            if n > 0 {
                self.0.push(',');
            }
            put(&mut self.0, format_args!("\"{}\"", quoted(text)));
        }
        self.0.push(']');
        self
    }

    /// A struct, a map or another value that is JSON already.
    pub(super) fn json(mut self, name: &str, json: &str) -> Row {
        self.name(name);
        self.0.push_str(json);
        self
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
