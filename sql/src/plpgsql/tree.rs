//! The tree of a function's body: statements with their expressions and the variables they use.

use super::scope::Scope;
use crate::error::{Severity, SqlState};
use crate::session::nested::Statement as SqlStatement;
use crate::types::Type;
use parking_lot::Mutex;
use std::sync::Arc;

/// Position in `Function::variables` and in a run's values.
pub type VariableId = usize;

/// Names and types of a record's fields.
pub type Shape = Arc<[(String, Type)]>;

pub struct Function {
    /// `f(integer)`, for CONTEXT lines.
    pub signature: String,
    pub variables: Vec<Variable>,
    pub body: Block,
    /// The variables of the inputs, in their order.
    pub inputs: Vec<VariableId>,
    /// Those of OUT, INOUT and TABLE parameters.
    pub outputs: Vec<VariableId>,
    pub found: VariableId,
    /// NEW, OLD and the TG_ variables of a trigger function.
    pub trigger: Option<TriggerVariables>,
    pub conflict: crate::plan::VariableConflict,
}

pub struct TriggerVariables {
    pub new: VariableId,
    pub old: VariableId,
    /// By the order of [`super::TRIGGER_VARIABLES`].
    pub others: Vec<VariableId>,
}

pub struct Variable {
    pub name: String,
    pub kind: VariableKind,
    pub constant: bool,
    pub not_null: bool,
    pub default: Option<Expression>,
    pub line: usize,
    /// A bound cursor's query.
    pub cursor: Option<Arc<BoundCursor>>,
}

#[derive(Clone)]
pub enum VariableKind {
    Scalar {
        data_type: Type,
        modifier: i32,
    },
    /// Of a relation's row type, or (None) of whatever is assigned.
    Record {
        shape: Option<Shape>,
    },
}

pub struct BoundCursor {
    pub arguments: Vec<(String, VariableId)>,
    pub query: Query,
}

/// How an expression's parameter gets its value.
#[derive(Clone, Debug)]
pub struct Reference {
    pub variable: VariableId,
    /// A field of a record that had this shape when the expression was bound.
    pub field: Option<usize>,
    pub shape: Option<Shape>,
}

pub struct Expression {
    pub text: String,
    pub line: usize,
    pub scope: Arc<Scope>,
    /// None: only a whole query can compute it (`count(*) FROM t`).
    pub parsed: Option<crate::parse::ast::Expr>,
    pub simple: Mutex<Option<Simple>>,
    pub query: SqlStatement<Reference>,
}

/// An expression bound for evaluation without a query.
pub struct Simple {
    pub version: u64,
    pub epoch: u64,
    /// None: it is not simple.
    pub bound: Option<Arc<(crate::expr::Expr, bool)>>,
    pub references: Arc<[Reference]>,
}

/// A static SQL statement.
pub struct Query {
    pub statement: SqlStatement<Reference>,
    pub scope: Arc<Scope>,
}

pub struct Block {
    pub label: Option<String>,
    pub line: usize,
    pub variables: Vec<VariableId>,
    pub body: Vec<Statement>,
    pub handlers: Vec<Handler>,
    /// SQLSTATE and SQLERRM of the handlers.
    pub error_variables: Option<(VariableId, VariableId)>,
}

pub struct Handler {
    pub conditions: Vec<Condition>,
    pub body: Vec<Statement>,
}

pub enum Condition {
    Others,
    /// Of a class if it ends in 000.
    State(SqlState),
}

pub struct Statement {
    pub line: usize,
    pub kind: Kind,
}

pub enum Target {
    Variable(VariableId),
    Field(VariableId, String),
    /// An array's element or slice: lower, upper, is it a slice.
    Element(Box<Target>, Vec<(Option<Expression>, Option<Expression>, bool)>),
    List(Vec<Target>),
}

#[expect(clippy::large_enum_variant, reason = "made once for each function")]
pub enum Dynamic {
    Static(Query),
    /// EXECUTE text USING …
    Execute(Expression, Vec<Expression>),
}

