//! Results as GitHub-flavoured Markdown, to be read in a pull request.

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, context};

use super::audit::AuditDocument;
use super::content::phrase::printable;
use super::content::{AuditContent, CapacityContent, ComparisonContent, Page, ProfileContent, RunContent};
use super::{NamedComparison, Numbers, Report};
use crate::profile::{Profile, Sort};
use crate::replay::Run;
use crate::replay::capacity::Capacity;

const TEMPLATES: [(&str, &str); 7] = [
    ("parts.md", include_str!("templates/parts.md")),
    ("audit.md", include_str!("templates/audit.md")),
    ("run.md", include_str!("templates/run.md")),
    ("capacity.md", include_str!("templates/capacity.md")),
    ("comparison.md", include_str!("templates/comparison.md")),
    ("profile.md", include_str!("templates/profile.md")),
    ("report.md", include_str!("templates/report.md")),
];

/// Writes an audit.
pub fn audit(audit: &AuditDocument) -> String {
    rendered("audit.md", context! { audit => Value::from(Serde(&AuditContent::of(audit))), level => "#" })
}

/// Writes a run.
pub fn run(run: &Run) -> String {
    rendered("run.md", context! { run => Value::from(Serde(&RunContent::of(run))), level => "#" })
}

/// Writes a capacity.
pub fn capacity(capacity: &Capacity) -> String {
    rendered("capacity.md", context! { capacity => Value::from(Serde(&CapacityContent::of(capacity))), level => "#" })
}

/// Writes a profile with its first statements.
pub fn profile(profile: &Profile, top: usize, sort: Sort) -> String {
    rendered("profile.md", context! { profile => Value::from(Serde(&ProfileContent::of(profile, top, sort))), level => "#" })
}

/// Writes the profile of a run by itself; nothing when it has none.
pub fn profile_of(run: &Run) -> String {
    let profile = RunContent::of(run).profile;
    profile.map_or_else(String::new, |profile| rendered("profile.md", context! { profile => Value::from(Serde(&profile)), level => "##" }))
}

/// Writes a comparison with its numbers.
pub fn comparison(named: &NamedComparison, numbers: &Numbers) -> String {
    let mut sentences = vec![&numbers.faster.sentence, &numbers.saved.sentence, &numbers.cost.sentence];
    sentences.extend(&numbers.slower);
    let content = ComparisonContent::of(&named.name, &named.comparison);
    rendered(
        "comparison.md",
        context! { comparison => Value::from(Serde(&content)), sentences => Value::from(Serde(&sentences)), level => "#" },
    )
}

/// Writes a whole report.
pub fn report(report: &Report) -> String {
    rendered("report.md", context! { page => Value::from(Serde(&Page::of(report))) })
}

/// Renders a template and takes out the empty lines its control tags leave behind, but not those within code.
fn rendered(name: &str, context: Value) -> String {
    let text = environment().get_template(name).and_then(|template| template.render(context));
    let text = text.expect("the Markdown templates know every field of their content");
    let mut tidy = String::with_capacity(text.len());
    let mut fence: Option<String> = None;
    for line in text.trim().lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if line == open => fence = None,
            None if ticks.len() >= 3 => fence = Some(ticks),
            _ => {}
        }
        if !line.is_empty() || fence.is_some() || !tidy.ends_with("\n\n") {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy
}

/// Every value is escaped as running text, unless a filter has made it code.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
    // Not `None`, or what a macro returns would be taken for unescaped text and escaped twice.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("markdown".into()));
    environment.set_formatter(|out, _, value| {
        let text = value.to_string();
        let written = if value.is_safe() { out.write_str(&text) } else { out.write_str(&escaped(&text)) };
        written.map_err(Error::from)
    });
    environment.add_filter("code", |text: String| Value::from_safe_string(code(&text)));
    environment.add_filter("code_cell", |text: String| Value::from_safe_string(code(&text).replace('|', "\\|")));
    environment.add_filter("fence", |text: String| Value::from_safe_string(fence(&text)));
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).expect("the Markdown templates are well formed");
    }
    environment
}

/// Returns running text that Markdown shows as it is: no markup, no table cell ended, nobody mentioned.
fn escaped(text: &str) -> String {
    let line = one_line(text);
    let mut safe = String::with_capacity(line.len());
    let mut letters = line.chars().peekable();
    let mut before = ' ';
    while let Some(c) = letters.next() {
        // Inside a word an underscore marks nothing up, and most names have one.
        let within_word = before.is_alphanumeric() && letters.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // GitHub looks for mentions in the finished text; a space of no width keeps people from being called.
            '@' => safe.push_str("@&#8203;"),
            '_' if within_word => safe.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
        before = c;
    }
    safe
}

/// Returns a code span, fenced by more backticks than the text holds.
///
/// In a table a bar needs a backslash even here, and nowhere else may have one; hence the two filters.
fn code(text: &str) -> String {
    let line = one_line(text);
    if line.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&line) + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{line}{pad}{fence}")
}

/// Returns a block of SQL, fenced by more backticks than it holds.
fn fence(text: &str) -> String {
    let text = printable(text);
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    let mut block = String::new();
    let _ = write!(block, "{fence}sql\n{}\n{fence}", text.trim_end());
    block
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn an_audit_in_markdown() {
        insta::assert_snapshot!(audit(&sample::audit()));
    }

    #[test]
    fn an_audit_that_saw_nothing_in_markdown() {
        insta::assert_snapshot!(audit(&sample::empty_audit()));
    }

    #[test]
    fn a_run_in_markdown() {
        insta::assert_snapshot!(run(&sample::run_before()));
    }

    #[test]
    fn a_comparison_in_markdown() {
        let named = NamedComparison { name: "leads".into(), comparison: sample::comparison() };
        let numbers = Numbers::of(&named.comparison, None, &sample::audit().proposals);
        insta::assert_snapshot!(comparison(&named, &numbers));
    }

    #[test]
    fn a_whole_report_in_markdown() {
        insta::assert_snapshot!(report(&sample::report()));
        assert_eq!(report(&Report::new("Empty")), "# Empty\n\nThere is nothing to report yet.\n");
    }

    #[test]
    fn a_hostile_name_neither_marks_up_nor_ends_a_cell() {
        assert_eq!(escaped("a|b <script> *x* _y_ a_b [l](u) @dba"), r"a\|b &lt;script&gt; \*x\* \_y\_ a_b \[l\](u) @&#8203;dba");
        assert_eq!(code("a|b`c"), "``a|b`c``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(fence("x\n```\ny"), "````sql\nx\n```\ny\n````");
        assert_eq!(escaped("a\n# b"), r"a \# b");
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_heading() {
        let text = report(&sample::report());
        let mut width = None;
        let mut rows = 0;
        for line in text.lines() {
            if !line.starts_with('|') {
                width = None;
                continue;
            }
            let cells = line.replace("\\|", "").matches('|').count();
            assert_eq!(cells, *width.get_or_insert(cells), "{line}");
            rows += 1;
        }
        assert!(rows > 20, "{rows} rows of tables");
    }
}
