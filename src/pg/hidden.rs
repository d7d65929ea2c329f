//! What a role could not see in a snapshot, each with the statement that would show it.

use std::collections::{BTreeMap, BTreeSet};

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

/// Something whose contents only its owner sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    /// Its name.
    pub(super) name: QualifiedName,
    /// Its table's owner; `None` when that role is gone.
    pub(super) owner: Option<String>,
    /// Whether the owner is a superuser, whose rights are not to be granted for an audit.
    pub(super) superuser: bool,
}

/// Says which extended statistics the role may not see: since 14.12, 15.7 and 16.3 only the table's owner does.
pub(super) fn extended(unreadable: &[Owned], user: &str) -> Option<Hidden> {
    if unreadable.is_empty() {
        return None;
    }
    let names: Vec<String> = unreadable.iter().map(|hidden| hidden.name.to_string()).collect();
    let owners: BTreeSet<&str> =
        unreadable.iter().filter(|hidden| !hidden.superuser).filter_map(|hidden| hidden.owner.as_deref()).collect();
    let grants: Vec<String> = owners.iter().map(|owner| format!("grant {} to {};", name::quoted(owner), name::quoted(user))).collect();
    Some(Hidden {
        what: format!("contents of {} extended statistics ({})", names.len(), shown(&names)),
        effect: "conditions on several columns together are priced as if the columns were independent; only the tables' owners see them"
            .to_owned(),
        remedy: grants.join(" "),
    })
}

/// Says that the server would not print some kind of object.
pub(super) fn refused(what: &str, said: &str) -> Hidden {
    Hidden {
        what: format!("{what}: the server said: {said}"),
        effect: format!("statements that use {what} cannot be planned"),
        remedy: String::new(),
    }
}

/// Says what bears on plans and is not in a snapshot at all.
pub(super) fn left_out(foreign_tables: &[String], several_parents: &[String], tablespaces: &[String]) -> Vec<Hidden> {
    let entry = |names: &[String], what: String, effect: &str| {
        (!names.is_empty()).then(|| Hidden { what: format!("{what} ({})", shown(names)), effect: effect.to_owned(), remedy: String::new() })
    };
    let (foreign, several, spaces) = (foreign_tables.len(), several_parents.len(), tablespaces.len());
    [
        entry(foreign_tables, format!("{foreign} foreign tables"), "statements that read them cannot be planned"),
        entry(
            several_parents,
            format!("all but the first parent of {several} tables"),
            "plans over the other parents leave these tables out",
        ),
        entry(tablespaces, format!("page costs of {spaces} tablespaces"), "tables there are priced with the server's page costs"),
    ]
    .into_iter()
    .flatten()
    .collect()
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

    #[test]
    fn a_superusers_rights_are_never_the_remedy() {
        let owned = |owner: &str, superuser| Owned { name: QualifiedName::new("s", "x"), owner: Some(owner.to_owned()), superuser };
        let remedy = |unreadable: &[Owned]| extended(unreadable, "me").map(|hidden| hidden.remedy);
        assert_eq!(
            remedy(&[owned("postgres", true), owned("Shop", false), owned("Shop", false)]).as_deref(),
            Some("grant \"Shop\" to me;")
        );
        assert_eq!((remedy(&[owned("postgres", true)]).as_deref(), remedy(&[])), (Some(""), None));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        assert_eq!(left_out(&[], &[], &[]), []);
        let hidden = left_out(&["s.f".to_owned()], &[], &["fast (random_page_cost=1.1)".to_owned()]);
        let whats: Vec<&str> = hidden.iter().map(|hidden| hidden.what.as_str()).collect();
        assert_eq!(whats, ["1 foreign tables (s.f)", "page costs of 1 tablespaces (fast (random_page_cost=1.1))"]);
    }
}
