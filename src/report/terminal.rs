//! Results as text for a terminal.

use comfy_table::presets::{NOTHING, UTF8_HORIZONTAL_ONLY};
use comfy_table::{Attribute, Cell as TableCell, CellAlignment, Color, ContentArrangement, Row, Table};

use super::audit::AuditDocument;
use super::content::audit::ProposalContent;
use super::content::phrase::{capital, printable};
use super::content::{AuditContent, CapacityContent, Cell, ComparisonContent, Fact, Grid, Page, ProfileContent, RunContent, Tone};
use super::{NamedComparison, Numbers, Report};
use crate::advisor::Action;
use crate::catalog::Hidden;
use crate::findings::Finding;
use crate::findings::statement_text::shortened;
use crate::profile::{Profile, Sort};
use crate::replay::Run;
use crate::replay::capacity::Capacity;

/// Columns where the width is not known.
const WIDTH: u16 = 120;

/// The narrowest a table is laid out for; below it lines wrap at the terminal's own edge.
const WIDTH_MIN: u16 = 40;

/// Refused indexes listed for each reason: enough to see what kind they are. The other formats list all.
const REFUSED_SHOWN: usize = 8;

/// Lines of SQL shown for one proposal; a partitioned table has two for each partition.
const SQL_SHOWN: usize = 8;

/// How text is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// The columns there are; 120 when not known.
    pub width: Option<u16>,
    /// Whether to colour.
    pub colour: bool,
}

/// Writes an audit: coverage first, then findings, proposals, what was refused, what could not be seen.
pub fn audit(audit: &AuditDocument, layout: Layout) -> String {
    let mut page = Writer::new(layout);
    write_audit(&mut page, &AuditContent::of(audit));
    page.text
}

/// Writes a run: what is doubtful first, then totals and statements.
pub fn run(run: &Run, layout: Layout) -> String {
    let mut page = Writer::new(layout);
    write_run(&mut page, &RunContent::of(run));
    page.text
}

/// Writes a capacity: the answer first, then what limits, then how it was found.
pub fn capacity(capacity: &Capacity, layout: Layout) -> String {
    let mut page = Writer::new(layout);
    let content = CapacityContent::of(capacity);
    page.heading(&content.title, Tone::Plain);
    for warning in &content.warnings {
        page.line(&format!("! {warning}"), Tone::Bad, false);
    }
    page.blank();
    page.facts(&content.facts, 0);
    page.section(&content.steps);
    page.section(&content.sweep);
    page.list("Caveats", &content.caveats);
    page.text
}

/// Writes a profile: what is doubtful first, then the database, its waits, its first statements, and what changed.
pub fn profile(profile: &Profile, top: usize, sort: Sort, layout: Layout) -> String {
    let mut page = Writer::new(layout);
    write_profile(&mut page, &ProfileContent::of(profile, top, sort));
    page.text
}

/// Writes the profile of a run by itself; nothing when it has none.
pub fn profile_of(run: &Run, layout: Layout) -> String {
    let mut page = Writer::new(layout);
    if let Some(profile) = &RunContent::of(run).profile {
        write_profile(&mut page, profile);
    }
    page.text
}

/// Writes a comparison: verdict and numbers first, caveats last.
pub fn comparison(named: &NamedComparison, numbers: &Numbers, layout: Layout) -> String {
    let mut page = Writer::new(layout);
    write_comparison(&mut page, &ComparisonContent::of(&named.name, &named.comparison));
    for number in [&numbers.faster, &numbers.saved, &numbers.cost] {
        page.bullet(&number.sentence);
    }
    page.bullets(&numbers.slower);
    page.list("Caveats", &named.comparison.caveats);
    page.text
}

/// Writes a whole report.
pub fn report(report: &Report, layout: Layout) -> String {
    let content = Page::of(report);
    let mut page = Writer::new(layout);
    page.heading(&content.title, Tone::Plain);
    page.paragraph(&content.headline);
    page.bullets(&content.tiles.iter().map(|tile| tile.sentence.clone()).collect::<Vec<_>>());
    page.bullets(&content.slower);
    page.section(&content.changed);
    for comparison in &content.comparisons {
        write_comparison(&mut page, comparison);
        page.list("Caveats", &comparison.caveats);
    }
    if let Some(audit) = &content.audit {
        write_audit(&mut page, audit);
    }
    for run in &content.runs {
        write_run(&mut page, run);
    }
    page.list("Caveats of the report", &content.caveats);
    page.text
}

