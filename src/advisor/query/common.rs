//! Common table expressions: which are read where they are used, which stand for themselves.

use std::ops::ControlFlow;
use std::rc::Rc;

use sqlparser::ast::{self, CteAsMaterialized, SetExpr, visit_relations};

use super::names::{folded, last_part};
use super::read::{Reader, computed};
use super::scope::Output;

/// A common table expression in sight.
#[derive(Debug, Clone)]
pub(super) struct Cte {
    /// Its name.
    pub(super) name: String,
    /// The names its columns are given.
    pub(super) columns: Vec<String>,
    /// How it is read.
    pub(super) is: Body,
}

/// How a common table expression is read.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// As a subquery at the one place that uses it, with so many of the expressions in sight.
    Inlined {
        /// Its query.
        query: Rc<ast::Query>,
        /// How many of the expressions before it it may name.
        visible: usize,
    },
    /// Computed once, whoever uses it; `None` when its columns cannot be told.
    Computed(Option<Vec<Output>>),
}

impl Reader<'_, '_> {
    /// Brings a query's common table expressions into sight; returns how many there were before.
    ///
    /// As the planner does, one that is named once, writes nothing and does not name itself is read where it is named.
    pub(super) fn with(&mut self, query: &ast::Query, parent: Option<usize>) -> usize {
        let outside = self.ctes.len();
        let Some(with) = &query.with else { return outside };
        for cte in &with.cte_tables {
            let name = folded(&cte.alias.name);
            let columns = cte.alias.columns.iter().map(|column| folded(&column.name)).collect();
            let writes = matches!(*cte.query.body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_));
            let inner = times_named(&cte.query, &name);
            let recursive = with.recursive && inner > 0;
            let named = times_named(query, &name) - inner;
            let inlined = match &cte.materialized {
                Some(CteAsMaterialized::Materialized) => false,
                Some(CteAsMaterialized::NotMaterialized) => true,
                None => named == 1,
            };
            let is = if inlined && !writes && !recursive && cte.query.locks.is_empty() {
                Body::Inlined { query: Rc::new(cte.query.as_ref().clone()), visible: self.ctes.len() }
            } else if named == 0 && !writes {
                // Nobody asks for it, so it is never run.
                continue;
            } else {
                if recursive {
                    self.ctes.push(Cte { name: name.clone(), columns: Vec::new(), is: Body::Computed(None) });
                }
                let outputs = self.query(&cte.query, parent);
                if recursive {
                    self.ctes.pop();
                }
                Body::Computed(outputs.map(computed))
            };
            self.ctes.push(Cte { name, columns, is });
        }
        outside
    }
}

fn times_named(query: &ast::Query, name: &str) -> usize {
    let mut times = 0;
    let _ = visit_relations(query, |relation| {
        times += usize::from(relation.0.len() == 1 && last_part(relation) == name);
        ControlFlow::<()>::Continue(())
    });
    times
}
