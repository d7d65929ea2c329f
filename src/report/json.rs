//! JSON as files hold it: indented, with a newline at the end.

use serde::Serialize;

/// Writes a result as an indented JSON document that ends with a newline.
///
/// # Panics
///
/// When the type cannot be JSON (a map whose keys are not text); no result type of this crate is such a one.
/// A float that is not finite becomes null.
pub fn to_string_pretty<T: Serialize + ?Sized>(result: &T) -> String {
    let mut text = serde_json::to_string_pretty(result).expect("result types have text keys and serialise without fail");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, sample};

    #[test]
    fn a_document_ends_with_one_newline_and_reads_back() {
        let report = sample::report();
        let text = to_string_pretty(&report);
        assert!(text.ends_with("}\n") && !text.ends_with("\n\n"));
        let read: Report = serde_json::from_str(&text).expect("own output is readable");
        assert_eq!(read, report);
    }

    #[test]
    fn runs_and_comparisons_have_the_keys_other_programs_read() {
        let run = serde_json::to_value(sample::run_before()).unwrap();
        for key in [
            "schema_version",
            "kind",
            "name",
            "about",
            "started_at",
            "seed",
            "arrival",
            "duration_ms",
            "partial",
            "health",
            "totals",
            "series",
            "labels",
            "server",
            "thresholds",
            "caveats",
        ] {
            assert!(run.get(key).is_some(), "run lacks {key}");
        }
        let label = &run["labels"]["lead list"];
        for key in ["count", "errors", "response_us", "service_us", "lag_us", "rows", "blocks"] {
            assert!(label.get(key).is_some(), "label lacks {key}");
        }
        let comparison = serde_json::to_value(sample::comparison()).unwrap();
        for key in ["schema_version", "design", "rounds", "calibration", "metrics", "exact", "verdict"] {
            assert!(comparison.get(key).is_some(), "comparison lacks {key}");
        }
        for key in ["label", "blocks_per_call", "rows_per_call", "plan_changed"] {
            assert!(comparison["exact"][0].get(key).is_some(), "exact lacks {key}");
        }
        assert!(comparison["exact"][0]["blocks_per_call"]["before"].is_number());
    }
}
