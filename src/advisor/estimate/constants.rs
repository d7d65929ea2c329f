//! The planner's cost constants and what follows from them alone.

use crate::catalog::Server;

/// Cost constants, in units of one sequential page read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Constants {
    pub(crate) seq_page: f64,
    pub(crate) random_page: f64,
    pub(crate) cpu_tuple: f64,
    pub(crate) cpu_index_tuple: f64,
    pub(crate) cpu_operator: f64,
    /// `effective_cache_size`, in pages.
    pub(crate) cache_pages: f64,
    /// `work_mem`, in bytes.
    pub(crate) work_mem: f64,
    /// Pages of all tables: they share the cache.
    pub(crate) all_pages: f64,
}

impl Constants {
    /// Reads the server's settings; the defaults where it does not say.
    pub(crate) fn of(server: &Server, all_pages: f64) -> Self {
        let number = |name: &str, default: f64| server.number(name).filter(|value| value.is_finite() && *value >= 0.0).unwrap_or(default);
        Self {
            seq_page: number("seq_page_cost", 1.0),
            random_page: number("random_page_cost", 4.0),
            cpu_tuple: number("cpu_tuple_cost", 0.01),
            cpu_index_tuple: number("cpu_index_tuple_cost", 0.005),
            cpu_operator: number("cpu_operator_cost", 0.0025),
            cache_pages: number("effective_cache_size", 524_288.0),
            work_mem: number("work_mem", 4096.0) * 1024.0,
            all_pages,
        }
    }

    /// Returns the cost of finding a key's place from the root: comparisons, and 50 operators a page.
    pub(crate) fn descent(&self, rows: f64, height: u32) -> f64 {
        rows.max(2.0).log2().ceil() * self.cpu_operator + f64::from(height + 1) * 50.0 * self.cpu_operator
    }

    /// Returns the cost of sorting, wholly or for the first `limit` rows only.
    ///
    /// Spilling adds one write and one read of every page, three quarters of them sequential (`cost_tuplesort`).
    pub(crate) fn sort(&self, rows: f64, limit: Option<f64>, row_bytes: f64) -> f64 {
        let rows = rows.max(2.0);
        let kept = limit.map_or(rows, |limit| limit.min(rows));
        let comparisons = if kept * 2.0 < rows { rows * (2.0 * kept).max(2.0).log2() } else { rows * rows.log2() };
        let bytes = kept * row_bytes;
        let spill = if bytes > self.work_mem { 2.0 * (bytes / 8192.0) * (self.seq_page * 0.75 + self.random_page * 0.25) } else { 0.0 };
        2.0 * self.cpu_operator * comparisons + spill + self.cpu_operator * kept
    }

    /// Returns how many distinct heap pages `tuples` random look-ups read, given the cache.
    ///
    /// Mackert and Lohman, "Index scans using a finite LRU buffer", TODS 14(3), 1989; `index_pages_fetched` in `costsize.c`.
    pub(crate) fn pages_fetched(&self, tuples: f64, pages: f64, index_pages: f64) -> f64 {
        let total = pages.max(1.0);
        let cache = (self.cache_pages * total / (self.all_pages.max(total) + index_pages)).max(1.0);
        let spread = 2.0 * total * tuples / (2.0 * total + tuples).max(1.0);
        if total <= cache {
            return spread.min(total).ceil();
        }
        let threshold = 2.0 * total * cache / (2.0 * total - cache);
        if tuples <= threshold { spread.ceil() } else { (cache + (tuples - threshold) * (total - cache) / total).ceil() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn fetched_pages_grow_with_look_ups_and_stop_at_the_table() {
        let constants = Constants::of(&sample::crm().server, 10_000.0);
        let fetched = [1.0, 100.0, 10_000.0, 1e9].map(|tuples| constants.pages_fetched(tuples, 1_000.0, 10.0));
        assert!(fetched.is_sorted(), "{fetched:?}");
        assert_eq!((fetched[0], fetched[3]), (1.0, 1_000.0));
    }

    #[test]
    fn the_first_few_rows_are_cheaper_to_sort_out() {
        let constants = Constants::of(&sample::crm().server, 10_000.0);
        assert!(constants.sort(100_000.0, Some(20.0), 100.0) < constants.sort(100_000.0, None, 100.0) / 2.0);
    }
}
