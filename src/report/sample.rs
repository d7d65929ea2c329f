//! Hand-built results for the tests of this folder: small enough to be checked by eye, hostile where names may be.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::audit::Unmodelled;
use super::{AuditDocument, NamedComparison, Report, audit_document};
use crate::advisor::proposal::NewStatistics;
use crate::advisor::{
    Action, Advice, Candidate, CandidateKey, Confidence, Coverage, Proposal, Refused, Skipped, StatementEffect, WriteCost,
};
use crate::catalog::{Hidden, KeyTarget, Node, QualifiedName, Server, Snapshot, StatementSource};
use crate::diff::Diff;
use crate::findings::{Evidence, Finding, Object, ObjectKind, Severity};
use crate::migration::{Layout, Migration, plan};
use crate::replay::{Blocks, Health, LabelResult, Run, SeriesPoint, StatementPlan, ThresholdResult, Totals};
use crate::stats::{Better, Calibration, Comparison, Design, Exact, Metric, Percentiles, Verdict};
use crate::units::Bytes;

/// A name that would break out of every format if it were not escaped.
pub(crate) const HOSTILE: &str = "a|b`<script>alert(1)</script>\u{1b}]0;owned\u{7}";

const MEBIBYTE: u64 = 1024 * 1024;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        schema_version: 1,
        taken_at: at("2026-11-20T09:00:00Z"),
        server: Server {
            version_num: 150_018,
            database: "shop".into(),
            user: "auditor".into(),
            in_recovery: false,
            stats_reset_at: Some(at("2026-10-20T09:00:00Z")),
            started_at: Some(at("2026-10-01T00:00:00Z")),
            collate: String::new(),
            ctype: String::new(),
            encoding: String::new(),
            locale_provider: String::new(),
            locale: None,
            collation_mismatches: Vec::new(),
            database_bytes: 4096 * MEBIBYTE,
            settings: BTreeMap::new(),
            extensions: vec![],
        },
        tables: vec![],
        indexes: vec![],
        constraints: vec![],
        statements: vec![],
        views: Vec::new(),
        functions: Vec::new(),
        types: Vec::new(),
        extended_statistics: Vec::new(),
        policies: Vec::new(),
        nodes: vec![Node {
            name: "replica-1:5432".into(),
            in_recovery: true,
            taken_at: at("2026-11-20T09:00:01Z"),
            stats_reset_at: None,
            started_at: Some(at("2026-10-02T00:00:00Z")),
            indexes: vec![],
            tables: vec![],
        }],
        redacted: false,
        statement_source: StatementSource::Available { evicted: 12, reset_at: None },
        hidden: vec![Hidden {
            what: "text of 41 statements of other roles".into(),
            effect: "they cannot be advised on".into(),
            remedy: "GRANT pg_read_all_stats TO auditor;".into(),
        }],
    }
}

pub(crate) fn findings() -> Vec<Finding> {
    let index =
        |name: &str| Object { kind: ObjectKind::Index, schema: Some("public".into()), table: Some("orders".into()), name: name.into() };
    vec![
        Finding {
            rule: "invalid-index".into(),
            severity: Severity::Critical,
            object: index("orders_ref_idx"),
            message: "Index public.orders_ref_idx is invalid: a concurrent build failed, writes maintain it and no query uses it.".into(),
            evidence: vec![Evidence::new("size", 31 * MEBIBYTE, "bytes", "pg_class"), Evidence::new("valid", false, "", "pg_index")],
            help: "REINDEX INDEX CONCURRENTLY public.orders_ref_idx;".into(),
        },
        Finding {
            rule: "unused-index".into(),
            severity: Severity::Warning,
            object: index("orders_note_idx"),
            message: "Index public.orders_note_idx (31 MB) had no scan in the 31 days since statistics were reset; replicas were not seen."
                .into(),
            evidence: vec![Evidence::new("scans", 0, "", "pg_stat_user_indexes")],
            help: "Check the replicas, then: DROP INDEX CONCURRENTLY public.orders_note_idx;".into(),
        },
        Finding {
            rule: "missing-primary-key".into(),
            severity: Severity::Info,
            object: Object { kind: ObjectKind::Table, schema: Some("public".into()), table: Some(HOSTILE.into()), name: HOSTILE.into() },
            message: format!("Table {HOSTILE} has no primary key. See [here](javascript:alert(1)) or ask @dba."),
            evidence: vec![],
            help: "Add one.".into(),
        },
    ]
}

