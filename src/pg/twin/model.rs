//! The twin as the advisor's cost model.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::candidates::{self, Built, Order, Part};
use super::schema::APPLICATION;
use super::session::{Answer, Known, Question};
use super::{TextKey, Twin, column_bytes, worker};
use crate::advisor::query::Query;
use crate::advisor::{Ask, Candidate, Confidence, Configuration, CostModel, NotPlannable, Plan, Sizes, UsedIndex};
use crate::catalog::{KeyTarget, Oid, Relations, Table, TableKind};
use crate::pg::cluster::SUPERUSER;
use crate::units::Bytes;

impl CostModel for Twin {
    fn prepare(&mut self, candidates: &[Arc<Candidate>]) -> Vec<(Arc<Candidate>, NotPlannable)> {
        self.build(candidates);
        let refused = candidates.iter().filter_map(|candidate| Some((Arc::clone(candidate), self.refused.get(candidate)?.clone())));
        refused.collect()
    }

    fn retain(&mut self, candidates: &[Arc<Candidate>]) {
        let kept: BTreeSet<&Arc<Candidate>> = candidates.iter().collect();
        let numbers: Vec<usize> =
            self.numbers.iter().filter(|(candidate, _)| !kept.contains(candidate)).map(|(_, number)| *number).collect();
        if numbers.is_empty() {
            return;
        }
        let jobs: Vec<_> = self
            .workers
            .iter()
            .map(|worker| {
                let numbers = numbers.clone();
                worker.send(move |runtime, session| runtime.block_on(session.forget(&numbers)))
            })
            .collect();
        for job in &jobs {
            // An index that could not be dropped stays hidden, and is only in the way.
            let _ = worker::answer(job);
        }
        self.numbers.retain(|_, number| !numbers.contains(number));
        self.built.retain(|number, _| !numbers.contains(number));
    }

