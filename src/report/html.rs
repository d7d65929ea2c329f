//! One self-contained HTML page: no script, nothing fetched, light and dark, for a telephone and a desk.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};

use super::content::Page;
use super::content::phrase::printable;
use super::{Report, svg};

const PAGE: &str = include_str!("templates/report.html");
const PARTS: &str = include_str!("templates/parts.html");
const STYLE: &str = include_str!("templates/style.css");

/// Writes a report as one HTML page.
///
/// # Panics
///
/// When a template of this crate is broken, which the tests of this module would have shown.
pub fn page(report: &Report) -> String {
    let comparisons = report.comparisons.iter().enumerate().map(|(number, named)| {
        context! {
            latency => drawing(svg::latency(&named.comparison, &format!("latency-{number}"))),
            throughput => drawing(svg::throughput(report, &named.name, &format!("throughput-{number}"))),
        }
    });
    let charts: Vec<Value> = comparisons.collect();
    let sizes = drawing(report.audit.as_ref().and_then(|audit| svg::sizes(audit, "sizes")));
    let context = context! {
        page => Value::from(Serde(&Page::of(report))),
        charts => Value::from(charts),
        sizes,
        style => Value::from_safe_string(STYLE.to_owned()),
        schema_version => report.schema_version,
    };
    let text = environment().get_template("report.html").and_then(|template| template.render(context));
    printable(&text.expect("the page's templates know every field of their content"))
}

/// A drawing was escaped where it was made.
fn drawing(svg: Option<String>) -> Value {
    svg.map_or_else(|| Value::from(()), Value::from_safe_string)
}

/// Names end with `.html`, so that every value is escaped unless it is marked as safe.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
    for (name, source) in [("report.html", PAGE), ("parts.html", PARTS)] {
        environment.add_template(name, source).expect("the page's templates are well formed");
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_whole_report_as_a_page() {
        let page = page(&sample::report());
        let body = page.split("<body>").nth(1).unwrap();
        insta::assert_snapshot!(body);
    }

    #[test]
    fn a_report_of_nothing_is_still_a_page() {
        let mut report = Report::new("Empty");
        assert!(page(&report).contains("There is nothing to report yet."));
        report.audit = Some(sample::empty_audit());
        report.runs = vec![sample::empty_run()];
        report.comparisons = vec![super::super::NamedComparison { name: "none".into(), comparison: sample::empty_comparison() }];
        let page = page(&report);
        assert!(page.contains("No call was started.") && page.trim_end().ends_with("</html>"));
    }

    #[test]
    fn hostile_names_are_text() {
        let mut report = sample::report();
        report.title = sample::HOSTILE.into();
        report.runs[0].name = sample::HOSTILE.into();
        report.caveats.push(sample::HOSTILE.into());
        let page = page(&report);
        assert!(!page.contains("<script"), "markup from a name got through");
        assert!(!page.contains('\u{1b}'));
        assert!(page.matches("&lt;script&gt;").count() > 5);
    }

    #[test]
    fn the_page_fetches_nothing() {
        let page = page(&sample::report());
        for word in ["http://", "https://", "src=", "@import", "url(", "<link", "<script"] {
            assert!(!page.contains(word), "the page holds {word}");
        }
    }

    #[test]
    fn every_drawing_has_a_title_and_every_table_a_caption() {
        let page = page(&sample::report());
        assert_eq!(page.matches("<svg class=\"chart\"").count(), 3);
        assert_eq!(page.matches("<svg class=\"chart\"").count(), page.matches("</desc>").count());
        assert_eq!(page.matches("<table").count(), page.matches("<caption>").count());
        let mut ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "an id is used twice");
    }
}
