//! A search near good sets, at a ladder of sizes: add, take away, swap, narrow, merge, make room.

use super::Part;
use super::frontier::Archive;
use super::prune::Pool;
use super::state::{Move, Rank, Search, State, Wish};
use crate::advisor::cost::CostModel;
use crate::units::Bytes;

/// Steps of the ladder, each this share of the next; the highest is the size of the best set there is.
const STEP: f64 = 0.72;
/// How many steps: the lowest is a thirty-seventh of the highest, since covering indexes for everything take several times
/// what the tables do, and budgets are shares of the tables. Below it the walks' own sets answer.
const STEPS: i32 = 12;
/// Changes taken at one step of the ladder: in practice a search ends long before.
const CHANGES_MAX: usize = 24;
/// The least share of the workload's cost that is worth another round.
const GAIN_MIN: f64 = 1e-6;

impl<M: CostModel + ?Sized> Search<'_, '_, M> {
    /// Climbs the ladder up to the first step that holds the budget; returns whether there was time.
    ///
    /// A step looks at sets found by itself and by lower steps only, so that it finds the same whatever the budget.
    pub(super) fn climb(&mut self, part: &Part, pool: &Pool, archive: &mut Archive, size_max: Option<Bytes>) -> bool {
        let Some((highest, _)) = archive.cheapest(u64::MAX, 0) else { return true };
        let highest: u64 = highest.iter().map(|member| self.prices.sizes[*member].0).sum();
        for level in 1..=STEPS {
            // The highest step has no limit: a better set may be larger.
            let most = if level == STEPS { u64::MAX } else { (highest as f64 * STEP.powi(STEPS - level)) as u64 };
            if !self.improve(part, pool, archive, level as usize, most) {
                return false;
            }
            if size_max.is_some_and(|Bytes(budget)| budget <= most) {
                break;
            }
        }
        true
    }

    /// Improves the cheapest set of at most that size; returns whether there was time.
    fn improve(&mut self, part: &Part, pool: &Pool, archive: &mut Archive, level: usize, most: u64) -> bool {
        let Some((start, _)) = archive.cheapest(most, level) else { return true };
        let mut state = self.state(part, &start);
        for _ in 0..CHANGES_MAX {
            if self.prices.out_of_time() {
                return false;
            }
            let changes = self.neighbours(&state, pool, most);
            let wish = Wish { rank: Rank::Gain, gain_above: GAIN_MIN * self.guard.workload, worthwhile: false };
            let Some((change, judged)) = self.best(&state, changes, wish) else { break };
            self.take(&mut state, &change, &judged);
            archive.keep(&state, level);
        }
        self.tidy(state, archive, level);
        true
    }

    /// Returns the changes of a set that keep it within a size.
    fn neighbours(&mut self, state: &State, pool: &Pool, most: u64) -> Vec<Move> {
        let room = i128::from(most) - i128::from(state.size);
        let mut changes: Vec<Move> = Vec::new();
        let mut losses: Option<Vec<usize>> = None;
        for mut change in self.additions(state, pool, usize::MAX) {
            if self.growth(&change) > room {
                if losses.is_none() {
                    losses = Some(self.by_loss(state));
                }
                // Makes room by what is missed least a byte.
                for member in losses.iter().flatten() {
                    if self.growth(&change) <= room {
                        break;
                    }
                    if !change.remove.contains(member) {
                        change.remove.push(*member);
                    }
                }
            }
            changes.push(change);
        }
        for member in &state.members {
            changes.push(Move { add: Vec::new(), remove: vec![*member] });
            let table = self.prices.candidates[*member].table;
            // Another one in its place: a narrower, a wider, or one that also does what its own prefixes here do.
            for item in pool.items.iter().filter(|item| self.prices.candidates[**item].table == table && !state.members.contains(item)) {
                let mut change = self.adding(state, &[*item]);
                if !change.remove.contains(member) {
                    change.remove.push(*member);
                    changes.push(change);
                }
            }
        }
        changes.retain(|change| self.growth(change) <= room);
        changes
    }

    /// Returns the members, the one missed least a byte first.
    fn by_loss(&mut self, state: &State) -> Vec<usize> {
        let mut losses: Vec<(f64, usize)> = Vec::new();
        for member in &state.members {
            let judged = self.judge(state, &Move { add: Vec::new(), remove: vec![*member] });
            losses.push((-judged.gain / self.prices.sizes[*member].0.max(1) as f64, *member));
        }
        losses.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        losses.into_iter().map(|(_, member)| member).collect()
    }
}
