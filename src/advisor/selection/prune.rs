//! Which candidates the planner would ever use: the first thing asked, because it spares most other questions.
//!
//! One question a statement with all its candidates there names those worth having (as DB2Advis does); asked again without
//! those, the planner names what it would do with instead. What no plan uses is looked at no more.

use std::collections::{BTreeMap, BTreeSet};

use super::Task;
use crate::advisor::cost::CostModel;
use crate::advisor::prices::{Prices, Question};

/// How often a statement is asked, the third time without what it used the first and second time.
const ROUNDS: usize = 3;
/// The most candidates of one plan that are taken as helping only together.
const TEAM_MAX: usize = 4;

/// Candidates worth searching among.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    /// Ascending.
    pub(super) items: Vec<usize>,
    /// Sets added as one: groups that were made to be, and what one plan uses.
    pub(super) teams: Vec<Vec<usize>>,
    /// What was learnt on the way: statement, candidates its plan uses, cost.
    pub(super) plans: Vec<(usize, Vec<usize>, f64)>,
}

impl Pool {
    /// Returns the pool of one part of the workload.
    pub(super) fn within(&self, items: &BTreeSet<usize>) -> Self {
        Self {
            items: self.items.iter().copied().filter(|item| items.contains(item)).collect(),
            teams: self.teams.iter().filter(|team| team.iter().all(|item| items.contains(item))).cloned().collect(),
            plans: self.plans.iter().filter(|(_, used, _)| used.iter().all(|item| items.contains(item))).cloned().collect(),
        }
    }
}

/// Returns a pool for each width from 1 on in which there is something new; each contains the one before.
pub(super) fn prune<M: CostModel + ?Sized>(prices: &mut Prices<'_, M>, task: &Task<'_>, bare: &[Option<f64>]) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    let (mut kept, mut teams, mut plans, mut seen) = (BTreeSet::new(), BTreeSet::new(), Vec::new(), 0);
    for width in 1..=task.budget.width_max.max(1) {
        let narrow: Vec<usize> = (0..prices.candidates.len()).filter(|item| prices.candidates[*item].keys.len() <= width).collect();
        if narrow.len() == seen || (width > 1 && prices.out_of_time()) {
            continue;
        }
        seen = narrow.len();
        let all = prices.marks(narrow);
        let mut left: BTreeMap<usize, Vec<bool>> = task.planned.iter().map(|query| (*query, all.clone())).collect();
        for _ in 0..ROUNDS {
            let questions: Vec<Question> = left.iter().map(|(query, marks)| prices.question(*query, marks)).collect();
            prices.fetch(questions);
            let mut next = BTreeMap::new();
            for (query, mut marks) in left {
                let (cost, used) = prices.answer(&prices.question(query, &marks));
                // What helps no more will help even less with less.
                if used.is_empty() || bare[query].is_none_or(|bare| cost >= bare) || prices.weight(query) <= 0.0 {
                    continue;
                }
                kept.extend(&used);
                if (2..=TEAM_MAX).contains(&used.len()) {
                    teams.insert(used.clone());
                }
                used.iter().for_each(|item| marks[*item] = false);
                plans.push((query, used, cost));
                next.insert(query, marks);
            }
            left = next;
        }
        // What begins as a useful index does may be the answer where there is no room for all of it.
        for item in kept.clone() {
            let wide = &prices.candidates[item];
            let before = (0..item).rev().take_while(|other| prices.candidates[*other].table == wide.table);
            let begins = |other: &usize| prices.candidates[*other].included.is_empty() && prices.candidates[*other].is_prefix_of(wide);
            kept.extend(before.filter(begins).collect::<Vec<_>>());
        }
        teams.extend(task.groups.iter().filter(|group| group.iter().all(|item| kept.contains(item))).cloned());
        pools.push(Pool { items: kept.iter().copied().collect(), teams: teams.iter().cloned().collect(), plans: plans.clone() });
    }
    pools
}