    fn plan_all(&mut self, asks: &[Ask<'_>]) -> Vec<Result<Plan, NotPlannable>> {
        self.asked += asks.len();
        let missing: BTreeSet<Arc<Candidate>> = asks
            .iter()
            .flat_map(|ask| &ask.configuration.created)
            .filter(|candidate| !self.numbers.contains_key(*candidate))
            .cloned()
            .collect();
        self.build(&missing.into_iter().collect::<Vec<_>>());
        self.read_texts(asks);
        let mut answers: Vec<Option<Result<Plan, NotPlannable>>> = asks.iter().map(|_| None).collect();
        let mut seen: HashMap<&Configuration, Result<(usize, Arc<super::Visible>), NotPlannable>> = HashMap::new();
        let mut questions: Vec<(usize, usize, Question)> = Vec::with_capacity(asks.len());
        for (at, ask) in asks.iter().enumerate() {
            let next = seen.len();
            let visible = seen
                .entry(&ask.configuration)
                .or_insert_with(|| self.visible(&ask.configuration).map(|visible| (next, Arc::new(visible))))
                .clone();
            match (self.texts.get(&key(ask.query)), visible) {
                (Some(Ok(texts)), Ok((group, visible))) => questions.push((group, at, Question { texts: Arc::clone(texts), visible })),
                (Some(Err(error)), _) => answers[at] = Some(Err(error.clone())),
                (_, Err(error)) => answers[at] = Some(Err(error)),
                (None, _) => answers[at] = Some(Err(NotPlannable { reason: "its text was not read".to_owned() })),
            }
        }
        // Questions about the same indexes stay together, so that a worker switches as little as it can.
        questions.sort_by_key(|(group, at, _)| (*group, *at));
        let share = questions.len().div_ceil(self.workers.len()).max(1);
        let mut jobs = Vec::with_capacity(self.workers.len());
        for (worker, part) in self.workers.iter().zip(questions.chunks(share)) {
            let (places, part): (Vec<usize>, Vec<Question>) = part.iter().map(|(_, at, question)| (*at, question.clone())).unzip();
            jobs.push((places, worker.send(move |runtime, session| runtime.block_on(session.answer(&part)))));
        }
        for (places, job) in &jobs {
            match worker::answer(job) {
                Ok(found) => {
                    for (place, answer) in places.iter().zip(found) {
                        answers[*place] = Some(self.plan_of(answer));
                    }
                }
                Err(error) => places.iter().for_each(|place| answers[*place] = Some(Err(NotPlannable { reason: error.to_string() }))),
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(NotPlannable { reason: "no answer".to_owned() }))).collect()
    }

    fn plan(&mut self, query: &Query, configuration: &Configuration) -> Result<Plan, NotPlannable> {
        let ask = Ask { query, configuration: configuration.clone() };
        self.plan_all(&[ask]).pop().unwrap_or_else(|| Err(NotPlannable { reason: "no answer".to_owned() }))
    }

    fn plan_of_unread(&mut self, query: &Query) -> Option<serde_json::Value> {
        let (query, worker) = (query.clone(), self.workers.first()?);
        let job = worker.send(move |runtime, session| runtime.block_on(session.plan_of_unread(&query)));
        let json = worker::answer(&job).ok()?.ok()?;
        serde_json::from_str(&json).ok()
    }

    fn size(&mut self, candidate: &Candidate) -> Bytes {
        let built = self.numbers.get(candidate).and_then(|number| self.built.get(number));
        match built {
            Some((_, pages)) => Bytes::of_pages(*pages),
            None => Sizes::new(&self.snapshot).of(candidate),
        }
    }

    fn confidence(&self) -> Confidence {
        if self.local_major == self.snapshot.server.major() { Confidence::High } else { Confidence::Medium }
    }

    fn out_of_time(&mut self) -> bool {
        self.time_max.is_some_and(|time_max| self.begun.elapsed() >= time_max)
    }

    fn name(&self) -> String {
        format!("statistics twin on PostgreSQL {}", self.version)
    }

    fn caveats(&self) -> Vec<String> {
        let mut caveats = self.caveats.clone();
        let target = self.snapshot.server.major();
        if self.local_major != target {
            caveats.push(format!(
                "Plans were made by PostgreSQL {}, the audited server runs {target}; install PostgreSQL {target} here for its own planner.",
                self.version
            ));
        }
        if !self.unmodelled.is_empty() {
            let named: Vec<String> =
                self.unmodelled.iter().take(3).map(|lack| format!("{} {} ({})", lack.kind, lack.name, lack.reason)).collect();
            let more = self.unmodelled.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            caveats.push(format!("The twin lacks {}{more}.", named.join(", ")));
        }
        caveats
    }
}

impl Twin {
    /// Builds candidates that are not built yet, on every worker.
    pub(super) fn build(&mut self, candidates: &[Arc<Candidate>]) {
        let new: BTreeSet<&Arc<Candidate>> = candidates
            .iter()
            .filter(|candidate| !self.numbers.contains_key(*candidate) && !self.refused.contains_key(*candidate))
            .collect();
        if new.is_empty() {
            return;
        }
        let snapshot = Arc::clone(&self.snapshot);
        let relations = Relations::new(&snapshot);
        let mut orders = Vec::with_capacity(new.len());
        for candidate in new {
            let number = self.next_number;
            self.next_number += 1;
            match order(candidate, number, &relations) {
                Some(order) => {
                    self.numbers.insert(Arc::clone(candidate), number);
                    orders.push(order);
                }
                None => {
                    drop(self.refused.insert(Arc::clone(candidate), NotPlannable { reason: "its table is not in the snapshot".to_owned() }))
                }
            }
        }
        let orders = Arc::new(orders);
        let send = |worker: &worker::Worker| {
            let orders = Arc::clone(&orders);
            worker.send(move |runtime, session| runtime.block_on(session.build(&orders)))
        };
        let jobs: Vec<_> = self.workers.iter().map(send).collect();
        let mut refused: HashMap<usize, String> = HashMap::new();
        let mut pages = HashMap::new();
        for job in &jobs {
            match worker::answer(job).and_then(|built| built) {
                Ok(Built { pages: found, refused: failed }) => {
                    pages.extend(found);
                    refused.extend(failed);
                }
                Err(error) => orders.iter().for_each(|order| drop(refused.insert(order.number, error.to_string()))),
            }
        }
        for order in orders.iter() {
            let Some(candidate) =
                self.numbers.iter().find(|(_, number)| **number == order.number).map(|(candidate, _)| Arc::clone(candidate))
            else {
                continue;
            };
            match refused.remove(&order.number) {
                Some(reason) => {
                    self.numbers.remove(&candidate);
                    self.refused.insert(candidate, NotPlannable { reason });
                }
                None => drop(self.built.insert(order.number, (candidate, pages.get(&order.number).copied().unwrap_or(1)))),
            }
        }
    }

