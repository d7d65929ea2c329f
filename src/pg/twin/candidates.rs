//! Builds candidates: an index on an empty table takes no time, and gets its size afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::build::{self, Relation};
use super::error::{TwinError, while_doing};
use super::files::{self, Wanted};
use super::schema::Step;
use super::session::{Session, explained};
use super::statistics::{self, Counts};
use super::{expressions, page};
use crate::advisor::{Candidate, Sizes};
use crate::catalog::name::quoted;
use crate::catalog::{Oid, QualifiedName, Table};
use crate::units::PAGE_BYTES;

/// What to build for one candidate.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// The candidate's number.
    pub(super) number: usize,
    /// Its table.
    pub(super) table: QualifiedName,
    /// Its access method.
    pub(super) method: String,
    /// The statement that makes it.
    pub(super) sql: String,
    /// Its predicate.
    pub(super) predicate: Option<String>,
    /// Its expressions with their places among the keys, from 1.
    pub(super) expressions: Vec<(i16, String)>,
    /// The table, or each partition that has rows of its own.
    pub(super) parts: Vec<Part>,
}

/// The index of one table, as if it held every row.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The table.
    pub(super) table: QualifiedName,
    /// Its rows now.
    pub(super) rows: f64,
    /// The index as one of this table.
    pub(super) index: Candidate,
    /// Mean bytes of its keys together.
    pub(super) key_bytes: f64,
}

/// What was built.
#[derive(Debug, Clone, Default)]
pub(super) struct Built {
    /// Pages of each candidate.
    pub(super) pages: BTreeMap<usize, u64>,
    /// Candidates that could not be built, with the server's reason.
    pub(super) refused: Vec<(usize, String)>,
}

/// Returns a candidate's name in its table's schema.
pub(super) fn name_of(number: usize) -> String {
    format!("pgload_c{number}")
}

/// Returns the statement that makes a candidate.
pub(super) fn definition(candidate: &Candidate, number: usize) -> String {
    let keys: Vec<String> = candidate.keys.iter().map(ToString::to_string).collect();
    let mut sql =
        format!("create index {} on {} using {} ({})", name_of(number), candidate.table_name, quoted(&candidate.method), keys.join(", "));
    if !candidate.included.is_empty() {
        let included: Vec<String> = candidate.included.iter().map(|column| quoted(column)).collect();
        let _ = write!(sql, " include ({})", included.join(", "));
    }
    if let Some(predicate) = &candidate.predicate {
        let _ = write!(sql, " where {predicate}");
    }
    sql
}

impl Session {
    /// Builds candidates, invisible at first.
    pub(super) async fn build(&mut self, orders: &[Order]) -> Result<Built, TwinError> {
        let heaps = self.heaps(orders);
        self.close();
        for (_, path) in &heaps {
            files::empty(&self.data, path.as_ref()).map_err(|source| TwinError::File { path: path.clone(), source })?;
        }
        let mut built = self.create(orders).await?;
        self.close();
        let lengths: BTreeMap<String, Wanted> =
            super::lengths(&self.snapshot, &self.here).into_iter().map(|wanted| (wanted.path.display().to_string(), wanted)).collect();
        let wanted: Vec<Wanted> = heaps.iter().filter_map(|(_, path)| lengths.get(path).cloned()).collect();
        self.shape(&wanted)?;
        let (files, counts) = self.measure(orders, &mut built).await?;
        self.shape(&files)?;
        statistics::write_counts(self.client().await?, &counts).await?;
        self.derive(orders).await?;
        // The next question must not meet what this session remembers of the new relations.
        self.close();
        Ok(built)
    }

    /// Returns name and file of every table with rows that the orders touch.
    fn heaps(&self, orders: &[Order]) -> BTreeSet<(QualifiedName, String)> {
        let parts = orders.iter().flat_map(|order| &order.parts);
        parts.filter_map(|part| Some((part.table.clone(), self.here.get(&part.table)?.path.clone()?))).collect()
    }

    /// Creates the indexes, hides them and restores what creating them did to the tables' counts.
    async fn create(&mut self, orders: &[Order]) -> Result<Built, TwinError> {
        let step = |order: &Order| Step { kind: "candidate", name: order.number.to_string(), sql: order.sql.clone(), tables: Vec::new() };
        self.within("", &None).await?;
        let client = self.client().await?;
        let failed = build::until_stuck(client, orders.iter().map(step).collect()).await?;
        let refused = failed.into_iter().filter_map(|(step, reason)| Some((step.name.parse().ok()?, reason))).collect();
        let here = build::relations(client).await?;
        let mut of_candidate: BTreeMap<usize, Vec<(QualifiedName, Oid)>> = BTreeMap::new();
        let by_oid: BTreeMap<Oid, (&QualifiedName, &Relation)> =
            here.iter().map(|(name, relation)| (relation.oid, (name, relation))).collect();
        let numbers: BTreeMap<Oid, usize> = orders
            .iter()
            .filter_map(|order| Some((here.get(&QualifiedName::new(&order.table.schema, name_of(order.number)))?.oid, order.number)))
            .collect();
        for (name, relation) in here.iter().filter(|(_, relation)| matches!(relation.kind.as_str(), "i" | "I")) {
            let root = std::iter::successors(Some(relation), |relation| by_oid.get(&relation.parent?).map(|found| found.1)).take(32).last();
            if let Some(number) = root.and_then(|root| numbers.get(&root.oid)) {
                of_candidate.entry(*number).or_default().push((name.clone(), relation.oid));
            }
        }
        let oids: Vec<Oid> = of_candidate.values().flatten().map(|(_, oid)| *oid).collect();
        let hide = "update pg_catalog.pg_index set indisvalid = false where indexrelid = any ($1::oid[])";
        client.execute(hide, &[&oids]).await.map_err(while_doing("hide candidates"))?;
        let touched: BTreeSet<&QualifiedName> =
            orders.iter().flat_map(|order| order.parts.iter().map(|part| &part.table).chain([&order.table])).collect();
        let touched: BTreeSet<Oid> = touched.into_iter().filter_map(|name| Some(here.get(name)?.oid)).collect();
        self.here = here;
        let mut counts = statistics::counts(&self.snapshot, &self.here);
        counts.retain(|count| touched.contains(&count.oid));
        statistics::write_counts(self.client().await?, &counts).await?;
        for (number, indexes) in of_candidate {
            for (name, _) in &indexes {
                self.name(name, number);
            }
            self.candidates.insert(number, indexes.into_iter().map(|(_, oid)| oid).collect());
        }
        Ok(Built { pages: BTreeMap::new(), refused })
    }

