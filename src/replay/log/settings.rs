//! What to set on a server so that its log can be replayed, and what that costs.

/// The settings, for a person to copy; the help of `pgload capture` and its advice where a log holds nothing usable.
pub const SETTINGS: &str = "\
Settings of a server whose log is to be replayed (a reload is enough, but for logging_collector):

  logging_collector = on                # needs a restart where it is off
  log_destination = 'csvlog'            # or 'jsonlog' (15 and later); 'stderr' works with %m, %p or %c and, better, %v in log_line_prefix
  log_min_duration_statement = 0        # each statement in one line: text, parameters, duration
  log_statement = 'none'                # 'all' would take the text off the duration's line
  log_duration = off
  log_parameter_max_length = -1         # parameters whole
  log_connections = on
  log_disconnections = on
  compute_query_id = on                 # joins the statements with pg_stat_statements (14 and later)
  lc_messages = 'C'                     # English

Cost, measured with pgbench's point selects (PostgreSQL 15, two cores): all statements in csvlog take 40 % of the throughput of
simple queries and 48 % of prepared ones. One transaction in a hundred, each whole, takes nothing measurable: set, in place of
log_min_duration_statement,

  log_transaction_sample_rate = 0.01
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_a_terminal_that_a_manual_is_read_on() {
        assert!(SETTINGS.lines().all(|line| line.chars().count() <= 140));
        assert!(SETTINGS.contains("log_min_duration_statement = 0") && SETTINGS.contains("log_transaction_sample_rate = 0.01"));
    }
}