    /// Makes the texts of statements not seen before, shared out over the workers.
    pub(super) fn read_texts(&mut self, asks: &[Ask<'_>]) {
        let mut new: Vec<(TextKey, &Query)> = Vec::new();
        let mut seen = BTreeSet::new();
        for ask in asks {
            let key = key(ask.query);
            if !self.texts.contains_key(&key)
                && seen.insert((key.text.clone(), key.search_path.clone(), key.user.clone(), key.query_id.clone()))
            {
                new.push((key, ask.query));
            }
        }
        if new.is_empty() {
            return;
        }
        let share = new.len().div_ceil(self.workers.len()).max(1);
        let mut jobs = Vec::with_capacity(self.workers.len());
        for (worker, part) in self.workers.iter().zip(new.chunks(share)) {
            let keys: Vec<TextKey> = part.iter().map(|(key, _)| key.clone()).collect();
            let queries: Vec<(Query, Option<String>)> = part.iter().map(|(_, query)| ((*query).clone(), self.role_of(query))).collect();
            jobs.push((keys, worker.send(move |runtime, session| runtime.block_on(session.texts(queries)))));
        }
        for (keys, job) in jobs {
            let answers = worker::answer(&job);
            for (at, key) in keys.into_iter().enumerate() {
                let answer = match &answers {
                    Ok(found) => found[at].clone().map(Arc::new).map_err(|reason| NotPlannable { reason }),
                    Err(error) => Err(NotPlannable { reason: error.to_string() }),
                };
                self.texts.insert(key, answer);
            }
        }
    }

    /// Returns the role a statement is planned as: policies do not bind the superuser, so statements on secured tables need another.
    fn role_of(&self, query: &Query) -> Option<String> {
        let tables = query.tables();
        let secured = self.snapshot.tables.iter().any(|table| table.row_security && tables.contains(&table.oid));
        if !secured || query.user == SUPERUSER {
            return None;
        }
        let named = self.snapshot.policies.iter().any(|policy| policy.roles.contains(&query.user));
        Some(if named { query.user.clone() } else { APPLICATION.to_owned() })
    }

    fn plan_of(&self, answer: Result<Answer, String>) -> Result<Plan, NotPlannable> {
        let Answer { cost, used, approximate } = answer.map_err(|reason| NotPlannable { reason })?;
        let used = used.into_iter().filter_map(|known| match known {
            Known::Existing(oid) => Some(UsedIndex::Existing(oid)),
            Known::Candidate(number) => self.built.get(&number).map(|(candidate, _)| UsedIndex::Created(Arc::clone(candidate))),
        });
        let mut used: Vec<UsedIndex> = used.collect();
        used.sort_unstable();
        Ok(Plan { cost, used, approximate })
    }
}

pub(super) fn key(query: &Query) -> TextKey {
    TextKey { text: query.text.clone(), search_path: query.search_path.clone(), user: query.user.clone(), query_id: query.query_id.clone() }
}

/// Works out what to build for a candidate; `None` when its table is not in the snapshot.
fn order(candidate: &Arc<Candidate>, number: usize, relations: &Relations<'_>) -> Option<Order> {
    let table = relations.table(candidate.table)?;
    let mut parts = Vec::new();
    for table in with_partitions(table, relations) {
        let index = Candidate { table: table.oid, table_name: table.name.clone(), ..Candidate::clone(candidate) };
        let width = |target: &KeyTarget| target.column().and_then(|name| table.column(name)).map_or(super::UNKNOWN_WIDTH, column_bytes);
        let key_bytes = candidate.keys.iter().map(|key| width(&key.target)).sum();
        parts.push(Part { table: table.name.clone(), rows: table.rows_now(), index, key_bytes });
    }
    Some(Order {
        number,
        table: table.name.clone(),
        method: candidate.method.clone(),
        sql: candidates::definition(candidate, number),
        predicate: candidate.predicate.clone(),
        expressions: candidate
            .keys
            .iter()
            .zip(1..)
            .filter_map(|(key, place)| match &key.target {
                KeyTarget::Expression(expression) => Some((place, expression.clone())),
                KeyTarget::Column(_) => None,
            })
            .collect(),
        parts,
    })
}

/// Returns the tables that hold rows of a table: itself, or the partitions of a partitioned one.
fn with_partitions<'a>(table: &'a Table, relations: &Relations<'a>) -> Vec<&'a Table> {
    let mut found = Vec::new();
    let mut open: Vec<Oid> = vec![table.oid];
    while let Some(oid) = open.pop() {
        let Some(table) = relations.table(oid) else { continue };
        if table.kind == TableKind::Partitioned {
            open.extend(relations.children_of(oid).map(|child| child.oid));
        } else {
            found.push(table);
        }
    }
    found
}
