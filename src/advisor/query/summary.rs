//! Blocks in one line each, for tests that people read.

use super::{Access, Arm, Block, Class, Condition, Containment, ExpressionCondition, Limit, Operand};
use crate::catalog::{KeyTarget, Snapshot};

/// Prints a block: its tables with what is asked of them, its order, grouping and limit.
pub(super) fn block(snapshot: &Snapshot, block: &Block) -> String {
    let name =
        |access: &Access| snapshot.tables.iter().find(|table| table.oid == access.table).map_or("?", |table| &table.name.name).to_owned();
    let mut text = block.accesses.iter().map(|found| format!("{}[{}]", name(found), access(found))).collect::<Vec<_>>().join(" ");
    let sort: Vec<String> = block
        .sort
        .iter()
        .map(|key| {
            let nulls = match (key.descending, key.nulls_first) {
                (true, false) => " nulls last",
                (false, true) => " nulls first",
                _ => "",
            };
            format!("{}{}{nulls}", target(&key.of.target), if key.descending { " desc" } else { "" })
        })
        .collect();
    let grouping: Vec<String> = block.grouping.iter().map(|of| target(&of.target)).collect();
    for (word, keys) in [("order", sort), ("group", grouping)] {
        if !keys.is_empty() {
            text += &format!(" {word} {}", keys.join(", "));
        }
    }
    for (word, holds) in [("sorted otherwise", block.sort_by_expression), ("grouped", block.grouped), ("aggregate", block.aggregate)] {
        if holds && (word != "grouped" || block.grouping.is_empty()) {
            text += &format!(" {word}");
        }
    }
    match block.limit {
        Some(Limit::Rows(rows)) => text += &format!(" limit {rows}"),
        Some(Limit::Parameter) => text += " limit $",
        None => {}
    }
    if block.correlated {
        text += &format!(" for each of {}", block.parent.map_or("?".to_owned(), |parent| parent.to_string()));
    }
    text
}

fn access(access: &Access) -> String {
    let mut parts: Vec<String> = access.conditions.iter().map(condition).collect();
    parts.extend(access.expressions.iter().map(expression));
    parts.extend(access.containments.iter().map(containment));
    parts.extend(access.alternatives.iter().map(|arms| format!("({})", arms.iter().map(arm).collect::<Vec<_>>().join(" | "))));
    parts.extend(access.constants.iter().map(|constant| format!("#{}", constant.text)));
    parts.extend(access.nearest.iter().map(|nearest| format!("near {}", target(nearest))));
    parts.join("; ")
}

fn arm(arm: &Arm) -> String {
    let conditions = arm.conditions.iter().map(condition);
    conditions.chain(arm.expressions.iter().map(expression)).chain(arm.containments.iter().map(containment)).collect::<Vec<_>>().join(" & ")
}

fn condition(condition: &Condition) -> String {
    asked(&condition.column, &condition.class, &condition.operand)
}

fn expression(condition: &ExpressionCondition) -> String {
    asked(&format!("{{{}}}", condition.expression), &condition.class, &condition.operand)
}

fn containment(containment: &Containment) -> String {
    format!("{} {} {}", target(&containment.target), containment.operator, operand(&containment.operand))
}

fn target(target: &KeyTarget) -> String {
    match target {
        KeyTarget::Column(column) => column.clone(),
        KeyTarget::Expression(expression) => format!("{{{expression}}}"),
    }
}

fn asked(of: &str, class: &Class, with: &Operand) -> String {
    match class {
        Class::Equality { values: 1 } => format!("{of} = {}", operand(with)),
        Class::Equality { values } => format!("{of} in {values}"),
        Class::IsNull => format!("{of} null"),
        Class::NotNull => format!("{of} not null"),
        Class::Above => format!("{of} > {}", operand(with)),
        Class::Below => format!("{of} < {}", operand(with)),
        Class::Prefix(prefix) => format!("{of} begins {prefix}"),
    }
}

fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Parameter => "$".to_owned(),
        Operand::Literal(text) => format!("'{text}'"),
        Operand::Joined { access, column } => format!("{access}.{}", column.as_deref().unwrap_or("?")),
        Operand::Outer => "outer".to_owned(),
        Operand::Subquery => "rows".to_owned(),
        Operand::Expression => "*".to_owned(),
    }
}