fn proposal(action: Action, name: &str, table: &str, keys: Vec<CandidateKey>, mebibytes: u64, cost: Diff<f64>) -> Proposal {
    Proposal {
        action,
        name: name.into(),
        index: Candidate {
            table: 1,
            table_name: QualifiedName::new("public", table),
            method: "btree".into(),
            keys,
            included: vec![],
            predicate: None,
        },
        size_bytes: Bytes(mebibytes * MEBIBYTE),
        workload_cost: cost,
        statements: vec![],
        write_cost: WriteCost::default(),
        expected_ms: None,
        build_ms: None,
        existing: None,
        statistics: Vec::new(),
        hot_loss: 0,
        supersedes: vec![],
        confidence: Confidence::High,
        risks: vec![],
    }
}

fn key(target: KeyTarget, descending: bool) -> CandidateKey {
    CandidateKey { target, descending, nulls_first: descending, opclass: None, collation: None }
}

pub(crate) fn advice() -> Advice {
    let columns = vec![key(KeyTarget::Column("tenant_id".into()), false), key(KeyTarget::Column("created_at".into()), true)];
    let mut list =
        proposal(Action::Create, "leads_tenant_id_created_at_idx", "leads", columns, 48, Diff { before: 9_840_000.0, after: 412_000.0 });
    list.statements = vec![StatementEffect {
        query_id: "-4711".into(),
        query: "SELECT id, name, status FROM leads\n WHERE tenant_id = $1 ORDER BY created_at DESC LIMIT $2".into(),
        calls: 182_400,
        cost: Diff { before: 12_345.6, after: 8.44 },
        ms: Some(Diff { before: 84.2, after: 0.058 }),
    }];
    list.expected_ms = Some(Diff { before: 16_420_000.0, after: 1_074_000.0 });
    list.build_ms = Some(38_500.0);
    list.write_cost = WriteCost { inserts: 20_400, updates: 1_200, hot_updates_lost: 3_600, cost: 412.5 };
    list.hot_loss = 900;
    list.supersedes = vec!["leads_tenant_id_idx".into()];
    list.risks = vec!["900 updates since the reset would no longer be HOT: they set created_at.".into()];
    let lower = vec![key(KeyTarget::Expression("lower(email)".into()), false)];
    let mut email =
        proposal(Action::Create, "contacts_lower_email_idx", "contacts", lower, 6, Diff { before: 412_000.0, after: 398_000.0 });
    email.statements = vec![StatementEffect {
        query_id: "815".into(),
        query: format!("SELECT * FROM contacts WHERE lower(email) = $1 /* {HOSTILE} */"),
        calls: 3_100,
        cost: Diff { before: 802.0, after: 8.3 },
        ms: None,
    }];
    email.confidence = Confidence::Medium;
    let note = vec![key(KeyTarget::Column("note".into()), false), key(KeyTarget::Expression("lower(note)".into()), false)];
    let mut unused = proposal(Action::Drop, "orders_note_idx", "orders", note, 31, Diff { before: 398_000.0, after: 398_000.0 });
    unused.statistics = vec![NewStatistics {
        name: "orders_lower_note_stat".into(),
        on: "lower(note)".into(),
        table: QualifiedName::new("public", "orders"),
    }];
    Advice {
        coverage: Coverage {
            statements: 64,
            usable: 59,
            exec_time_share: Some(0.972),
            skipped: vec![
                Skipped {
                    query_id: Some("99".into()),
                    query: Some("CALL refresh_totals($1)".into()),
                    reason: "not a statement the planner prices".into(),
                    exec_time_share: 0.021,
                },
                Skipped { query_id: None, query: None, reason: "its text is not visible to this role".into(), exec_time_share: 0.007 },
            ],
        },
        proposals: vec![list, email, unused],
        refused: vec![
            Refused::new("leads (id)", "already covered by leads_pkey"),
            Refused::new("leads (status)", "too little gain (1.2 % of the workload's cost)"),
            Refused::new(format!("{HOSTILE} (id)"), "the planner does not use it"),
            Refused::new("leads (status, id)", "writes would pay more than reads gain: 48 000 updates of status would stop being HOT"),
        ],
        model: "statistics twin on PostgreSQL 15.18".into(),
        caveats: vec!["The twin lacks extension postgis (it is not installed on this machine).".into()],
    }
}

pub(crate) fn migrations() -> Vec<(Migration, Vec<String>)> {
    let written = plan::write(&advice().proposals, &snapshot(), at("2026-11-20T09:00:00Z"), plan::Options::default());
    let named = |migration: Migration| {
        let files = Layout::Refinery.files(&migration).into_iter().map(|(name, _)| name).collect();
        (migration, files)
    };
    written.into_iter().map(named).collect()
}

