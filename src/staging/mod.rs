//! The demo's product: a year-old sales-outreach database, its data and its traffic.
//!
//! The schema is `migrations/`, the traffic `workloads/`; both are compiled in, so that an installed binary needs no checkout.

pub mod seed;

pub use seed::{SeedError, seed};

macro_rules! files {
    ($folder:literal, $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../", $folder, "/", $name)))),+]
    };
}

/// The schema's migrations: file name and text, in order of version.
pub const MIGRATIONS: &[(&str, &str)] = files!(
    "migrations",
    "V1__users.sql",
    "V2__prospects.sql",
    "V3__campaigns.sql",
    "V4__meetings.sql",
    "V5__email_queue.sql",
    "V6__ai_conversation_log.sql",
    "V7__enrichments.sql",
    "V8__workflow_executions.sql",
    "V9__company_search.sql",
    "V10__foreign_key_checklist.sql",
    "V11__prospect_source.sql",
    "V12__assistant_usage.sql",
    "V13__campaign_pages.sql",
    "V14__search_service.sql",
    "V15__prospect_lead_score.sql",
);

/// The product's traffic: file name and text.
pub const WORKLOADS: &[(&str, &str)] = files!("workloads", "prospects.yaml", "campaigns.yaml", "meetings.yaml", "conversations.yaml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_of_the_folder_is_compiled_in() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut present: Vec<String> = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut listed: Vec<String> = MIGRATIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
        present.sort();
        listed.sort();
        assert_eq!(present, listed);
    }

    #[test]
    fn every_shipped_workload_parses() {
        for (name, text) in WORKLOADS {
            let workload = crate::replay::Workload::parse(text, name).unwrap();
            assert_eq!(format!("{}.yaml", workload.name), *name);
        }
    }
}