    /// Works out files and counts of the new indexes; partial ones by the share of rows the planner expects.
    async fn measure(&mut self, orders: &[Order], built: &mut Built) -> Result<(Vec<Wanted>, Vec<Counts>), TwinError> {
        self.within("", &None).await?;
        let tables: BTreeMap<Oid, QualifiedName> = self.here.iter().map(|(name, relation)| (relation.oid, name.clone())).collect();
        let snapshot = Arc::clone(&self.snapshot);
        let sizes = Sizes::new(&snapshot);
        let (mut files, mut counts) = (Vec::new(), Vec::new());
        for order in orders {
            let Some(oids) = self.candidates.get(&order.number) else { continue };
            let indexes: Vec<Relation> = self.here.values().filter(|relation| oids.contains(&relation.oid)).cloned().collect();
            let mut pages_total = 0;
            for index in indexes {
                let part =
                    index.table.and_then(|table| tables.get(&table)).and_then(|table| order.parts.iter().find(|part| part.table == *table));
                let (Some(part), Some(path)) = (part, index.path) else { continue };
                let rows = match &order.predicate {
                    Some(predicate) => self.rows_where(part, predicate).await?,
                    None => part.rows,
                };
                let pages = sizes.of_rows(&part.index, rows).0.div_ceil(PAGE_BYTES).max(1);
                let height = (order.method == "btree").then(|| page::height(pages, part.key_bytes));
                files.push(Wanted { path: path.into(), pages, height });
                counts.push(Counts { oid: index.oid, pages, rows: Some(rows), all_visible: 0 });
                pages_total += pages;
            }
            built.pages.insert(order.number, pages_total);
        }
        Ok((files, counts))
    }

    /// Gives the candidates' expressions statistics, where the column they read has some.
    async fn derive(&mut self, orders: &[Order]) -> Result<(), TwinError> {
        if orders.iter().all(|order| order.expressions.is_empty()) {
            return Ok(());
        }
        let snapshot = Arc::clone(&self.snapshot);
        let tables: BTreeMap<&QualifiedName, &Table> = snapshot.tables.iter().map(|table| (&table.name, table)).collect();
        let of_oid: BTreeMap<Oid, QualifiedName> = self.here.iter().map(|(name, relation)| (relation.oid, name.clone())).collect();
        let indexes: Vec<(QualifiedName, Relation, &Order)> = orders
            .iter()
            .flat_map(|order| self.candidates.get(&order.number).into_iter().flatten().map(move |oid| (*oid, order)))
            .filter_map(|(oid, order)| Some((of_oid.get(&oid)?, order)))
            .filter_map(|(name, order)| Some((name.clone(), self.here.get(name)?.clone(), order)))
            .collect();
        let client = self.client().await?;
        let attributes = statistics::attributes(client).await?;
        let mut entries = Vec::new();
        for (name, index, order) in &indexes {
            let Some(table) = index.table.and_then(|oid| tables.get(of_oid.get(&oid)?)) else { continue };
            for (place, expression) in &order.expressions {
                let Some(attribute) = attributes.numbered(name, *place) else { continue };
                // An expression that fails on a value of the column has no statistics, as if it were never analysed.
                if let Ok(Some(found)) = expressions::derived(client, expression, table).await {
                    entries.push(statistics::entry(attribute, &found, false, name.to_string(), table.oid));
                }
            }
        }
        statistics::write(client, entries).await.map(drop)
    }

    /// Returns the rows of one table the planner expects the predicate to hold for.
    async fn rows_where(&mut self, part: &Part, predicate: &str) -> Result<f64, TwinError> {
        let sql = format!("select from only {} where {predicate}", part.table);
        let plan = explained(self.client().await?, &sql).await;
        // A predicate that an index was built with can be planned; should it not, the index is taken to be full.
        Ok(plan.map_or(part.rows, |plan| plan.rows.min(part.rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advisor::CandidateKey;
    use crate::catalog::KeyTarget;

    #[test]
    fn a_definition_says_all_of_a_candidate() {
        let key = |target, opclass: Option<&str>, descending| CandidateKey {
            target,
            descending,
            nulls_first: descending,
            opclass: opclass.map(str::to_owned),
            collation: None,
        };
        let candidate = Candidate {
            table: 1,
            table_name: QualifiedName::new("shop", "Order"),
            method: "btree".into(),
            keys: vec![
                key(KeyTarget::Expression("lower(email)".into()), Some("text_pattern_ops"), false),
                key(KeyTarget::Column("at".into()), None, true),
            ],
            included: vec!["user".into()],
            predicate: Some("deleted_at is null".into()),
        };
        assert_eq!(
            definition(&candidate, 7),
            "create index pgload_c7 on shop.\"Order\" using btree ((lower(email)) text_pattern_ops, at DESC) include (\"user\") \
             where deleted_at is null"
        );
    }
}
