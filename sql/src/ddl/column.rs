//! Column definitions: types, defaults, identity, generated columns, serial.

use super::{Ddl, names};
use crate::bind::Names;
use crate::catalog::{Column, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{
    ColumnConstraintKind, ColumnDefinition, Expr, SequenceOptions, TableConstraint, TableConstraintKind,
    TypeName,
};
use crate::types::{Datum, Oid, Type};

const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];
/// As PostgreSQL's MaxHeapAttributeNumber.
const COLUMNS_MAX: usize = 1600;

/// A constraint to be added once all columns are there.
pub(super) struct Pending {
    pub constraint: TableConstraint,
    /// The column it was written behind.
    pub column: Option<String>,
}

/// serial and its kin: the integer type behind the word.
fn serial_type(name: &TypeName) -> Option<Type> {
    let [name] = &name.name.parts[..] else { return None };
    match name.as_str() {
        "smallserial" | "serial2" => Some(Type::INT2),
        "serial" | "serial4" => Some(Type::INT4),
        "bigserial" | "serial8" => Some(Type::INT8),
        _ => None,
    }
}

impl Ddl<'_> {
    /// Appends a column to the (new or copied) descriptor, creating its sequence if it has one. Constraints that concern the table
    /// are queued.
    /// Whether there are such a type and collation.
    pub(super) fn check_column_type(&self, definition: &ColumnDefinition) -> Result<()> {
        if serial_type(&definition.data_type).is_some() {
            return Ok(());
        }
        let (data_type, _) = self.column_type(&definition.name, &definition.data_type)?;
        let collation = definition.collation.as_ref();
        collation.map(|collation| names::collation_of(collation, data_type)).transpose().map(drop)
    }

    pub(super) fn add_column(
        &self,
        table: &mut Table,
        definition: &ColumnDefinition,
        pending: &mut Vec<Pending>,
    ) -> Result<()> {
        let name = &definition.name;
        check_name(table, name)?;
        let serial = serial_type(&definition.data_type);
        let (data_type, modifier) = match serial {
            Some(data_type) => (data_type, -1),
            None => self.column_type(name, &definition.data_type)?,
        };
        data_type.check_not_within(Type(table.row_type))?;
        let collation = definition.collation.as_ref();
        let collation = collation.map(|collation| names::collation_of(collation, data_type)).transpose()?;
        let number = i16::try_from(table.columns.len() + 1)
            .ok()
            .filter(|&number| number as usize <= COLUMNS_MAX)
            .ok_or_else(|| {
                Error::new(
                    SqlState::TOO_MANY_COLUMNS,
                    format!("tables can have at most {COLUMNS_MAX} columns"),
                )
            })?;
        table.columns.push(Column {
            name: name.clone(),
            number,
            data_type: data_type.0,
            modifier,
            collation,
            not_null: serial.is_some(),
            default: None,
            generated: false,
            identity: None,
            sequence: None,
            missing: None,
            dropped: false,
            inherited: 0,
            local: true,
            comment: None,
            acl: None,
        });
        let position = table.columns.len() - 1;
        if serial.is_some() {
            let sequence = self.owned_sequence(table, position, data_type, &SequenceOptions::default())?;
            let word = if self.catalog().table(table.oid).is_some() { "ALTER" } else { "CREATE" };
            self.debug(format!(
                "{word} TABLE will create implicit sequence \"{}\" for serial column \"{}.{}\"",
                sequence.name, table.name, table.columns[position].name
            ));
            table.columns[position].default = Some(self.nextval_text(&sequence));
            table.columns[position].sequence = Some(sequence.oid);
        }
        for constraint in &definition.constraints {
            self.column_constraint(table, position, &constraint.name, &constraint.kind, pending)?;
        }
        Ok(())
    }

    /// A column that a parent has is defined again.
    pub(super) fn merge_column(
        &self,
        table: &mut Table,
        position: usize,
        definition: &ColumnDefinition,
        pending: &mut Vec<Pending>,
    ) -> Result<()> {
        let name = &definition.name;
        self.notice(format!("merging column \"{name}\" with inherited definition"));
        let (data_type, modifier) = match serial_type(&definition.data_type) {
            Some(data_type) => (data_type, -1),
            None => self.column_type(name, &definition.data_type)?,
        };
        let inherited = &table.columns[position];
        if (inherited.data_type(), inherited.modifier) != (data_type, modifier) {
            let message = format!("column \"{name}\" has a type conflict");
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).detail(format!(
                "{} versus {}",
                crate::types::format_type(inherited.data_type(), inherited.modifier),
                crate::types::format_type(data_type, modifier)
            )));
        }
        table.columns[position].local = true;
        self.column_constraints(table, position, &definition.constraints, pending)
    }

    /// What is said of a column that was inherited; a default takes the place of the parent's.
    pub(super) fn column_constraints(
        &self,
        table: &mut Table,
        position: usize,
        constraints: &[crate::parse::ast::ColumnConstraint],
        pending: &mut Vec<Pending>,
    ) -> Result<()> {
        for constraint in constraints {
            let column = &mut table.columns[position];
            if matches!(constraint.kind, ColumnConstraintKind::Default(..)) && !column.generated {
                column.default = None;
            }
            if column.generated && matches!(constraint.kind, ColumnConstraintKind::Generated(..)) {
                column.default = None;
            }
            self.column_constraint(table, position, &constraint.name, &constraint.kind, pending)?;
        }
        Ok(())
    }

    fn column_constraint(
        &self,
        table: &mut Table,
        position: usize,
        constraint: &Option<String>,
        kind: &ColumnConstraintKind,
        pending: &mut Vec<Pending>,
    ) -> Result<()> {
        let name = table.columns[position].name.clone();
        let mut queue = |kind| {
            let constraint = TableConstraint { name: constraint.clone(), kind, position: 0 };
            pending.push(Pending { constraint, column: Some(name.clone()) });
        };
        match kind {
            ColumnConstraintKind::NotNull => table.columns[position].not_null = true,
            ColumnConstraintKind::Null => {
                if table.columns[position].not_null {
                    let message = format!(
                        "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{}\"",
                        table.name
                    );
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
            }
            ColumnConstraintKind::Default(expr, text) => {
                let has_one = table.columns[position].default.is_some();
                if has_one {
                    let message = format!(
                        "multiple default values specified for column \"{name}\" of table \"{}\"",
                        table.name
                    );
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                self.set_default(table, position, expr, text)?;
            }
            ColumnConstraintKind::Generated(expr, text) => {
                let column = &table.columns[position];
                self.with_plan_context(|context| {
                    let target = (column.data_type(), column.modifier);
                    crate::bind::table_expression(expr, table, Some(target), context)
                })?;
                if super::expression::names_column(text, &name) {
                    let message =
                        format!("cannot use generated column \"{name}\" in column generation expression");
                    return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
                }
                let target = (column.data_type(), column.modifier);
                let text = self.spelled_out(text, Names::Table(table), Some(target))?;
                table.columns[position].default = Some(text);
                table.columns[position].generated = true;
            }
            ColumnConstraintKind::Identity { always, options } => {
                self.set_identity(table, position, *always, options)?;
            }
            ColumnConstraintKind::Check(expr, text, no_inherit) => {
                queue(TableConstraintKind::Check {
                    expr: expr.clone(),
                    text: text.clone(),
                    no_inherit: *no_inherit,
                });
            }
            ColumnConstraintKind::PrimaryKey { deferrable } => queue(TableConstraintKind::PrimaryKey {
                columns: vec![name.clone()],
                include: Vec::new(),
                using_index: None,
                deferrable: *deferrable,
            }),
            ColumnConstraintKind::Unique { nulls_not_distinct, deferrable } => {
                queue(TableConstraintKind::Unique {
                    columns: vec![name.clone()],
                    include: Vec::new(),
                    nulls_not_distinct: *nulls_not_distinct,
                    using_index: None,
                    deferrable: *deferrable,
                });
            }
            ColumnConstraintKind::References(reference) => queue(TableConstraintKind::ForeignKey {
                columns: vec![name.clone()],
                reference: reference.clone(),
            }),
        }
        Ok(())
    }

    pub(super) fn set_default(
        &self,
        table: &mut Table,
        position: usize,
        expr: &Expr,
        text: &str,
    ) -> Result<()> {
        let column = &table.columns[position];
        if column.identity.is_some() || column.generated {
            let kind = if column.generated { "a generated" } else { "an identity" };
            let message =
                format!("column \"{}\" of relation \"{}\" is {kind} column", column.name, table.name);
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let target = (column.data_type(), column.modifier);
        let bound =
            self.with_plan_context(|context| crate::bind::standalone_expression(expr, target, context))?;
        let sequence = sequence_of(&bound).and_then(|oid| self.catalog().sequence(oid));
        let text = match &sequence {
            Some(sequence) => self.nextval_text(sequence),
            None => self.spelled_out(text, Names::None, Some(target))?,
        };
        let column = &mut table.columns[position];
        column.default = Some(text);
        column.sequence = sequence.map(|sequence| sequence.oid);
        Ok(())
    }

    pub(super) fn set_identity(
        &self,
        table: &mut Table,
        position: usize,
        always: bool,
        options: &SequenceOptions,
    ) -> Result<()> {
        let column = &table.columns[position];
        if column.default.is_some() || column.identity.is_some() {
            let message = format!(
                "both default and identity specified for column \"{}\" of table \"{}\"",
                column.name, table.name
            );
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let data_type = column.data_type();
        if crate::sequence::type_range(data_type).is_none() {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        let sequence = self.owned_sequence(table, position, data_type, options)?;
        let column = &mut table.columns[position];
        column.not_null = true;
        column.identity = Some(always);
        column.sequence = Some(sequence.oid);
        Ok(())
    }

    pub(super) fn column_type(&self, column: &str, name: &TypeName) -> Result<(Type, i32)> {
        let (data_type, modifier) =
            self.with_plan_context(|context| crate::bind::resolve_type(name, context))?;
        if data_type.is_pseudo() {
            let message = format!("column \"{column}\" has pseudo-type {}", data_type.display());
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        self.use_type(data_type)?;
        Ok((data_type, modifier))
    }
}

pub(super) fn check_name(table: &Table, name: &str) -> Result<()> {
    if SYSTEM_COLUMNS.contains(&name) {
        let message = format!("column name \"{name}\" conflicts with a system column name");
        return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
    }
    if table.column_index(name).is_some() {
        let message = format!("column \"{name}\" specified more than once");
        return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
    }
    Ok(())
}

/// The sequence that a default is the next value of.
fn sequence_of(default: &crate::expr::Expr) -> Option<Oid> {
    use crate::expr::Expr;
    match default {
        Expr::Cast { operand, .. } => sequence_of(operand),
        Expr::Call { function, arguments, .. } => match (function.name, &arguments[..]) {
            ("nextval", [Expr::Constant { value: Datum::Oid(sequence), .. }]) => Some(*sequence),
            _ => None,
        },
        _ => None,
    }
}