/// Writes what a report says in one screen: the findings, the proposals, and the statements whose plan changed.
pub fn summary(report: &Report, layout: Layout) -> String {
    let content = Page::of(report);
    let mut page = Writer::new(layout);
    page.heading(&content.title, Tone::Plain);
    if let Some(audit) = &report.audit {
        let findings = audit.findings.iter().map(|finding| format!("{}  {}", finding.rule, subject(finding)));
        page.list("Found", &findings.collect::<Vec<_>>());
        let (drops, rest): (Vec<_>, Vec<_>) = audit.proposals.iter().partition(|proposal| proposal.action == Action::Drop);
        page.list("Applied", &rest.iter().filter_map(|proposal| proposal.sql.clone()).collect::<Vec<_>>());
        page.list("Proposed to be dropped later", &drops.iter().map(|proposal| proposal.name.clone()).collect::<Vec<_>>());
    }
    page.section(&content.changed);
    page.list("Slower", &content.slower);
    page.list("Caveats", &content.caveats);
    page.text
}

/// Names what a finding is about: a statement by its text, since its number says nothing to a person.
fn subject(finding: &Finding) -> String {
    let text = finding.evidence.iter().find(|evidence| evidence.name == "query").and_then(|evidence| evidence.value.as_str());
    text.map_or_else(|| finding.object.name.clone(), |text| shortened(text, 80))
}

fn write_audit(page: &mut Writer, audit: &AuditContent) {
    page.paragraph(&audit.coverage);
    page.paragraph(&audit.server);
    page.paragraph(&audit.model);
    if let Some(hidden) = &audit.source {
        page.hidden(hidden);
    }
    if audit.groups.is_empty() {
        page.heading("No findings", Tone::Good);
    }
    for group in &audit.groups {
        page.heading(&capital(&group.title), if group.severity == "info" { Tone::Plain } else { Tone::Bad });
        for finding in &group.findings {
            page.bold(&format!("{}  {}", finding.rule, finding.object), 2);
            page.indented(&finding.message, 4);
            page.indented(&finding.help, 4);
            page.blank();
        }
    }
    page.heading(if audit.proposals.is_empty() { "No proposals" } else { "Proposals" }, Tone::Plain);
    write_proposals(page, &audit.proposals);
    if !audit.drops.is_empty() {
        page.heading("Indexes to drop (separate migration)", Tone::Plain);
        write_proposals(page, &audit.drops);
    }
    for group in &audit.refused {
        page.section_cut(group, REFUSED_SHOWN);
    }
    page.section(&audit.skipped);
    page.list("Not taken into account", &audit.caveats);
    page.section_cut(&audit.unmodelled, REFUSED_SHOWN);
    page.section(&audit.migrations);
    if !audit.hidden.is_empty() {
        page.heading("Not visible to this role", Tone::Plain);
        for hidden in &audit.hidden {
            page.hidden(hidden);
        }
    }
}

fn write_proposals(page: &mut Writer, proposals: &[ProposalContent]) {
    for (number, proposal) in proposals.iter().enumerate() {
        page.bold(&format!("{}. {}", number + 1, proposal.title), 0);
        page.blank();
        // Never wrapped: a statement is to be copied.
        let lines: Vec<&str> = proposal.sql.lines().collect();
        let shown = if lines.len() > SQL_SHOWN { SQL_SHOWN - 1 } else { lines.len() };
        for line in &lines[..shown] {
            page.line(&format!("   {line}"), Tone::Good, false);
        }
        if shown < lines.len() {
            page.line(&format!("   -- and {} more statements: --out writes them", lines.len() - shown), Tone::Muted, false);
        }
        page.blank();
        page.facts(&proposal.facts, 3);
        page.blank();
        page.grid(&proposal.statements);
        for risk in &proposal.risks {
            page.indented(&format!("Risk: {risk}"), 3);
        }
        page.blank();
    }
}

fn write_run(page: &mut Writer, run: &RunContent) {
    page.heading(&capital(&run.title), Tone::Plain);
    for warning in &run.warnings {
        page.line(&format!("! {warning}"), Tone::Bad, false);
    }
    page.blank();
    page.facts(&run.totals, 0);
    page.blank();
    page.grid(&run.statements);
    page.section(&run.fidelity);
    page.section(&run.thresholds);
    page.list("Caveats", &run.caveats);
    if let Some(profile) = &run.profile {
        write_profile(page, profile);
    }
}

fn write_profile(page: &mut Writer, profile: &ProfileContent) {
    page.heading(&profile.title, Tone::Plain);
    for warning in &profile.warnings {
        page.line(&format!("! {warning}"), Tone::Bad, false);
    }
    page.blank();
    page.facts(&profile.totals, 0);
    page.section(&profile.waits);
    page.section(&profile.statements);
    page.list("What the plans say", &profile.notes);
    if !profile.since.is_empty() {
        page.heading("Since the earlier profile", Tone::Plain);
        page.paragraph(&profile.since);
        page.blank();
        page.grid(&profile.changes);
    }
    page.list("Caveats", &profile.caveats);
}

