//! A page of named values: names at the left, long sentences broken.
//!
//! INVARIANT (text stays text): whoever made a request chose its user agent and
//! key, so nothing on the page can steer a terminal or reorder a line.

/// Width of the names at the left.
pub const NAME: usize = 13;
/// Where long sentences are broken.
const WIDTH: usize = 100;
/// Values of one list that are shown.
const LISTED_MAX: usize = 12;

/// The text so far.
#[derive(Default)]
pub struct Page(String);

impl Page {
    pub fn into_text(self) -> String {
        self.0
    }

    pub fn line(&mut self, text: std::fmt::Arguments<'_>) {
        for c in text.to_string().trim_end().chars() {
            if c.is_control() || reorders(c) {
                self.0.extend(c.escape_unicode());
            } else {
                self.0.push(c);
            }
        }
        self.0.push('\n');
    }

    pub fn section(&mut self, title: &str) {
        self.line(format_args!(""));
        self.line(format_args!("{title}"));
    }

    /// A named value, broken into lines where it is a long sentence.
    pub fn say(&mut self, name: &str, value: &str) {
        self.wrapped(&format!("  {name:<NAME$} "), value);
    }

    /// A value behind what leads to it; its further lines are indented as far.
    pub fn wrapped(&mut self, lead: &str, value: &str) {
        let indent = lead.chars().count();
        let room = WIDTH.saturating_sub(indent);
        let mut lead = lead;
        let indent = " ".repeat(indent);
        let mut line = String::new();
        for word in value.split(' ') {
            let width = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && width > room {
                self.line(format_args!("{lead}{line}"));
                lead = &indent;
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(format_args!("{lead}{line}"));
    }

    /// The parts that are known, with a comma between them; nothing for none.
    pub fn parts(&mut self, name: &str, parts: &[Option<String>]) {
        let known: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
        if !known.is_empty() {
            self.say(name, &known.join(", "));
        }
    }
}

/// Whether the character changes the direction in which text is shown.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The values with commas between them, the first of many.
pub fn listed(values: &[String]) -> String {
    let shown: Vec<&str> = values.iter().take(LISTED_MAX).map(String::as_str).collect();
    match values.len().checked_sub(LISTED_MAX) {
        Some(rest) if rest > 0 => format!("{} and {rest} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn what_a_client_wrote_cannot_steer_the_terminal() {
        let mut page = Page::default();
        page.say("client", "a\u{1b}[2Jb\u{202e}c\nd");
        assert_eq!(
            page.into_text(),
            "  client        a\\u{1b}[2Jb\\u{202e}c\\u{a}d\n"
        );
    }
}
