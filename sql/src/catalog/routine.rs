//! Descriptors of functions, procedures and triggers.

use super::Catalog;
use crate::functions::Volatility;
use crate::parse::routine_ast::{ArgumentMode, TriggerTiming};
use crate::types::{Oid, Type};
use serde::{Deserialize, Serialize};

/// The OIDs that pg_language has for them.
pub const LANGUAGE_SQL: Oid = 14;
pub const LANGUAGE_PLPGSQL: Oid = 13564;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Language {
    Sql,
    PlPgSql,
}

impl Language {
    pub fn name(self) -> &'static str {
        match self {
            Language::Sql => "sql",
            Language::PlPgSql => "plpgsql",
        }
    }
    pub fn oid(self) -> Oid {
        match self {
            Language::Sql => LANGUAGE_SQL,
            Language::PlPgSql => LANGUAGE_PLPGSQL,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Mode {
    In,
    Out,
    InOut,
    Variadic,
    Table,
}

impl From<ArgumentMode> for Mode {
    fn from(mode: ArgumentMode) -> Mode {
        match mode {
            ArgumentMode::In => Mode::In,
            ArgumentMode::Out => Mode::Out,
            ArgumentMode::InOut => Mode::InOut,
            ArgumentMode::Variadic => Mode::Variadic,
            ArgumentMode::Table => Mode::Table,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Argument {
    pub mode: Mode,
    #[serde(default)]
    pub name: Option<String>,
    pub data_type: Oid,
    /// SQL text.
    #[serde(default)]
    pub default: Option<String>,
}

impl Argument {
    pub fn data_type(&self) -> Type {
        Type(self.data_type)
    }
    pub fn is_input(&self) -> bool {
        matches!(self.mode, Mode::In | Mode::InOut | Mode::Variadic)
    }
    pub fn is_output(&self) -> bool {
        matches!(self.mode, Mode::Out | Mode::InOut | Mode::Table)
    }
}

/// A function or procedure (an entry of pg_proc).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Routine {
    pub oid: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    #[serde(default)]
    pub procedure: bool,
    pub arguments: Vec<Argument>,
    /// prorettype; a relation's row type is RECORD with `row_of`.
    pub result: Oid,
    #[serde(default)]
    pub row_of: Option<Oid>,
    #[serde(default)]
    pub returns_set: bool,
    pub language: Language,
    pub body: String,
    /// The body is standard SQL: `RETURN …` or `BEGIN ATOMIC … END`.
    #[serde(default)]
    pub sql_body: bool,
    #[serde(default)]
    pub strict: bool,
    pub volatility: Volatility,
    #[serde(default)]
    pub security_definer: bool,
    #[serde(default)]
    pub leakproof: bool,
    #[serde(default)]
    pub parallel: Option<char>,
    #[serde(default)]
    pub cost: Option<f64>,
    #[serde(default)]
    pub rows: Option<f64>,
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    #[serde(default)]
    pub comment: Option<String>,
    /// None: the default of functions.
    #[serde(default)]
    pub acl: Option<super::Acl>,
}

/// What a call yields.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultShape {
    Value(Type),
    /// Several OUT or TABLE columns, or a relation's row.
    Row(Vec<(String, Type)>),
    /// `record`: only the caller's column definition list knows.
    Unknown,
}

impl Routine {
    pub fn inputs(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.is_input())
    }
    pub fn outputs(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.is_output())
    }
    pub fn input_types(&self) -> Vec<Type> {
        self.inputs().map(Argument::data_type).collect()
    }
    pub fn is_variadic(&self) -> bool {
        self.arguments.iter().any(|argument| argument.mode == Mode::Variadic)
    }
    pub fn result(&self) -> Type {
        Type(self.result)
    }
    /// Whether its arguments or result are of a type.
    pub fn names_type(&self, is: &dyn Fn(Oid) -> bool) -> bool {
        is(self.result) || self.arguments.iter().any(|argument| is(argument.data_type().0))
    }
    pub fn is_trigger(&self) -> bool {
        self.result() == Type::TRIGGER
    }
    pub fn shape(&self, catalog: &Catalog) -> ResultShape {
        if let Some(table) = self.row_of.and_then(|oid| catalog.table(oid)) {
            let columns = table.columns.iter().filter(|column| !column.dropped);
            return ResultShape::Row(columns.map(|c| (c.name.clone(), c.data_type())).collect());
        }
        let outputs: Vec<&Argument> = self.outputs().collect();
        let composite = catalog.row_template(self.result).filter(|_| outputs.is_empty());
        if let Some(template) = composite {
            let names = template.names.as_deref().unwrap_or_default().iter().cloned();
            return ResultShape::Row(names.zip(template.iter().map(|(data_type, _)| *data_type)).collect());
        }
        match outputs[..] {
            [] if self.result() == Type::RECORD => ResultShape::Unknown,
            [] => ResultShape::Value(self.result()),
            [one] if !self.procedure => ResultShape::Value(one.data_type()),
            _ => {
                let name = |(at, argument): (usize, &&Argument)| {
                    argument.name.clone().unwrap_or_else(|| format!("column{}", at + 1))
                };
                ResultShape::Row(outputs.iter().enumerate().map(|c| (name(c), c.1.data_type())).collect())
            }
        }
    }
    /// `f(integer, text)`: as messages and CONTEXT lines name it.
    pub fn signature(&self) -> String {
        let types: Vec<String> = self.inputs().map(|argument| argument.data_type().display()).collect();
        format!("{}({})", self.name, types.join(", "))
    }
    /// As CONTEXT lines have it.
    pub fn context_signature(&self) -> String {
        let types: Vec<String> = self.inputs().map(|argument| argument.data_type().display()).collect();
        format!("{}({})", self.name, types.join(","))
    }
    pub fn word(&self) -> &'static str {
        if self.procedure { "procedure" } else { "function" }
    }
}

/// A trigger of a table (an entry of pg_trigger).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trigger {
    pub oid: Oid,
    pub name: String,
    pub function: Oid,
    pub timing: TriggerTiming,
    #[serde(default)]
    pub insert: bool,
    #[serde(default)]
    pub update: bool,
    #[serde(default)]
    pub delete: bool,
    #[serde(default)]
    pub truncate: bool,
    pub each_row: bool,
    /// UPDATE OF these columns (positions in `Table::columns`); none: any.
    #[serde(default)]
    pub columns: Vec<usize>,
    /// SQL text.
    #[serde(default)]
    pub when: Option<String>,
    #[serde(default)]
    pub arguments: Vec<String>,
    #[serde(default)]
    pub old_table: Option<String>,
    #[serde(default)]
    pub new_table: Option<String>,
    #[serde(default)]
    pub constraint: bool,
    #[serde(default)]
    pub deferrable: bool,
    #[serde(default)]
    pub initially_deferred: bool,
    /// The trigger of the partitioned table that this is a part of (tgparentid); 0: none.
    #[serde(default)]
    pub parent: Oid,
    /// pg_trigger.tgenabled: O(rigin), D(isabled), R(eplica), A(lways).
    pub enabled: char,
    #[serde(default)]
    pub comment: Option<String>,
}

impl Trigger {
    /// Whether it fires in a session whose session_replication_role is (or is not) replica.
    pub fn fires(&self, replica: bool) -> bool {
        self.enabled == 'A' || self.enabled == if replica { 'R' } else { 'O' }
    }
}