#[expect(clippy::large_enum_variant, reason = "made once for each function")]
pub enum Kind {
    Block(Block),
    Assign(Target, Expression),
    If(Vec<(Expression, Vec<Statement>)>, Vec<Statement>),
    /// The operand goes to a hidden variable that the arms compare with.
    Case {
        operand: Option<(Expression, VariableId)>,
        arms: Vec<(Expression, Vec<Statement>)>,
        otherwise: Option<Vec<Statement>>,
    },
    Loop(Option<String>, Vec<Statement>),
    While(Option<String>, Expression, Vec<Statement>),
    ForInteger {
        label: Option<String>,
        variable: VariableId,
        lower: Expression,
        upper: Expression,
        step: Option<Expression>,
        reverse: bool,
        body: Vec<Statement>,
    },
    ForQuery {
        label: Option<String>,
        target: Target,
        query: Dynamic,
        body: Vec<Statement>,
    },
    ForCursor {
        label: Option<String>,
        record: VariableId,
        cursor: VariableId,
        arguments: Vec<Expression>,
        body: Vec<Statement>,
    },
    Foreach {
        label: Option<String>,
        target: Target,
        slice: usize,
        array: Expression,
        body: Vec<Statement>,
    },
    /// EXIT, CONTINUE.
    Exit {
        is_exit: bool,
        label: Option<String>,
        when: Option<Expression>,
    },
    Return(Option<Expression>),
    ReturnNext(Option<Expression>),
    ReturnQuery(Dynamic),
    Raise(Raise),
    Assert(Expression, Option<Expression>),
    Sql {
        query: Query,
        into: Option<(Target, bool)>,
    },
    Perform(Expression),
    Execute {
        text: Expression,
        using: Vec<Expression>,
        into: Option<(Target, bool)>,
    },
    Call(crate::parse::ast::FunctionCall, Arc<Scope>, String),
    GetDiagnostics {
        stacked: bool,
        items: Vec<(Target, String)>,
    },
    Open {
        cursor: VariableId,
        arguments: Vec<Expression>,
        query: Option<Dynamic>,
    },
    Fetch {
        cursor: VariableId,
        direction: Direction,
        /// None: MOVE.
        target: Option<Target>,
    },
    Close(VariableId),
    Null,
    Commit,
    Rollback,
}

pub enum Direction {
    Forward(Option<Expression>),
    Backward,
    First,
    Last,
    Absolute(Expression),
    Relative(Expression),
    All,
}

pub struct Raise {
    pub severity: Severity,
    pub name: Option<String>,
    pub state: Option<SqlState>,
    pub message: Option<String>,
    pub parameters: Vec<Expression>,
    pub options: Vec<(RaiseOption, Expression)>,
    /// RAISE alone: the error being handled, again.
    pub again: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RaiseOption {
    Code,
    Message,
    Detail,
    Hint,
    Column,
    Constraint,
    DataType,
    Table,
    Schema,
}

impl Statement {
    /// Whether COMMIT or ROLLBACK can be reached from it.
    pub fn may_end_transaction(&self) -> bool {
        let any = |body: &[Statement]| body.iter().any(Statement::may_end_transaction);
        match &self.kind {
            Kind::Commit | Kind::Rollback | Kind::Call(..) => true,
            Kind::Block(block) => any(&block.body) || block.handlers.iter().any(|handler| any(&handler.body)),
            Kind::If(arms, otherwise) => arms.iter().any(|(_, body)| any(body)) || any(otherwise),
            Kind::Case { arms, otherwise, .. } => {
                arms.iter().any(|(_, body)| any(body)) || otherwise.as_ref().is_some_and(|body| any(body))
            }
            Kind::Loop(_, body)
            | Kind::While(_, _, body)
            | Kind::ForInteger { body, .. }
            | Kind::ForQuery { body, .. }
            | Kind::ForCursor { body, .. }
            | Kind::Foreach { body, .. } => any(body),
            _ => false,
        }
    }
}

impl Kind {
    /// What CONTEXT lines call it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Block(_) => "statement block",
            Kind::Assign(..) => "assignment",
            Kind::If(..) => "IF",
            Kind::Case { .. } => "CASE",
            Kind::Loop(..) => "LOOP",
            Kind::While(..) => "WHILE",
            Kind::ForInteger { .. } => "FOR with integer loop variable",
            Kind::ForQuery { query: Dynamic::Static(_), .. } => "FOR over SELECT rows",
            Kind::ForQuery { .. } => "FOR over EXECUTE statement",
            Kind::ForCursor { .. } => "FOR over cursor",
            Kind::Foreach { .. } => "FOREACH over array",
            Kind::Exit { is_exit: true, .. } => "EXIT",
            Kind::Exit { .. } => "CONTINUE",
            Kind::Return(_) => "RETURN",
            Kind::ReturnNext(_) => "RETURN NEXT",
            Kind::ReturnQuery(_) => "RETURN QUERY",
            Kind::Raise(_) => "RAISE",
            Kind::Assert(..) => "ASSERT",
            Kind::Sql { .. } => "SQL statement",
            Kind::Perform(_) => "PERFORM",
            Kind::Execute { .. } => "EXECUTE",
            Kind::Call(..) => "CALL",
            Kind::GetDiagnostics { stacked: true, .. } => "GET STACKED DIAGNOSTICS",
            Kind::GetDiagnostics { .. } => "GET DIAGNOSTICS",
            Kind::Open { .. } => "OPEN",
            Kind::Fetch { target: None, .. } => "MOVE",
            Kind::Fetch { .. } => "FETCH",
            Kind::Close(_) => "CLOSE",
            Kind::Null => "NULL",
            Kind::Commit => "COMMIT",
            Kind::Rollback => "ROLLBACK",
        }
    }
}