pub(crate) fn audit() -> AuditDocument {
    let mut audit = audit_document(&snapshot(), &findings(), &advice(), &migrations());
    audit.unmodelled = vec![Unmodelled {
        kind: "extension".into(),
        name: "postgis".into(),
        reason: "it is not installed on this machine".into(),
        exec_time_share: Some(0.003),
    }];
    // Snapshots of what people read must not change with each release.
    audit.tool.version = "0.0.0".into();
    audit
}

pub(crate) fn empty_audit() -> AuditDocument {
    let source = StatementSource::Missing {
        reason: "pg_stat_statements is not installed".into(),
        remedy: "CREATE EXTENSION pg_stat_statements;".into(),
    };
    let mut snapshot = Snapshot { statement_source: source, hidden: vec![], ..snapshot() };
    snapshot.server.stats_reset_at = None;
    snapshot.server.started_at = None;
    audit_document(&snapshot, &[], &Advice::default(), &[])
}

fn percentiles(p50: u64, p95: u64, p99: Option<u64>) -> Percentiles {
    Percentiles { p50: Some(p50), p90: Some(p95), p95: Some(p95), p99, p999: None, max: Some(p95 * 3), mean: Some(p50 as f64) }
}

fn label(count: u64, response_us: Percentiles, blocks_per_call: u64, plan: (&str, &[&str], &[&str])) -> LabelResult {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    LabelResult {
        count,
        response_us,
        service_us: response_us,
        rows: count * 20,
        blocks: Some(Blocks { hit: blocks_per_call * count, read: 0, calls: count }),
        plan: Some(StatementPlan { shape: plan.0.into(), indexes: owned(plan.1), sequential: owned(plan.2) }),
        ..LabelResult::default()
    }
}

fn run(side: &str, throughput: f64, labels: Vec<(&str, LabelResult)>) -> Run {
    let series = (0..30).map(|second| {
        // A wave instead of noise: the chart has something to show and the test the same every time.
        let count = (throughput * (1.0 + 0.06 * (second as f64 * 0.9).sin())) as u64;
        SeriesPoint { second, count, errors: 0, p50_us: Some(900), p95_us: Some(4_000), p99_us: None }
    });
    Run {
        schema_version: 1,
        kind: "replay".into(),
        name: "leads".into(),
        side: Some(side.into()),
        about: BTreeMap::from([("clients".into(), json!(8)), ("pgload".into(), json!("0.0.0"))]),
        started_at: at("2026-11-20T09:10:00Z"),
        seed: 42,
        arrival: json!({"closed": {"clients": 8}}),
        duration_ms: 30_000.0,
        partial: false,
        health: Health { valid: true, reasons: vec![] },
        totals: Totals {
            count: (throughput * 30.0) as u64,
            errors: 3,
            retries: 0,
            not_started: 0,
            throughput,
            response_us: percentiles(20_000, 80_000, Some(120_000)),
            service_us: percentiles(20_000, 80_000, Some(120_000)),
            lag_us: Percentiles::default(),
        },
        series: series.collect(),
        labels: labels.into_iter().map(|(name, result)| (name.to_owned(), result)).collect(),
        server: BTreeMap::new(),
        fidelity: None,
        thresholds: vec![
            ThresholdResult { expression: "p(95)<50".into(), value: Some(80.0), ok: false },
            ThresholdResult { expression: "p(99.9)<100".into(), value: None, ok: false },
        ],
        profile: None,
        caveats: vec!["Client and server shared the machine.".into()],
    }
}

pub(crate) fn run_before() -> Run {
    let mut insert = label(500, percentiles(250, 400, None), 6, ("Insert", &[], &[]));
    insert.errors = BTreeMap::from([("40001".into(), 3)]);
    insert.plan = None;
    run(
        "before",
        183.0,
        vec![
            ("lead list", label(4_000, percentiles(40_000, 80_000, Some(120_000)), 1_200, ("Limit > Seq Scan leads", &[], &["leads"]))),
            ("contact by email", label(1_000, percentiles(20_000, 45_000, Some(60_000)), 800, ("Seq Scan contacts", &[], &["contacts"]))),
            ("contact insert", insert),
        ],
    )
}

pub(crate) fn run_after() -> Run {
    let list = ("Limit > Index Scan leads", &["leads_tenant_id_created_at_idx"][..], &[][..]);
    let email = ("Index Scan contacts", &["contacts_lower_email_idx"][..], &[][..]);
    let mut run = run(
        "after",
        2_740.0,
        vec![
            ("lead list", label(60_000, percentiles(520, 1_000, Some(1_900)), 8, list)),
            ("contact by email", label(15_000, percentiles(800, 3_600, Some(5_200)), 60, email)),
            ("contact insert", label(7_500, percentiles(300, 520, Some(900)), 8, ("Insert", &[], &[]))),
        ],
    );
    run.thresholds.clear();
    run
}

