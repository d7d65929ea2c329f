//! What else planning needs: views, functions, types, policies; each list in an order in which it can be made.

use super::{Reader, SnapshotError, query, said};
use crate::catalog::order::{Edge, Kind, in_order};
use crate::catalog::{Function, Hidden, Oid, Policy, QualifiedName, UserType, UserTypeKind, View};
use crate::pg::hidden;
use crate::pg::rows::{Fields, RowError};

/// What belongs to the database as a whole, whatever part of it is audited.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Views.
    pub(super) views: Vec<View>,
    /// Functions.
    pub(super) functions: Vec<Function>,
    /// Types.
    pub(super) types: Vec<UserType>,
}

impl Reader<'_> {
    /// Reads views, functions and types; what the server refuses to print is hidden, not fatal.
    pub(super) async fn objects(&self, hidden: &mut Vec<Hidden>) -> Result<Objects, SnapshotError> {
        let mut objects = Objects::default();
        // A view waits for whoever holds what it reads, and that may lie outside the audited part.
        match self.attempt(async || self.views().await).await? {
            Ok(views) => objects.views = views,
            Err(refused) => hidden.push(hidden::refused("views", &said(&refused))),
        }
        match self.attempt(async || self.functions().await).await? {
            Ok(functions) => objects.functions = functions,
            Err(refused) => hidden.push(hidden::refused("functions", &said(&refused))),
        }
        objects.types = self.types().await?;
        let edges = self.dependencies().await?;
        in_order(&mut objects.views, &edges, Kind::Relation, |view| view.oid);
        in_order(&mut objects.functions, &edges, Kind::Function, |function| function.oid);
        in_order(&mut objects.types, &edges, Kind::Type, |found| found.oid);
        Ok(objects)
    }

    async fn views(&self) -> Result<Vec<View>, SnapshotError> {
        let query = query!("views.sql");
        let mut views = Vec::new();
        for row in &self.rows(query, &[]).await? {
            let fields = Fields { row, query: query.name };
            // Null for a view dropped since this transaction's snapshot.
            let Some(definition) = fields.get::<Option<String>>("definition")? else { continue };
            views.push(View {
                oid: fields.get("oid")?,
                name: name(&fields)?,
                columns: fields.list("columns")?,
                definition,
                options: fields.list("options")?,
                extension: fields.get("extension")?,
            });
        }
        Ok(views)
    }

    async fn functions(&self) -> Result<Vec<Function>, SnapshotError> {
        let query = query!("functions.sql");
        let mut functions = Vec::new();
        for row in &self.rows(query, &[]).await? {
            let fields = Fields { row, query: query.name };
            let Some(definition) = fields.get::<Option<String>>("definition")? else { continue };
            functions.push(Function {
                oid: fields.get("oid")?,
                name: name(&fields)?,
                arguments: fields.get("arguments")?,
                language: fields.get("language")?,
                volatility: fields.get("volatility")?,
                definition,
                extension: fields.get("extension")?,
            });
        }
        Ok(functions)
    }

    async fn types(&self) -> Result<Vec<UserType>, SnapshotError> {
        let query = query!("types.sql");
        let mut types = Vec::new();
        for row in &self.rows(query, &[]).await? {
            let fields = Fields { row, query: query.name };
            types.push(UserType {
                oid: fields.get("oid")?,
                name: name(&fields)?,
                kind: kind(&fields)?,
                extension: fields.get("extension")?,
            });
        }
        Ok(types)
    }

    async fn dependencies(&self) -> Result<Vec<Edge>, SnapshotError> {
        let query = query!("dependencies.sql");
        let mut edges = Vec::new();
        for row in &self.rows(query, &[]).await? {
            let fields = Fields { row, query: query.name };
            let kind = |column: &str| -> Result<Kind, RowError> {
                Ok(match fields.get::<&str>(column)? {
                    "relation" => Kind::Relation,
                    "function" => Kind::Function,
                    _ => Kind::Type,
                })
            };
            edges.push(Edge { later: (kind("kind")?, fields.get("oid")?), earlier: (kind("on_kind")?, fields.get("on_oid")?) });
        }
        Ok(edges)
    }

    /// Reads the tables' row security policies.
    pub(super) async fn policies(&self, table_oids: &[Oid]) -> Result<Vec<Policy>, SnapshotError> {
        let query = query!("policies.sql");
        let mut policies = Vec::new();
        for row in &self.rows(query, &[&table_oids]).await? {
            let fields = Fields { row, query: query.name };
            policies.push(Policy {
                table: fields.get("table_oid")?,
                name: fields.get("name")?,
                permissive: fields.get("permissive")?,
                command: fields.get("command")?,
                roles: fields.list("roles")?,
                using: fields.get("using_expression")?,
                check: fields.get("check_expression")?,
            });
        }
        Ok(policies)
    }
}

fn name(fields: &Fields<'_>) -> Result<QualifiedName, RowError> {
    Ok(QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("name")?))
}

fn kind(fields: &Fields<'_>) -> Result<UserTypeKind, RowError> {
    Ok(match fields.get::<&str>("kind")? {
        "e" => UserTypeKind::Enum { labels: fields.list("labels")? },
        "d" => UserTypeKind::Domain {
            base: fields.get("base")?,
            not_null: fields.get("not_null")?,
            collation: fields.get("collation")?,
            checks: fields.list("checks")?,
        },
        "r" => UserTypeKind::Range { subtype: fields.get("subtype")? },
        _ => {
            let names: Vec<String> = fields.list("attribute_names")?;
            let types: Vec<String> = fields.list("attribute_types")?;
            UserTypeKind::Composite { attributes: names.into_iter().zip(types).collect() }
        }
    })
}
