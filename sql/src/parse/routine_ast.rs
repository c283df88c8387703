//! The syntax tree of functions, procedures, triggers and MERGE.

use super::ast::{Alias, Assignment, Expr, Name, ObjectName, RoleSpec, SetValue, TableRef, TypeName, With};
use crate::functions::Volatility;

#[derive(Clone, Debug, PartialEq)]
pub struct CreateRoutine {
    pub replace: bool,
    pub procedure: bool,
    pub name: ObjectName,
    pub arguments: Vec<RoutineArgument>,
    /// RETURNS; RETURNS TABLE's columns are arguments.
    pub returns: Option<RoutineType>,
    pub options: RoutineOptions,
}

/// A type name, or the type of a column: `t.c%TYPE`.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutineType {
    pub name: TypeName,
    pub of_column: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentMode {
    In,
    Out,
    InOut,
    Variadic,
    Table,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RoutineArgument {
    pub mode: ArgumentMode,
    pub name: Option<Name>,
    pub data_type: RoutineType,
    /// With its text.
    pub default: Option<(Expr, String)>,
}

/// The clauses after the signature; ALTER FUNCTION has some of them too.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RoutineOptions {
    pub language: Option<Name>,
    pub body: Option<String>,
    /// `AS 'file', 'symbol'`
    pub symbol: Option<String>,
    /// `RETURN expression` or `BEGIN ATOMIC … END`, as written.
    pub sql_body: Option<String>,
    pub strict: Option<bool>,
    pub volatility: Option<Volatility>,
    pub security_definer: Option<bool>,
    pub leakproof: Option<bool>,
    pub window: bool,
    pub parallel: Option<Name>,
    pub cost: Option<f64>,
    pub rows: Option<f64>,
    /// None: FROM CURRENT.
    pub settings: Vec<(String, Option<SetValue>)>,
    /// ALTER … RESET; None: ALL.
    pub resets: Vec<Option<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutineClass {
    Function,
    Procedure,
    Routine,
}

/// `f`, or `f(int, out text)`.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutineSignature {
    pub name: ObjectName,
    pub arguments: Option<Vec<RoutineArgument>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterRoutine {
    Rename(Name),
    Owner(RoleSpec),
    Schema(Name),
    Options(RoutineOptions),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum TriggerTiming {
    Before,
    After,
    InsteadOf,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTrigger {
    pub replace: bool,
    pub constraint: bool,
    pub name: Name,
    pub timing: TriggerTiming,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
    /// UPDATE OF; none: any.
    pub columns: Vec<Name>,
    pub table: ObjectName,
    pub deferrable: bool,
    pub initially_deferred: bool,
    pub old_table: Option<Name>,
    pub new_table: Option<Name>,
    pub each_row: bool,
    /// With its text.
    pub when: Option<(Expr, String)>,
    pub function: ObjectName,
    pub arguments: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// Of the target.
    pub only: bool,
    pub with: Option<With>,
    pub table: ObjectName,
    pub alias: Option<Alias>,
    pub source: TableRef,
    pub condition: Expr,
    pub clauses: Vec<MergeClause>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MergeClause {
    pub matched: bool,
    pub condition: Option<Expr>,
    pub action: MergeAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MergeAction {
    Nothing,
    Delete,
    Update(Vec<Assignment>),
    /// Columns, OVERRIDING, values (none: DEFAULT VALUES).
    Insert {
        columns: Vec<Name>,
        overriding: Option<bool>,
        values: Option<Vec<Expr>>,
    },
}