pub(crate) fn empty_run() -> Run {
    Run {
        totals: Totals { not_started: 7, ..Totals::default() },
        series: vec![],
        labels: BTreeMap::from([("never".into(), LabelResult::default())]),
        fidelity: None,
        thresholds: vec![],
        profile: None,
        partial: true,
        health: Health { valid: false, reasons: vec!["No call was started.".into()] },
        side: None,
        ..run_before()
    }
}

fn metric(label: &str, name: &str, unit: &str, states: Diff<f64>, spread: f64, verdict: Verdict) -> Metric {
    // Few digits, so that reading the JSON gives the same floats back.
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let ratio = states.ratio().map(rounded);
    Metric {
        label: label.into(),
        metric: name.into(),
        unit: unit.into(),
        better: if name == "throughput" { Better::Higher } else { Better::Lower },
        before: Some(states.before),
        after: Some(states.after),
        ratio,
        interval: ratio.map(|ratio| [rounded(ratio * (1.0 - spread)), rounded(ratio * (1.0 + spread))]),
        mde: Some(spread),
        verdict,
        rounds: crate::stats::Rounds::default(),
    }
}

fn exact(label: &str, blocks: Diff<f64>, changed: bool, indexes: Diff<Vec<String>>) -> Exact {
    Exact {
        label: label.into(),
        blocks_per_call: blocks.map(Some),
        rows_per_call: Diff { before: Some(20.0), after: Some(20.0) },
        plan_changed: Some(changed),
        indexes,
        ..Exact::default()
    }
}

pub(crate) fn comparison() -> Comparison {
    let us = |label: &str, name: &str, before: f64, after: f64, verdict| metric(label, name, "us", Diff { before, after }, 0.08, verdict);
    let unknown = Metric {
        before: None,
        after: Some(900.0),
        ratio: None,
        interval: None,
        ..us("contact insert", "p99", 1.0, 1.0, Verdict::Inconclusive)
    };
    Comparison {
        schema_version: 1,
        design: Design::Abba,
        rounds: 6,
        calibration: Calibration { done: true, note: "Before against before showed no difference beyond 3 %.".into(), metrics: vec![] },
        metrics: vec![
            metric("total", "throughput", "calls/s", Diff { before: 183.0, after: 2_740.0 }, 0.05, Verdict::Better),
            us("total", "p95", 80_000.0, 3_600.0, Verdict::Better),
            metric("total", "errors", "share", Diff { before: 0.001, after: 0.0 }, 0.5, Verdict::NoDifference),
            us("lead list", "p50", 40_000.0, 520.0, Verdict::Better),
            us("lead list", "p95", 80_000.0, 1_000.0, Verdict::Better),
            us("lead list", "p99", 120_000.0, 1_900.0, Verdict::Better),
            us("contact by email", "p50", 20_000.0, 800.0, Verdict::Better),
            us("contact by email", "p95", 45_000.0, 3_600.0, Verdict::Better),
            us("contact by email", "p99", 60_000.0, 5_200.0, Verdict::Inconclusive),
            us("contact insert", "p50", 250.0, 255.0, Verdict::NoDifference),
            us("contact insert", "p95", 400.0, 520.0, Verdict::Worse),
            unknown,
        ],
        exact: vec![
            exact(
                "lead list",
                Diff { before: 1_200.0, after: 8.0 },
                true,
                Diff { before: vec![], after: vec!["leads_tenant_id_created_at_idx".into()] },
            ),
            exact(
                "contact by email",
                Diff { before: 800.0, after: 60.0 },
                true,
                Diff { before: vec![], after: vec!["contacts_lower_email_idx".into()] },
            ),
            exact("contact insert", Diff { before: 6.0, after: 8.0 }, false, Diff { before: vec![], after: vec![] }),
        ],
        verdict: Verdict::Better,
        caveats: vec!["Both sides ran with a warm cache.".into()],
    }
}

pub(crate) fn empty_comparison() -> Comparison {
    Comparison {
        metrics: vec![],
        exact: vec![],
        caveats: vec![],
        verdict: Verdict::Inconclusive,
        design: Design::Sequential,
        ..comparison()
    }
}

pub(crate) fn report() -> Report {
    let mut report = Report::new("Indexes for the lead list");
    report.about = BTreeMap::from([("pgload".into(), json!("0.0.0")), ("seed".into(), json!(42))]);
    report.audit = Some(audit());
    report.runs = vec![run_before(), run_after()];
    report.comparisons = vec![NamedComparison { name: "leads".into(), comparison: comparison() }];
    report.caveats = vec!["Measured on a copy of a third of the data.".into()];
    report
}
