//! What a role could not see in a snapshot, each with the statement that would show it.

use std::collections::BTreeMap;

use crate::catalog::{Hidden, QualifiedName, Statement, name};

/// Names given in a message before it says "and more".
const NAMES_SHOWN: usize = 5;

/// What an audit loses without statistics, whichever way they are hidden.
const GUESSES: &str = "selectivities there are guesses, so proposals are of low confidence";

/// A table whose column statistics the role does not see, wholly or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// The table.
    pub(super) table: QualifiedName,
    /// Whether row security hides them, which no grant of SELECT changes.
    pub(super) row_security: bool,
}

/// Says how many statements' texts the role may not see.
pub(super) fn statements(statements: &[Statement], reads_all_stats: bool, user: &str) -> Option<Hidden> {
    let unseen: Vec<&Statement> = statements.iter().filter(|statement| statement.query.is_none()).collect();
    if unseen.is_empty() || reads_all_stats {
        return None;
    }
    let time: f64 = unseen.iter().map(|statement| statement.exec_ms_total).sum();
    let total: f64 = statements.iter().map(|statement| statement.exec_ms_total).sum();
    let share = if total > 0.0 { 100.0 * time / total } else { 0.0 };
    Some(Hidden {
        what: format!("text of {} statements of other roles, {share:.1} % of execution time", unseen.len()),
        effect: "these statements are not judged, and no index is proposed for them".to_owned(),
        remedy: format!("grant pg_monitor to {};", name::quoted(user)),
    })
}

/// Says which tables' column statistics the role may not see: one entry a schema, and one for row security.
pub(super) fn tables(unreadable: &[Unreadable], user: &str) -> Vec<Hidden> {
    let role = name::quoted(user);
    let mut by_schema: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for hidden in unreadable.iter().filter(|hidden| !hidden.row_security) {
        by_schema.entry(&hidden.table.schema).or_default().push(&hidden.table.name);
    }
    let by_privilege = |(schema, tables): (&str, Vec<&str>)| {
        let quoted = name::quoted(schema);
        Hidden {
            what: format!("column statistics of {} tables in schema {quoted} ({})", tables.len(), shown(&tables)),
            effect: GUESSES.to_owned(),
            remedy: format!("grant usage on schema {quoted} to {role}; grant select on all tables in schema {quoted} to {role};"),
        }
    };
    let mut hidden: Vec<Hidden> = by_schema.into_iter().map(by_privilege).collect();
    let secured: Vec<String> = unreadable.iter().filter(|hidden| hidden.row_security).map(|hidden| hidden.table.to_string()).collect();
    if !secured.is_empty() {
        hidden.push(Hidden {
            what: format!("column statistics of {} tables with row security ({})", secured.len(), shown(&secured)),
            effect: GUESSES.to_owned(),
            remedy: format!("alter role {role} bypassrls;"),
        });
    }
    hidden
}

/// Says how many indexes have expressions whose statistics the role may not see: SELECT on the table does not show them.
pub(super) fn expressions(indexes: usize, user: &str) -> Option<Hidden> {
    (indexes > 0).then(|| Hidden {
        what: format!("statistics of the expressions of {indexes} indexes"),
        effect: "conditions on these expressions are priced with the planner's defaults".to_owned(),
        remedy: format!("grant pg_read_all_data to {};", name::quoted(user)),
    })
}

fn shown<T: AsRef<str>>(names: &[T]) -> String {
    let mut text = names.iter().take(NAMES_SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreadable(schema: &str, name: &str, row_security: bool) -> Unreadable {
        Unreadable { table: QualifiedName::new(schema, name), row_security }
    }

    #[test]
    fn each_schema_has_its_grant_and_row_security_another_remedy() {
        let hidden = tables(&[unreadable("a", "t", false), unreadable("B c", "u", false), unreadable("a", "v", true)], "me too");
        let remedies: Vec<&str> = hidden.iter().map(|hidden| hidden.remedy.as_str()).collect();
        assert_eq!(
            remedies,
            [
                "grant usage on schema \"B c\" to \"me too\"; grant select on all tables in schema \"B c\" to \"me too\";",
                "grant usage on schema a to \"me too\"; grant select on all tables in schema a to \"me too\";",
                "alter role \"me too\" bypassrls;",
            ]
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<Unreadable> = (0..7).map(|number| unreadable("s", &format!("t{number}"), false)).collect();
        assert!(tables(&many, "me")[0].what.ends_with("7 tables in schema s (t0, t1, t2, t3, t4, …)"));
        assert_eq!(expressions(0, "me"), None);
    }
}
