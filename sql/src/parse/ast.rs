//! The syntax tree: what a statement says, before any name in it is looked up.
//!
//! Recursion is bounded at parse time (54001), so walking a tree can't overflow the stack: chains of AND/OR and of
//! left-associative operators are still deep boxes, so every walker must be iterative along `left` or rely on
//! [`crate::parse::DEPTH_MAX`].

pub use super::privilege_ast::{DefaultPrivileges, Grant, GrantRole, RoleSpec};
pub use super::routine_ast::{
    AlterRoutine, CreateRoutine, CreateTrigger, Merge, RoutineClass, RoutineSignature,
};

/// Characters (from 1) into the statement text, for error positions; 0: unknown.
pub type Position = usize;

/// An identifier, case already folded.
pub type Name = String;

/// `name`, `schema.name` or `database.schema.name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectName {
    pub parts: Vec<Name>,
    pub position: Position,
}

/// `numeric(10,2)[]`, `character varying(20)`, `timestamp(3) with time zone`, `interval day to second(2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeName {
    /// As PostgreSQL's catalog calls it where the grammar has another word ("int4" for `integer`, "bpchar" for
    /// `character`), else as written.
    pub name: ObjectName,
    pub modifiers: Vec<i32>,
    /// `interval` fields, e.g. "day to second".
    pub interval_fields: Option<String>,
    /// Number of `[]` (or 1 for ARRAY).
    pub array_dimensions: u8,
    pub setof: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    /// Digits as written (int4, int8 or numeric by size; binary/hex/octal already decimal).
    Number(String),
    /// An unknown-typed string.
    String(String),
    /// `B'1010'` / `X'1F'`: digits with the base's letter first.
    Bits(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Literal(Literal, Position),
    /// `$1` is 1.
    Parameter(u32, Position),
    /// `a`, `t.a`, `s.t.a`.
    Column(Vec<Name>, Position),
    /// `*`, `t.*` in a target list or `count(*)` arguments.
    Star(Vec<Name>, Position),
    Unary {
        operator: String,
        operand: Box<Expr>,
        position: Position,
    },
    /// Every infix operator but AND/OR: `+`, `||`, `~*`, `=`, …; `schema` for OPERATOR(schema.op).
    Binary {
        operator: String,
        left: Box<Expr>,
        right: Box<Expr>,
        position: Position,
    },
    /// Flat, so that long chains stay shallow.
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    /// IS [NOT] TRUE / FALSE / UNKNOWN.
    IsBool {
        operand: Box<Expr>,
        value: Option<bool>,
        negated: bool,
    },
    IsDistinctFrom {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
        position: Position,
    },
    Between {
        operand: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
        symmetric: bool,
        position: Position,
    },
    InList {
        operand: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
        position: Position,
    },
    /// `operand` is a Row for `(a, b) IN (SELECT …)`.
    InSubquery {
        operand: Box<Expr>,
        query: Box<Query>,
        negated: bool,
        position: Position,
    },
    /// `operand op ANY|ALL (array expression)`.
    Quantified {
        operand: Box<Expr>,
        operator: String,
        all: bool,
        array: Box<Expr>,
        position: Position,
    },
    QuantifiedSubquery {
        operand: Box<Expr>,
        operator: String,
        all: bool,
        query: Box<Query>,
        position: Position,
    },
    Like {
        operand: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
        kind: LikeKind,
        negated: bool,
        position: Position,
    },
    Exists {
        query: Box<Query>,
        negated: bool,
    },
    Subquery(Box<Query>, Position),
    /// ARRAY(SELECT …)
    ArraySubquery(Box<Query>, Position),
    Array(Vec<Expr>, Position),
    Row(Vec<Expr>, Position),
    /// `a[1]`, `a[1:2]`.
    Subscript {
        operand: Box<Expr>,
        subscripts: Vec<Subscript>,
        position: Position,
    },
    /// `(expr).field`, `(expr).*` has field "*".
    Field {
        operand: Box<Expr>,
        field: Name,
        position: Position,
    },
    Function(Box<FunctionCall>),
    Cast {
        operand: Box<Expr>,
        to: TypeName,
        position: Position,
    },
    /// `DATE '2020-01-01'`: a cast of a string constant, which is folded at once.
    TypedLiteral {
        to: TypeName,
        value: String,
        position: Position,
    },
    Case {
        operand: Option<Box<Expr>>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        position: Position,
    },
    Coalesce(Vec<Expr>, Position),
    NullIf(Box<Expr>, Box<Expr>, Position),
    /// GREATEST / LEAST
    MinMax {
        greatest: bool,
        arguments: Vec<Expr>,
        position: Position,
    },
    AtTimeZone {
        operand: Box<Expr>,
        zone: Box<Expr>,
        position: Position,
    },
    Collate {
        operand: Box<Expr>,
        collation: ObjectName,
        position: Position,
    },
    /// current_date, current_user, session_user, current_schema, localtimestamp(3), …: words that are functions without ().
    SpecialFunction {
        name: String,
        precision: Option<i32>,
        position: Position,
    },
    /// DEFAULT in VALUES and SET.
    Default(Position),
    Grouping(Vec<Expr>, Position),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LikeKind {
    Like,
    ILike,
    SimilarTo,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Subscript {
    Index(Expr),
    Slice(Option<Expr>, Option<Expr>),
    /// `.name`, in assignments only.
    Field(Name),
}

/// Also EXTRACT, SUBSTRING … FROM, TRIM, POSITION, OVERLAY: lowered to their catalog functions.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    pub name: ObjectName,
    pub arguments: Vec<Argument>,
    /// `count(*)`.
    pub star: bool,
    pub distinct: bool,
    pub variadic: bool,
    pub order_by: Vec<OrderItem>,
    pub filter: Option<Expr>,
    pub within_group: Vec<OrderItem>,
    pub over: Option<Over>,
    pub position: Position,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    pub name: Option<Name>,
    pub value: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Over {
    Name(Name),
    Window(WindowSpec),
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct WindowSpec {
    pub base: Option<Name>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<OrderItem>,
    pub frame: Option<WindowFrame>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WindowFrame {
    pub units: FrameUnits,
    pub start: FrameBound,
    pub end: FrameBound,
    pub exclude: FrameExclude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUnits {
    Rows,
    Range,
    Groups,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Box<Expr>),
    CurrentRow,
    Following(Box<Expr>),
    UnboundedFollowing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameExclude {
    NoOthers,
    CurrentRow,
    Group,
    Ties,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    pub expr: Expr,
    pub descending: bool,
    /// None: PostgreSQL's default (last ascending, first descending).
    pub nulls_first: Option<bool>,
}

/// WITH … body ORDER BY … LIMIT … FOR UPDATE.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub with: Option<With>,
    pub body: SetExpr,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Expr>,
    /// FETCH FIRST … WITH TIES.
    pub with_ties: bool,
    pub offset: Option<Expr>,
    pub locking: Vec<LockingClause>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct With {
    pub recursive: bool,
    pub tables: Vec<CommonTable>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CommonTable {
    pub name: Name,
    pub columns: Vec<Name>,
    pub materialized: Option<bool>,
    /// A query, or INSERT/UPDATE/DELETE with RETURNING.
    pub statement: Box<StatementKind>,
    pub position: Position,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetExpr {
    Select(Box<Select>),
    Values(Vec<Vec<Expr>>),
    Operation {
        operator: SetOperator,
        all: bool,
        left: Box<SetExpr>,
        right: Box<SetExpr>,
    },
    /// A parenthesised query with its own ORDER BY or LIMIT.
    Query(Box<Query>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperator {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Select {
    pub distinct: Distinct,
    pub targets: Vec<Target>,
    pub from: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub group_by: Vec<GroupItem>,
    pub group_distinct: bool,
    pub having: Option<Expr>,
    pub windows: Vec<(Name, WindowSpec)>,
    /// SELECT … INTO [TEMP] name.
    pub into: Option<(ObjectName, bool)>,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub enum Distinct {
    #[default]
    No,
    All,
    On(Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub expr: Expr,
    pub alias: Option<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum GroupItem {
    Expr(Expr),
    Rollup(Vec<Vec<Expr>>),
    Cube(Vec<Vec<Expr>>),
    Sets(Vec<GroupItem>),
    /// `()` or `(a, b)` inside GROUPING SETS.
    Set(Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    pub name: Name,
    pub columns: Vec<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TableRef {
    Table {
        name: ObjectName,
        only: bool,
        alias: Option<Alias>,
        sample: Option<(ObjectName, Vec<Expr>, Option<Expr>)>,
    },
    Subquery {
        query: Box<Query>,
        lateral: bool,
        alias: Option<Alias>,
    },
    /// `f(x) [WITH ORDINALITY] AS t(a int, …)`, ROWS FROM (…).
    Function {
        calls: Vec<(Expr, Vec<ColumnDefinitionItem>)>,
        rows_from: bool,
        ordinality: bool,
        lateral: bool,
        alias: Option<Alias>,
        position: Position,
    },
    Join {
        kind: JoinKind,
        left: Box<TableRef>,
        right: Box<TableRef>,
        condition: JoinCondition,
        alias: Option<Alias>,
    },
}

/// `a int` in a function's column definition list.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDefinitionItem {
    pub name: Name,
    pub data_type: TypeName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

#[derive(Clone, Debug, PartialEq)]
pub enum JoinCondition {
    None,
    On(Expr),
    Using(Vec<Name>, Option<Name>),
    Natural,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LockingClause {
    pub strength: serin_txn::RowLockMode,
    pub of: Vec<Name>,
    pub wait: serin_txn::WaitPolicy,
}

/// A statement with where it stands in the text it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub kind: StatementKind,
    /// Byte range of the statement in the text, without the semicolon.
    pub span: std::ops::Range<usize>,
    /// Highest `$n` used.
    pub parameters: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    Query(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    Copy(Box<Copy>),
    Explain(Box<Explain>),
    /// EXECUTE, DECLARE CURSOR, FETCH, …
    Prepare {
        name: Name,
        types: Vec<TypeName>,
        statement: Box<StatementKind>,
    },
    Execute {
        name: Name,
        arguments: Vec<Expr>,
    },
    /// None: ALL
    Deallocate(Option<Name>),
    Declare {
        name: Name,
        binary: bool,
        scroll: Option<bool>,
        hold: bool,
        query: Box<Query>,
    },
    Fetch {
        cursor: Name,
        direction: FetchDirection,
        move_only: bool,
    },
    /// None: ALL
    Close(Option<Name>),
    // transactions
    /// BEGIN or START TRANSACTION: its tag says which.
    Begin {
        modes: TransactionModes,
        tag: &'static str,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(Name),
    Release(Name),
    RollbackTo(Name),
    PrepareTransaction(String),
    CommitPrepared(String),
    RollbackPrepared(String),
    SetTransaction {
        modes: TransactionModes,
        session: bool,
        snapshot: Option<String>,
    },
    SetConstraints {
        names: Vec<ObjectName>,
        deferred: bool,
    },
    LockTable {
        /// With ONLY or without.
        tables: Vec<(ObjectName, bool)>,
        mode: serin_txn::RelationLockMode,
        nowait: bool,
    },
    // settings
    Set {
        name: String,
        value: SetValue,
        local: bool,
    },
    /// None: ALL
    Reset(Option<String>),
    Show(Option<String>),
    Discard(String),
    // definitions
    CreateTable(Box<CreateTable>),
    CreateTableAs {
        name: ObjectName,
        columns: Vec<Name>,
        if_not_exists: bool,
        temporary: bool,
        on_commit: Option<String>,
        with_data: bool,
        /// CREATE MATERIALIZED VIEW: the query's text.
        materialized: Option<String>,
        query: Box<StatementKind>,
    },
    RefreshMaterializedView {
        name: ObjectName,
        concurrently: bool,
        with_data: bool,
    },
    CreateIndex(Box<CreateIndex>),
    CreateSequence {
        name: ObjectName,
        if_not_exists: bool,
        temporary: bool,
        options: SequenceOptions,
        data_type: Option<TypeName>,
        owned_by: Option<ObjectName>,
    },
    AlterSequence {
        name: ObjectName,
        if_exists: bool,
        data_type: Option<TypeName>,
        options: SequenceOptions,
        restart: Option<Option<i64>>,
        owned_by: Option<ObjectName>,
    },
    CreateSchema {
        name: Option<Name>,
        if_not_exists: bool,
        authorization: Option<RoleSpec>,
    },
    CreateView {
        name: ObjectName,
        columns: Vec<Name>,
        replace: bool,
        temporary: bool,
        /// WITH (security_invoker, …).
        options: Vec<(String, Option<String>)>,
        query: Box<Query>,
        text: String,
    },
    CreateDatabase {
        name: Name,
        options: Vec<(String, String)>,
    },
    DropDatabase {
        name: Name,
        if_exists: bool,
        force: bool,
    },
    CreateRole {
        name: Name,
        options: Vec<(String, Option<String>)>,
    },
    AlterRole {
        role: RoleSpec,
        options: Vec<(String, Option<String>)>,
    },
    /// ALTER ROLE/DATABASE x SET name = value; ALTER SYSTEM SET (target None).
    AlterSetting {
        target: SettingTarget,
        name: String,
        value: Option<SetValue>,
    },
    AlterTable(Box<AlterTable>),
    Rename {
        object: ObjectKind,
        name: ObjectName,
        if_exists: bool,
        to: Name,
    },
    Drop {
        object: ObjectKind,
        names: Vec<ObjectName>,
        if_exists: bool,
        cascade: bool,
        concurrently: bool,
    },
    Truncate {
        /// With ONLY or without.
        tables: Vec<(ObjectName, bool)>,
        restart_identity: bool,
        cascade: bool,
    },
    Comment {
        object: ObjectKind,
        name: ObjectName,
        column: Option<Name>,
        text: Option<String>,
    },
    CommentOnRoutine {
        class: RoutineClass,
        signature: RoutineSignature,
        text: Option<String>,
    },
    Grant(Box<Grant>),
    GrantRole(Box<GrantRole>),
    DefaultPrivileges(Box<DefaultPrivileges>),
    ReassignOwned {
        roles: Vec<RoleSpec>,
        to: RoleSpec,
    },
    DropOwned {
        roles: Vec<RoleSpec>,
        cascade: bool,
    },
    /// ALTER GROUP … ADD and DROP USER come as GRANT; ALTER … OWNER TO of what has no other ALTER.
    Owner {
        object: ObjectKind,
        name: ObjectName,
        to: RoleSpec,
    },
    // maintenance
    Vacuum {
        tables: Vec<(ObjectName, Vec<Name>)>,
        options: Vec<(String, Option<String>)>,
        analyze: bool,
    },
    Analyze {
        tables: Vec<(ObjectName, Vec<Name>)>,
        verbose: bool,
    },
    Reindex {
        object: ObjectKind,
        name: ObjectName,
    },
    Checkpoint,
    /// BACKUP TO 'directory' [INCREMENTAL FROM 'directory'].
    Backup {
        directory: String,
        previous: Option<String>,
    },
    Listen(Name),
    Unlisten(Option<Name>),
    Notify(Name, Option<String>),
    CreateRoutine(Box<CreateRoutine>),
    DropRoutine {
        class: RoutineClass,
        names: Vec<RoutineSignature>,
        if_exists: bool,
        cascade: bool,
    },
    AlterRoutine {
        class: RoutineClass,
        signature: RoutineSignature,
        action: AlterRoutine,
    },
    Call(Box<FunctionCall>),
    Do {
        language: Name,
        body: String,
    },
    CreateTrigger(Box<CreateTrigger>),
    DropTrigger {
        name: Name,
        table: ObjectName,
        if_exists: bool,
        cascade: bool,
    },
    RenameTrigger {
        name: Name,
        table: ObjectName,
        to: Name,
    },
    Merge(Box<Merge>),
    CreateType {
        name: ObjectName,
        definition: TypeDefinition,
    },
    CreateDomain(Box<CreateDomain>),
    /// ALTER TYPE, ALTER DOMAIN.
    AlterType {
        domain: bool,
        name: ObjectName,
        action: Box<AlterType>,
    },
    CreateExtension {
        name: Name,
        if_not_exists: bool,
        schema: Option<Name>,
        version: Option<String>,
        cascade: bool,
    },
    AlterExtension {
        name: Name,
        action: AlterExtension,
    },
    /// Parsed as far as its name: answered with 0A000 and this text ("CREATE TRIGGER", "MERGE").
    Unsupported(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterExtension {
    /// To a version; None: the newest.
    Update(Option<String>),
    SetSchema(Name),
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeDefinition {
    Enum(Vec<String>),
    Composite(Vec<ColumnDefinitionItem>),
    /// Options as they are written.
    Range(Vec<(Name, TypeName)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateDomain {
    pub name: ObjectName,
    pub data_type: TypeName,
    pub collation: Option<ObjectName>,
    pub constraints: Vec<DomainConstraint>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DomainConstraint {
    pub name: Option<Name>,
    pub kind: DomainConstraintKind,
    pub not_valid: bool,
}

/// Expressions with their text.
#[derive(Clone, Debug, PartialEq)]
pub enum DomainConstraintKind {
    NotNull,
    Null,
    Default(Expr, String),
    Check(Expr, String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterType {
    AddValue {
        value: String,
        if_not_exists: bool,
        /// BEFORE (true) or AFTER another label.
        neighbour: Option<(bool, String)>,
    },
    RenameValue {
        from: String,
        to: String,
    },
    Rename(Name),
    SetSchema(Name),
    Owner(RoleSpec),
    AddAttribute(ColumnDefinitionItem),
    DropAttribute {
        name: Name,
        if_exists: bool,
    },
    AlterAttribute {
        name: Name,
        data_type: TypeName,
    },
    RenameAttribute {
        from: Name,
        to: Name,
    },
    /// None: DROP DEFAULT.
    Default(Option<(Expr, String)>),
    NotNull(bool),
    AddConstraint(DomainConstraint),
    DropConstraint {
        name: Name,
        if_exists: bool,
    },
    RenameConstraint {
        from: Name,
        to: Name,
    },
    ValidateConstraint(Name),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingTarget {
    System,
    Database(Name),
    /// None: ALL
    Role(Option<RoleSpec>),
    RoleInDatabase(Option<RoleSpec>, Name),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    Index,
    Sequence,
    View,
    MaterializedView,
    Schema,
    Role,
    Type,
    Domain,
    Function,
    Extension,
    Column,
    Constraint,
    Database,
    Trigger,
    /// Its name is its number.
    LargeObject,
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetValue {
    Default,
    /// Several for lists (`search_path = a, b`).
    Values(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TransactionModes {
    pub isolation: Option<crate::settings::IsolationLevel>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    Forward(u64),
    ForwardAll,
    Backward(u64),
    BackwardAll,
    Absolute(i64),
    Relative(i64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    pub with: Option<With>,
    pub table: ObjectName,
    pub alias: Option<Name>,
    pub columns: Vec<Name>,
    /// OVERRIDING SYSTEM (true) / USER (false) VALUE.
    pub overriding: Option<bool>,
    /// None: DEFAULT VALUES.
    pub source: Option<Box<Query>>,
    pub on_conflict: Option<OnConflict>,
    pub returning: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OnConflict {
    pub target: Option<ConflictTarget>,
    /// None: DO NOTHING.
    pub update: Option<(Vec<Assignment>, Option<Expr>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ConflictTarget {
    Columns(Vec<Expr>, Option<Expr>),
    Constraint(Name),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// One name, or several for `(a, b) = …`.
    pub columns: Vec<Name>,
    /// `a[1] = …`, `a.b = …`: what of the column is assigned to.
    pub subscripts: Vec<Subscript>,
    /// For several columns: a Row or a Subquery.
    pub value: Expr,
    pub position: Position,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub with: Option<With>,
    pub table: ObjectName,
    pub only: bool,
    pub alias: Option<Name>,
    pub assignments: Vec<Assignment>,
    pub from: Vec<TableRef>,
    pub filter: Option<Expr>,
    /// WHERE CURRENT OF cursor.
    pub current_of: Option<Name>,
    pub returning: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    pub with: Option<With>,
    pub table: ObjectName,
    pub only: bool,
    pub alias: Option<Name>,
    pub using: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub current_of: Option<Name>,
    pub returning: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    pub source: CopySource,
    pub from: bool,
    pub target: CopyTarget,
    /// Option names in lower case; None where given without a value. Lists are joined with ','.
    pub options: Vec<(String, Option<String>)>,
    pub filter: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CopySource {
    Table { name: ObjectName, columns: Vec<Name> },
    Query(Box<StatementKind>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyTarget {
    /// STDIN or STDOUT
    Client,
    File(String),
    Program(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// "analyze", "verbose", "costs", "format", … with their values.
    pub options: Vec<(String, Option<String>)>,
    pub statement: StatementKind,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub temporary: bool,
    pub unlogged: bool,
    pub columns: Vec<ColumnDefinition>,
    pub constraints: Vec<TableConstraint>,
    pub like: Vec<(ObjectName, Vec<(String, bool)>)>,
    pub inherits: Vec<ObjectName>,
    pub partition_by: Option<PartitionBy>,
    pub partition_of: Option<(ObjectName, PartitionBoundSpec)>,
    /// Of PARTITION OF: what is said of columns that the parent has.
    pub partition_columns: Vec<(Name, Vec<ColumnConstraint>, Position)>,
    pub options: Vec<(String, Option<String>)>,
    pub on_commit: Option<String>,
}

/// PARTITION BY strategy (key, …).
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionBy {
    pub strategy: Name,
    pub keys: Vec<PartitionKeyPart>,
    pub position: Position,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionKeyPart {
    /// A plain column is `Expr::Column` with one part.
    pub expr: Expr,
    pub text: String,
    pub collation: Option<ObjectName>,
    pub operator_class: Option<ObjectName>,
    pub position: Position,
}

/// DEFAULT, or what follows FOR VALUES.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionBoundSpec {
    Default(Position),
    List(Vec<Expr>, Position),
    /// MINVALUE and MAXVALUE are `Expr::Column`s of that name.
    Range {
        from: Vec<Expr>,
        to: Vec<Expr>,
        position: Position,
    },
    Hash {
        modulus: i64,
        remainder: i64,
        position: Position,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDefinition {
    pub name: Name,
    pub data_type: TypeName,
    pub collation: Option<ObjectName>,
    pub constraints: Vec<ColumnConstraint>,
    pub position: Position,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ColumnConstraint {
    pub name: Option<Name>,
    pub kind: ColumnConstraintKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ColumnConstraintKind {
    NotNull,
    Null,
    /// With its text, for pg_get_expr.
    Default(Expr, String),
    /// With its text, and NO INHERIT.
    Check(Expr, String, bool),
    Unique {
        nulls_not_distinct: bool,
        deferrable: Deferrable,
    },
    PrimaryKey {
        deferrable: Deferrable,
    },
    References(ForeignKeyReference),
    Identity {
        always: bool,
        options: SequenceOptions,
    },
    Generated(Expr, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Deferrable {
    pub deferrable: bool,
    pub initially_deferred: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKeyReference {
    pub table: ObjectName,
    pub columns: Vec<Name>,
    pub match_full: bool,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
    pub deferrable: Deferrable,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ReferentialAction {
    #[default]
    NoAction,
    Restrict,
    Cascade,
    SetNull(Vec<Name>),
    SetDefault(Vec<Name>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct TableConstraint {
    pub name: Option<Name>,
    pub kind: TableConstraintKind,
    pub position: Position,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TableConstraintKind {
    PrimaryKey {
        columns: Vec<Name>,
        include: Vec<Name>,
        using_index: Option<Name>,
        deferrable: Deferrable,
    },
    Unique {
        columns: Vec<Name>,
        include: Vec<Name>,
        nulls_not_distinct: bool,
        using_index: Option<Name>,
        deferrable: Deferrable,
    },
    Check {
        expr: Expr,
        text: String,
        no_inherit: bool,
    },
    ForeignKey {
        columns: Vec<Name>,
        reference: ForeignKeyReference,
    },
    Exclude(Box<Exclusion>),
}

/// EXCLUDE [USING method] (element WITH operator, …) [INCLUDE (…)] [WITH (…)] [WHERE (…)].
#[derive(Clone, Debug, PartialEq)]
pub struct Exclusion {
    pub method: Option<Name>,
    pub elements: Vec<(IndexColumn, String)>,
    pub include: Vec<Name>,
    pub options: Vec<(String, Option<String>)>,
    /// With its text.
    pub predicate: Option<(Expr, String)>,
    pub deferrable: Deferrable,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SequenceOptions {
    pub start: Option<i64>,
    pub increment: Option<i64>,
    /// Some(None): NO MINVALUE.
    pub min: Option<Option<i64>>,
    pub max: Option<Option<i64>>,
    pub cache: Option<i64>,
    pub cycle: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateIndex {
    pub name: Option<Name>,
    pub table: ObjectName,
    pub only: bool,
    pub unique: bool,
    pub concurrently: bool,
    pub if_not_exists: bool,
    pub method: Option<Name>,
    pub columns: Vec<IndexColumn>,
    pub include: Vec<Name>,
    pub nulls_not_distinct: bool,
    pub predicate: Option<(Expr, String)>,
    pub options: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IndexColumn {
    /// A plain column is `Expr::Column` with one part.
    pub expr: Expr,
    pub text: String,
    pub operator_class: Option<ObjectName>,
    pub descending: bool,
    pub nulls_first: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerName {
    All,
    User,
    Named(Name),
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    pub name: ObjectName,
    pub only: bool,
    pub if_exists: bool,
    pub actions: Vec<AlterTableAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSecurity {
    Enabled(bool),
    Forced(bool),
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterTableAction {
    AddColumn {
        column: ColumnDefinition,
        if_not_exists: bool,
    },
    DropColumn {
        name: Name,
        if_exists: bool,
        cascade: bool,
    },
    AddConstraint {
        constraint: TableConstraint,
        not_valid: bool,
    },
    DropConstraint {
        name: Name,
        if_exists: bool,
        cascade: bool,
    },
    ValidateConstraint(Name),
    SetDefault(Name, Expr, String),
    DropDefault(Name),
    SetNotNull(Name),
    DropNotNull(Name),
    AlterType {
        column: Name,
        data_type: TypeName,
        collation: Option<ObjectName>,
        using: Option<(Expr, String)>,
    },
    AddIdentity {
        column: Name,
        always: bool,
        options: SequenceOptions,
    },
    DropIdentity {
        column: Name,
        if_exists: bool,
    },
    /// SET GENERATED, SET sequence options, RESTART.
    AlterIdentity {
        column: Name,
        always: Option<bool>,
        options: Vec<SequenceOptions>,
        restart: Option<Option<i64>>,
    },
    DropExpression {
        column: Name,
        if_exists: bool,
    },
    AlterConstraint {
        name: Name,
        deferrable: Deferrable,
    },
    SetStatistics(Name, i32),
    /// SET STORAGE, SET COMPRESSION, SET (…) and RESET (…) of a column: known to have no effect here.
    SetStorage(Name),
    /// SET UNLOGGED, SET LOGGED.
    SetUnlogged(bool),
    /// CLUSTER ON and their like: how PostgreSQL stores a table, which is without effect here.
    Stored,
    RenameColumn {
        from: Name,
        to: Name,
    },
    RenameConstraint {
        from: Name,
        to: Name,
    },
    SetSchema(Name),
    OwnerTo(RoleSpec),
    /// Storage parameters: kept, without effect.
    SetOptions(Vec<(String, Option<String>)>),
    ResetOptions(Vec<String>),
    /// ENABLE (with ALWAYS or REPLICA) and DISABLE TRIGGER; the letter is pg_trigger.tgenabled.
    /// ENABLE, DISABLE, FORCE and NO FORCE ROW LEVEL SECURITY.
    SetRowSecurity(RowSecurity),
    SetTrigger {
        name: TriggerName,
        enabled: char,
    },
    AttachPartition {
        name: ObjectName,
        bound: PartitionBoundSpec,
    },
    DetachPartition {
        name: ObjectName,
        concurrently: bool,
        finalize: bool,
    },
    /// ALTER INDEX … ATTACH PARTITION.
    AttachIndex(ObjectName),
    Inherit(ObjectName),
    NoInherit(ObjectName),
    /// Refused by name.
    Other(String),
}