fn write_comparison(page: &mut Writer, comparison: &ComparisonContent) {
    page.heading(&format!("{}: {}", comparison.title, comparison.verdict), comparison.tone);
    page.paragraph(&comparison.design);
    // What was counted before what was timed: it is next to noiseless.
    page.section(&comparison.exact);
    page.section(&comparison.totals);
    page.section(&comparison.statements);
}

/// Text under way, with the layout it is for.
struct Writer {
    text: String,
    width: u16,
    colour: bool,
}

impl Writer {
    fn new(layout: Layout) -> Self {
        Self { text: String::new(), width: layout.width.unwrap_or(WIDTH).max(WIDTH_MIN), colour: layout.colour }
    }

    /// Ends a block with one empty line, however many ends meet.
    fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn heading(&mut self, text: &str, tone: Tone) {
        self.blank();
        self.line(text, tone, true);
        self.blank();
    }

    fn line(&mut self, text: &str, tone: Tone, bold: bool) {
        let text = printable(text);
        let styled = if self.colour { styled(&text, tone, bold) } else { text };
        self.text.push_str(styled.trim_end());
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        self.indented(text, 0);
    }

    fn bold(&mut self, text: &str, indent: u16) {
        let cell = TableCell::new(printable(text));
        let cell = if self.colour { cell.add_attribute(Attribute::Bold) } else { cell };
        self.wrapped(vec![cell], indent);
    }

    fn indented(&mut self, text: &str, indent: u16) {
        if !text.is_empty() {
            self.wrapped(vec![TableCell::new(printable(text))], indent);
        }
    }

    fn bullet(&mut self, text: &str) {
        self.wrapped(vec![TableCell::new("-"), TableCell::new(printable(text))], 2);
    }

    fn bullets(&mut self, texts: &[String]) {
        for text in texts {
            self.bullet(text);
        }
    }

    fn list(&mut self, title: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.heading(title, Tone::Plain);
            self.bullets(texts);
        }
    }

    /// Wraps a text, behind a mark where there is one; a table without lines does it, since it knows how wide characters are.
    fn wrapped(&mut self, cells: Vec<TableCell>, indent: u16) {
        let mut table = self.table();
        table.load_style(NOTHING).add_row(Row::from(cells));
        for (column, left) in table.column_iter_mut().zip([indent, 1]) {
            column.set_padding((left, 0));
        }
        self.push(&table);
    }

    fn hidden(&mut self, hidden: &Hidden) {
        self.bullet(&format!("{}: {}", hidden.what, hidden.effect));
        if !hidden.remedy.is_empty() {
            self.line(&format!("      {}", hidden.remedy), Tone::Good, false);
        }
    }

    fn facts(&mut self, facts: &[Fact], indent: u16) {
        let mut table = self.table();
        table.load_style(NOTHING);
        for fact in facts {
            table.add_row([TableCell::new(printable(&fact.name)), TableCell::new(printable(&fact.value))]);
        }
        if let Some(first) = table.column_mut(0) {
            first.set_padding((indent, 2));
        }
        self.push(&table);
    }

    /// Writes a grid under its caption; nothing when it has no rows.
    fn section(&mut self, grid: &Grid) {
        if !grid.rows.is_empty() {
            self.heading(&grid.caption, Tone::Plain);
            self.grid(grid);
        }
    }

    /// Writes the first rows of a grid under its caption, and how many there are beside those.
    fn section_cut(&mut self, grid: &Grid, rows: usize) {
        // A single row left out would cost the line that says so.
        if grid.rows.len() <= rows + 1 {
            return self.section(grid);
        }
        let shown = Grid { rows: grid.rows[..rows].to_vec(), ..grid.clone() };
        self.section(&shown);
        self.indented(&format!("… and {} more: --format json lists all", grid.rows.len() - rows), 1);
        self.blank();
    }

    fn grid(&mut self, grid: &Grid) {
        if grid.rows.is_empty() {
            return;
        }
        let mut table = self.table();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.style_mut().top_border = comfy_table::LineStyle::none();
        table.set_header(Row::from(grid.columns.iter().map(|column| TableCell::new(printable(&column.title)))));
        for row in &grid.rows {
            table.add_row(Row::from(row.iter().map(|cell| self.cell(cell))));
        }
        // Dividing lines are for rows of several lines; elsewhere they only double the height.
        if grid.rows.iter().flatten().all(|cell| cell.note.is_empty()) {
            table.style_mut().row_separator = comfy_table::LineStyle::none();
        }
        for (column, shape) in table.column_iter_mut().zip(&grid.columns) {
            column.set_cell_alignment(if shape.numeric { CellAlignment::Right } else { CellAlignment::Left });
        }
        self.push(&table);
        self.blank();
    }

    fn cell(&self, cell: &Cell) -> TableCell {
        let text = if cell.note.is_empty() { printable(&cell.text) } else { printable(&format!("{}\n{}", cell.text, cell.note)) };
        let made = TableCell::new(text);
        match cell.tone {
            _ if !self.colour => made,
            Tone::Plain => made,
            Tone::Good => made.fg(Color::Green),
            Tone::Bad => made.fg(Color::Red),
            Tone::Muted => made.fg(Color::DarkGrey),
        }
    }

    /// A table that asks nothing of the terminal: width and colour are given.
    fn table(&self) -> Table {
        let mut table = Table::new();
        table.force_no_tty().set_content_arrangement(ContentArrangement::Dynamic).set_width(self.width);
        if self.colour {
            table.enforce_styling();
        }
        table
    }

    fn push(&mut self, table: &Table) {
        for line in table.lines() {
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }
}

