//! Which statements of a session belong to one transaction.

use super::control::Control;

/// The transactions of a session, one after the other.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    number: u64,
    /// The virtual id, once a line has said it.
    vxid: Option<String>,
    /// Whether the next statement may belong to it too.
    live: bool,
    /// Whether BEGIN was seen.
    block: bool,
    /// Whether a statement of the block has failed: the id is gone from then on, and the block goes on to its ROLLBACK.
    aborted: bool,
}

impl Transactions {
    /// Returns the number of the transaction a statement belongs to; `new` makes one.
    ///
    /// The virtual transaction id decides where the log has it: it also holds together what one pipeline ran without BEGIN, and
    /// parts transactions whose COMMIT is not in the log. Where `logs_vxid` and there is none, the statement ended outside any.
    pub(super) fn of(&mut self, vxid: Option<&str>, logs_vxid: bool, control: &Control, failed: bool, new: impl FnOnce() -> u64) -> u64 {
        // What ends a block is logged outside of it, and in the next one with AND CHAIN.
        let ends = control.block_after.is_some() && !control.begins;
        let same = self.live
            && match vxid {
                _ if ends && self.block => true,
                Some(vxid) => self.vxid.as_deref().map_or(self.block, |known| known == vxid),
                None => self.block && (self.aborted || !logs_vxid),
            };
        if !same {
            *self = Self { number: new(), vxid: None, live: true, block: false, aborted: false };
        }
        if self.vxid.is_none() {
            self.vxid = vxid.map(str::to_owned);
        }
        if vxid.is_some() {
            self.aborted = false;
        }
        self.aborted |= failed;
        match control.block_after {
            // A text that began a block and failed has not come to its COMMIT.
            Some(false) if !(failed && control.begins) => self.live = false,
            // AND CHAIN: another id, and no BEGIN that another connection could be given.
            Some(true) if !control.begins => (self.vxid, self.block, self.aborted) = (None, true, false),
            Some(_) => self.block = true,
            None if self.block => {}
            None => self.live = vxid.is_some(),
        }
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::control;
    use super::*;

    /// Numbers a session's statements, given as (vxid, text).
    fn numbers(logs_vxid: bool, statements: &[(Option<&str>, &str)]) -> Vec<u64> {
        let mut transactions = Transactions::default();
        let mut next = 0;
        let mut of = |(vxid, text): &(Option<&str>, &str)| {
            transactions.of(*vxid, logs_vxid, &control(text), false, || {
                next += 1;
                next
            })
        };
        statements.iter().map(&mut of).collect()
    }

    #[test]
    fn blocks_hold_together_with_and_without_ids() {
        let texts = ["begin", "select 1", "commit", "select 2", "select 3", "begin", "savepoint a", "rollback to a", "rollback"];
        let ids = [Some("3/1"), Some("3/1"), None, None, None, Some("3/4"), Some("3/4"), Some("3/4"), None];
        let expected = [1, 1, 1, 2, 3, 4, 4, 4, 4];
        assert_eq!(numbers(true, &ids.into_iter().zip(texts).collect::<Vec<_>>()), expected);
        assert_eq!(numbers(false, &texts.map(|text| (None, text))), expected);
    }

    #[test]
    fn a_pipeline_and_a_block_whose_begin_is_missing_hold_together_by_id() {
        assert_eq!(numbers(true, &[(Some("3/1"), "a"), (Some("3/1"), "b"), (Some("3/2"), "c")]), [1, 1, 2]);
    }

    #[test]
    fn a_failed_block_has_no_id_any_more_and_goes_on_to_its_end() {
        let mut transactions = Transactions::default();
        let mut next = 0;
        let mut of = |vxid: Option<&str>, text: &str, failed: bool| {
            transactions.of(vxid, true, &control(text), failed, || {
                next += 1;
                next
            })
        };
        let id = Some("3/1");
        let numbers = [
            of(id, "begin", false),
            of(id, "select 1/0", true),
            of(None, "select 1", true),
            of(None, "rollback", false),
            of(None, "x", false),
        ];
        assert_eq!(numbers, [1, 1, 1, 1, 2]);
    }

    #[test]
    fn a_lost_commit_does_not_join_two_transactions() {
        assert_eq!(numbers(true, &[(Some("3/1"), "begin"), (Some("3/2"), "begin"), (Some("3/2"), "x"), (None, "y")]), [1, 2, 2, 3]);
    }

    #[test]
    fn chained_transactions_stay_together() {
        let chained = [(Some("3/1"), "begin"), (Some("3/2"), "commit and chain"), (Some("3/2"), "x"), (None, "commit"), (None, "y")];
        assert_eq!(numbers(true, &chained), [1, 1, 1, 1, 2]);
    }
}
