//! A page of named values: names at the left, long sentences broken.

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
        self.0.push_str(text.to_string().trim_end());
        self.0.push('\n');
    }

    pub fn section(&mut self, title: &str) {
        self.line(format_args!(""));
        self.line(format_args!("{title}"));
    }

    /// A named value, broken into lines where it is a long sentence.
    pub fn say(&mut self, name: &str, value: &str) {
        let room = WIDTH.saturating_sub(NAME + 3);
        let mut name = name;
        let mut line = String::new();
        for word in value.split(' ') {
            if !line.is_empty() && line.len() + 1 + word.len() > room {
                self.line(format_args!("  {name:<NAME$} {line}"));
                name = "";
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(format_args!("  {name:<NAME$} {line}"));
    }

    /// The parts that are known, with a comma between them; nothing for none.
    pub fn parts(&mut self, name: &str, parts: &[Option<String>]) {
        let known: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
        if !known.is_empty() {
            self.say(name, &known.join(", "));
        }
    }
}

/// The values with commas between them, the first of many.
pub fn listed(values: &[String]) -> String {
    let shown: Vec<&str> = values.iter().take(LISTED_MAX).map(String::as_str).collect();
    match values.len().checked_sub(LISTED_MAX) {
        Some(rest) if rest > 0 => format!("{} and {rest} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}