/// Colours one line; through a table, so that escape sequences come from one place.
fn styled(text: &str, tone: Tone, bold: bool) -> String {
    let mut cell = TableCell::new(text);
    cell = match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Muted => cell.fg(Color::DarkGrey),
    };
    if bold {
        cell = cell.add_attribute(Attribute::Bold);
    }
    let mut table = Table::new();
    table.force_no_tty().enforce_styling().load_style(NOTHING).add_row([cell]);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 0));
    }
    table.lines().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    const NARROW: Layout = Layout { width: Some(100), colour: false };

    #[test]
    fn an_audit_on_a_terminal() {
        insta::assert_snapshot!(audit(&sample::audit(), Layout::default()));
    }

    #[test]
    fn long_lists_are_cut_with_a_count() {
        let mut document = sample::audit();
        let refused = |number: usize| crate::advisor::Refused::new(format!("t (c{number})"), "table too small (3 pages)");
        document.refused = (0..40).map(refused).collect();
        document.proposals[0].sql = Some((0..30).map(|number| format!("CREATE INDEX i{number}")).collect::<Vec<_>>().join(";\n"));
        let text = audit(&document, NARROW);
        assert!(text.contains("t (c7)") && !text.contains("t (c8)") && text.contains("… and 32 more"), "{text}");
        assert!(text.contains("CREATE INDEX i6") && !text.contains("CREATE INDEX i7") && text.contains("and 23 more statements"), "{text}");
        document.refused.truncate(9);
        assert!(audit(&document, NARROW).contains("t (c8)"), "one more is shown");
    }

    #[test]
    fn an_audit_that_saw_nothing() {
        insta::assert_snapshot!(audit(&sample::empty_audit(), NARROW));
    }

    #[test]
    fn a_run_on_a_terminal() {
        insta::assert_snapshot!(run(&sample::run_before(), NARROW));
    }

    #[test]
    fn a_run_without_a_call() {
        insta::assert_snapshot!(run(&sample::empty_run(), NARROW));
    }

    #[test]
    fn a_comparison_on_a_terminal() {
        let named = NamedComparison { name: "leads".into(), comparison: sample::comparison() };
        let numbers = Numbers::of(&named.comparison, None, &sample::audit().proposals);
        insta::assert_snapshot!(comparison(&named, &numbers, Layout::default()));
    }

    #[test]
    fn a_summary_names_what_was_found_applied_and_changed() {
        insta::assert_snapshot!(summary(&sample::report(), NARROW));
    }

    #[test]
    fn a_whole_report_begins_with_the_headline() {
        let text = report(&sample::report(), NARROW);
        assert!(text.starts_with("Indexes for the lead list\n\nThe workload leads performs better after the change."), "{text}");
    }

    #[test]
    fn only_statements_to_be_copied_are_wider_than_the_terminal() {
        for width in [60, 100, 140] {
            let text = report(&sample::report(), Layout { width: Some(width), colour: false });
            for line in text.lines().filter(|line| line.chars().count() > usize::from(width)) {
                let start = line.trim_start();
                assert!(["CREATE", "DROP", "GRANT", "ANALYZE"].iter().any(|word| start.starts_with(word)), "{width}: {line}");
            }
        }
    }

    #[test]
    fn colour_comes_only_when_asked_for_and_never_from_a_name() {
        let plain = report(&sample::report(), NARROW);
        assert!(!plain.contains('\u{1b}'));
        let coloured = report(&sample::report(), Layout { colour: true, ..NARROW });
        assert!(coloured.contains("\u{1b}["));
        assert!(!coloured.contains("\u{1b}]0;owned"), "an escape sequence from a name got through");
    }
}
