//! Charts as SVG: text that a page can hold, coloured by the page's own style.
//!
//! Widths are shares of the drawing and type sizes are pixels, so one drawing suits a telephone and a desk: bars shrink,
//! words do not. Colours come from the classes `before`, `after`, `grid`, `axis` and `name`.

use std::fmt::Write as _;

use super::content::change::{labels, metric_of};
use super::content::phrase::{number, one_line, printable};
use super::{AuditDocument, Report};
use crate::diff::Diff;
use crate::replay::Run;
use crate::stats::Comparison;
use crate::units::human_ms;

/// The share of the width that bars may take; the rest is for the number behind the longest.
const BAR_SHARE: f64 = 76.0;

/// The most bars of a chart; a longer one is a table, and there is one below it.
const BARS_MAX: usize = 20;

/// Returns the 95th percentile of each statement before and after as paired bars on a logarithmic axis.
///
/// `None` when no statement has the percentile on either side. `id` is unique on the page.
pub fn latency(comparison: &Comparison, id: &str) -> Option<String> {
    let measured = labels(comparison).into_iter().filter_map(|label| {
        let metric = metric_of(comparison, label, "p95").filter(|metric| metric.unit == "us")?;
        let states = Diff { before: metric.before, after: metric.after };
        (states.before.is_some() || states.after.is_some()).then_some((label, states))
    });
    let pairs: Vec<(&str, Diff<Option<f64>>)> = measured.take(BARS_MAX).collect();
    let values = || pairs.iter().flat_map(|(_, states)| [states.before, states.after]).flatten();
    let low = decade(values().fold(f64::INFINITY, f64::min).max(1.0));
    let high = values().fold(low * 10.0, f64::max);
    if pairs.is_empty() {
        return None;
    }
    // Bars start at the decade below the smallest value: a logarithmic axis has no zero.
    let share = |value: f64| ((value.max(low) / low).log10() / (high / low).log10()).clamp(0.0, 1.0) * BAR_SHARE;
    let height = pairs.len() * 64 + 34;
    let told: Vec<String> =
        pairs.iter().map(|(label, states)| format!("{label}: {} before, {} after", micros(states.before), micros(states.after))).collect();
    let mut svg =
        open(id, height, "Response time (p95) by statement, before and after", &format!("Logarithmic axis. {}.", told.join("; ")));
    let mut tick = low;
    while tick <= high * 1.001 {
        let x = share(tick);
        let _ = write!(svg, r#"<line class="grid" x1="{x:.2}%" x2="{x:.2}%" y1="0" y2="{}"/>"#, height - 26);
        let anchor = if x < 3.0 { "start" } else { "middle" };
        let _ = write!(svg, r#"<text class="axis" x="{x:.2}%" y="{}" text-anchor="{anchor}">{}</text>"#, height - 8, micros(Some(tick)));
        tick *= 10.0;
    }
    for (row, (label, states)) in pairs.iter().enumerate() {
        let top = row * 64;
        name(&mut svg, label, top + 16);
        for (value, class, y) in [(states.before, "before", top + 24), (states.after, "after", top + 41)] {
            bar(&mut svg, class, y, value.map(share), &micros(value));
        }
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// Returns the expected sizes of the indexes a document proposes, as bars from zero; `None` when there are none.
pub fn sizes(audit: &AuditDocument, id: &str) -> Option<String> {
    let proposals: Vec<_> = audit.proposals.iter().filter(|proposal| proposal.size_bytes.0 > 0).take(BARS_MAX).collect();
    let high = proposals.iter().map(|proposal| proposal.size_bytes.0).max()? as f64;
    let verb = |proposal: &super::audit::ProposalEntry| match proposal.action {
        crate::advisor::Action::Create => ("after", "new"),
        crate::advisor::Action::Drop => ("freed", "freed"),
        crate::advisor::Action::Reindex => ("before", "rebuilt"),
    };
    let told: Vec<String> =
        proposals.iter().map(|proposal| format!("{}: {}, {}", proposal.name, proposal.size_bytes, verb(proposal).1)).collect();
    let mut svg = open(id, proposals.len() * 46 + 4, "Index sizes", &format!("{}.", told.join("; ")));
    for (row, proposal) in proposals.iter().enumerate() {
        let (class, word) = verb(proposal);
        name(&mut svg, &proposal.name, row * 46 + 16);
        let share = proposal.size_bytes.0 as f64 / high * BAR_SHARE;
        bar(&mut svg, class, row * 46 + 24, Some(share), &format!("{} {word}", proposal.size_bytes));
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// Returns finished calls a second over the time of a workload's runs before and after, as two lines on one axis from zero.
///
/// `None` when neither has two seconds to connect.
pub fn throughput(report: &Report, name: &str, id: &str) -> Option<String> {
    let sides = [("before", report.run_of(name, "before")), ("after", report.run_of(name, "after"))];
    let sides: Vec<(&str, &Run)> = sides.into_iter().filter_map(|(side, run)| Some((side, run?))).collect();
    let points = || sides.iter().flat_map(|(_, run)| &run.series);
    let high = round_up(points().map(|point| point.count).max()? as f64);
    let last = points().map(|point| point.second).max().filter(|last| *last > 0)?;
    let told: Vec<String> =
        sides.iter().map(|(side, run)| format!("{side}: {} calls/s over the whole run", number(run.totals.throughput))).collect();
    let mut svg = open(id, 232, "Throughput over time, before and after", &format!("{}.", told.join("; ")));
    for step in 0..=4 {
        let y = 190.0 - f64::from(step) * 43.0;
        let value = number(high * f64::from(step) / 4.0);
        let _ = write!(svg, r#"<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>"#);
        // The line of a slow side lies on the zero line; a label there would be struck out.
        if step > 0 {
            let _ = write!(svg, r#"<text class="axis" x="0" y="{}">{value}</text>"#, y - 4.0);
        }
    }
    // A drawing inside stretches to the width there is, so points need no pixels; strokes keep their width.
    let _ = write!(svg, r#"<svg x="0" y="18" width="100%" height="172" viewBox="0 0 1000 172" preserveAspectRatio="none">"#);
    for (side, run) in &sides {
        let mut path = String::new();
        for point in &run.series {
            let x = point.second as f64 / last as f64 * 1000.0;
            let _ = write!(path, "{x:.1},{:.1} ", 172.0 - point.count as f64 / high * 172.0);
        }
        let _ = write!(svg, r#"<polyline class="line {side}" points="{}"/>"#, path.trim_end());
    }
    let _ = write!(
        svg,
        r#"</svg><text class="axis" x="0" y="210">0 s</text><text class="axis" x="100%" y="210" text-anchor="end">{last} s</text>"#
    );
    svg.push_str("</svg>");
    Some(svg)
}

fn open(id: &str, height: usize, title: &str, description: &str) -> String {
    format!(
        r#"<svg class="chart" role="img" width="100%" height="{height}" aria-labelledby="{id}-title {id}-desc"><title id="{id}-title">{}</title><desc id="{id}-desc">{}</desc>"#,
        escaped(title),
        escaped(description)
    )
}

fn name(svg: &mut String, text: &str, y: usize) {
    // 44 characters fit a telephone at this size; the description has the whole name.
    let _ = write!(svg, r#"<text class="name" x="0" y="{y}">{}</text>"#, escaped(&one_line(text, 44)));
}

fn bar(svg: &mut String, class: &str, y: usize, share: Option<f64>, text: &str) {
    let width = share.unwrap_or(0.0);
    if share.is_some() {
        let _ = write!(svg, r#"<rect class="{class}" x="0" y="{y}" width="{:.2}%" height="14" rx="2"/>"#, width.max(0.4));
    }
    let _ = write!(svg, r#"<text class="value" x="{:.2}%" dx="6" y="{}">{}</text>"#, width.max(0.4), y + 11, escaped(text));
}

fn micros(duration_us: Option<f64>) -> String {
    duration_us.map_or_else(|| "—".to_owned(), |us| human_ms(us / 1000.0))
}

/// Returns the power of ten at or below a positive value.
fn decade(value: f64) -> f64 {
    10.0_f64.powf(value.log10().floor())
}

/// Returns the next of 1, 2, 4 or 8 times a power of ten, so that quarters of the axis are round numbers.
fn round_up(value: f64) -> f64 {
    let decade = decade(value.max(1.0));
    [1.0, 2.0, 4.0, 8.0].map(|step| step * decade).into_iter().find(|top| *top >= value).unwrap_or(10.0 * decade)
}

/// Returns the text as XML may hold it, between tags and in attributes.
fn escaped(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn paired_bars_of_the_sample() {
        insta::assert_snapshot!(latency(&sample::comparison(), "p").unwrap().replace("><", ">\n<"));
    }

    #[test]
    fn bars_keep_the_order_of_the_values() {
        let svg = latency(&sample::comparison(), "p").unwrap();
        let widths: Vec<f64> = svg
            .split("<rect ")
            .skip(1)
            .map(|bar| {
                let width = bar.split("width=\"").nth(1).unwrap().split('%').next().unwrap();
                width.parse().unwrap()
            })
            .collect();
        // lead list 80 ms, 1 ms; contact by email 45 ms, 3.6 ms; contact insert 0.4 ms, 0.52 ms.
        assert!(widths[0] > widths[2] && widths[2] > widths[3] && widths[3] > widths[1] && widths[1] > widths[5] && widths[5] > widths[4]);
        assert!(widths.iter().all(|width| *width > 0.0 && *width <= BAR_SHARE));
    }

    #[test]
    fn nothing_measured_makes_no_chart() {
        assert_eq!(latency(&sample::empty_comparison(), "p"), None);
        assert_eq!(sizes(&sample::empty_audit(), "s"), None);
        assert_eq!(throughput(&Report::new("none"), "leads", "t"), None);
    }

    #[test]
    fn names_cannot_leave_their_text() {
        let mut comparison = sample::comparison();
        for metric in &mut comparison.metrics {
            if metric.label == "lead list" {
                metric.label = sample::HOSTILE.into();
            }
        }
        let svg = latency(&comparison, "p").unwrap();
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;") && !svg.contains('\u{1b}'));
    }

    #[test]
    fn axes_end_on_round_numbers() {
        assert_eq!([0.0, 1.0, 9.0, 183.0, 2_900.0, 8_100.0].map(round_up), [1.0, 1.0, 10.0, 200.0, 4_000.0, 10_000.0]);
        assert_eq!([1.0, 9.99, 10.0, 400.0].map(decade), [1.0, 1.0, 10.0, 100.0]);
    }
}
