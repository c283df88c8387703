//! FOREIGN KEY: what keeps every referencing row's key present in the referenced table (PostgreSQL's ri_triggers.c).
//!
//! # The argument
//!
//! Both sides look at the *latest committed* state, not at their snapshots, and meet at the referenced row's lock:
//!
//! 1. Whoever makes a row reference another finds that row in the latest state and locks it FOR KEY SHARE until it commits.
//! 2. Whoever deletes a referenced row, or changes its key, has locked it FOR UPDATE, which conflicts with 1, and then looks for
//!    referencing rows in the latest state.
//!
//! Of two such transactions the second to lock waits for the first. If 1 was first, its row is committed when 2 looks. If 2 was first, 1 finds no
//! row. An update that leaves the key alone locks FOR NO KEY UPDATE and disturbs nobody.
//!
//! # Snapshots that are kept
//!
//! A row that was inserted after the snapshot can't be referenced by it ([`is_known`]). REPEATABLE READ otherwise sees more here than its
//! snapshot. As in PostgreSQL, an action (CASCADE, SET NULL, SET DEFAULT) that would change a
//! row which the snapshot does not have fails with 40001: that is `lock_row`'s rule. SERIALIZABLE must not learn anything that its snapshot
//! does not know. `get_latest_locked` sees to it for single rows; for the search for referencing rows, [`act`] compares what a registered
//! scan of the snapshot finds with the latest state. (In 2PL and serial mode that scan *is* the latest state, and takes the protocol's
//! locks.)
//!
//! # Different types
//!
//! The columns of both sides may differ in type (an int4 that references an int8). Values are converted, from the referencing type to
//! the referenced one by an implicit cast, integers and strings in both directions; a value that the other type can't hold matches nothing.

use super::ExecContext;
use super::modify::Changer;
use super::runtime::Runtime;
use super::scan::all_with;
use crate::catalog::{Constraint, ForeignKey, ReferentialAction, Table};
use crate::error::{Error, Result, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, EvalContext, cast_datum, find_cast};
use crate::plan::logical::ModifyKind;
use crate::plan::{PlanContext, PlannerSettings, node};
use crate::table::disclosure::may_show;
use crate::table::key::{KeyOrder, encode};
use crate::table::partition::{Places, Routing, place, places};
use crate::table::{Shape, row, to_text};
use crate::types::{Datum, Oid, Type};
use serin_storage::{Direction, KeyRange, Value};
use serin_txn::{Isolation, RelationLockMode, RowLock, RowLockMode, Transaction, WaitPolicy};
use std::ops::Bound;
use std::sync::Arc;

// ---- values of one side as those of the other ----

fn is_text(data_type: Type) -> bool {
    matches!(data_type, Type::TEXT | Type::VARCHAR)
}

fn is_integer(data_type: Type) -> bool {
    matches!(data_type, Type::INT2 | Type::INT4 | Type::INT8)
}

/// Whether values can be compared by turning referencing ones into referenced ones.
pub fn is_comparable(referencing: Type, referenced: Type) -> bool {
    is_reversible(referencing, referenced)
        || find_cast(referencing, referenced, CastContext::Implicit).is_some()
}

/// Whether the way back is as good.
fn is_reversible(a: Type, b: Type) -> bool {
    a == b || (is_integer(a) && is_integer(b)) || (is_text(a) && is_text(b))
}

/// None: the other type has no such value.
fn convert(value: &Datum, from: Type, to: Type, eval: &EvalContext<'_>) -> Result<Option<Datum>> {
    if from == to || value.is_null() || (is_text(from) && is_text(to)) {
        return Ok(Some(value.clone()));
    }
    if let (true, Some(wide)) = (is_integer(to), crate::expr::integer(value)) {
        return Ok(match to {
            Type::INT2 => i16::try_from(wide).map(Datum::Int2).ok(),
            Type::INT4 => i32::try_from(wide).map(Datum::Int4).ok(),
            _ => Some(Datum::Int8(wide)),
        });
    }
    cast_datum(value.clone(), from, to, -1, false, eval).map(Some)
}

/// The values' keys in the order of the constraint's columns: equal if and only if the values are.
fn encoded(values: &[Datum], columns: &[usize], types: &[Type]) -> Vec<u8> {
    let mut key = Vec::new();
    for (value, column) in values.iter().zip(columns) {
        encode(value, types[*column], KeyOrder::ASCENDING, &mut key);
    }
    key
}

fn pick(row: &[Datum], columns: &[usize]) -> Key {
    columns.iter().map(|&column| row[column].clone()).collect()
}

/// What a referencing row's columns are as values of the referenced table; None: no row there can have them.
fn as_referenced(
    key: &ForeignKey,
    row: &[Datum],
    types: &[Type],
    referenced: &[Type],
    eval: &EvalContext<'_>,
) -> Result<Option<Vec<Datum>>> {
    let mut values = Vec::with_capacity(key.columns.len());
    for (&column, &target) in key.columns.iter().zip(&key.referenced_columns) {
        match convert(&row[column], types[column], referenced[target], eval)? {
            Some(value) => values.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(values))
}

fn referenced_table(key: &ForeignKey, context: &ExecContext<'_>) -> Result<Arc<Table>> {
    let found = context.catalog.table(key.referenced);
    found.ok_or_else(|| Error::internal("a foreign key references a table that does not exist"))
}

// ---- the referencing side ----

/// A foreign key of a table whose rows are being changed.
pub struct Outgoing {
    /// Position in `Table::constraints`.
    pub constraint: usize,
    key: ForeignKey,
    types: Vec<Type>,
    referenced: Arc<Table>,
    /// The key that was found last: rows that come together often reference the same one.
    last: Option<Vec<u8>>,
}

impl Outgoing {
    pub fn new(
        table: &Arc<Table>,
        constraint: usize,
        key: &ForeignKey,
        context: &ExecContext<'_>,
    ) -> Result<Outgoing> {
        let referenced = match key.referenced == table.oid {
            true => table.clone(),
            false => referenced_table(key, context)?,
        };
        Ok(Outgoing { constraint, key: key.clone(), types: table.types(), referenced, last: None })
    }
    /// Whether the row is to be checked at all.
    pub fn references(&self, row: &[Datum]) -> bool {
        let null = |column: &&usize| row[**column].is_null();
        match self.key.columns.iter().filter(null).count() {
            0 => true,
            nulls => self.key.match_full && nulls < self.key.columns.len(),
        }
    }
    pub fn changes(&self, old: &[Datum], new: &[Datum]) -> bool {
        let key = |row: &[Datum]| encoded(&pick(row, &self.key.columns), &self.key.columns, &self.types);
        key(old) != key(new)
    }
    /// Whether a new row is fine as things are.
    pub fn holds(&mut self, row: &[Datum], context: &ExecContext<'_>) -> Result<bool> {
        if !self.references(row) {
            return Ok(true);
        }
        if self.key.columns.iter().any(|&column| row[column].is_null()) {
            return Ok(false);
        }
        let key = encoded(&pick(row, &self.key.columns), &self.key.columns, &self.types);
        if self.last.as_ref() == Some(&key) {
            return Ok(true);
        }
        let referenced = self.referenced.types();
        let values = as_referenced(&self.key, row, &self.types, &referenced, &context.eval)?;
        let holds = match values {
            Some(values) => lock_referenced(&self.referenced, &self.key, &values, context)?,
            None => false,
        };
        if holds {
            self.last = Some(key);
        }
        Ok(holds)
    }
}

/// Where a referenced row with these values is: the entry in the referenced index.
fn referenced_entry(
    shape: &Shape,
    referenced: &Table,
    key: &ForeignKey,
    values: &[Datum],
) -> Result<(usize, Vec<u8>)> {
    let (position, _) = referenced
        .index(key.index)
        .ok_or_else(|| Error::internal("a foreign key without the index that it references"))?;
    let mut row = vec![Datum::Null; shape.types.len()];
    for (value, &column) in values.iter().zip(&key.referenced_columns) {
        row[column] = value.clone();
    }
    let mut entry = Vec::new();
    shape.indexes[position].parts.iter().for_each(|part| part.encode_column(&row, &mut entry));
    Ok((position, entry))
}

/// The partition that has the row with these values, if there is such a row (a unique key has the whole partition key in it), and the
/// foreign key as if it referenced that.
fn referenced_partition(
    referenced: &Table,
    key: &ForeignKey,
    values: &[Datum],
    context: &ExecContext<'_>,
) -> Result<Option<(Arc<Table>, ForeignKey)>> {
    let mut row = vec![Datum::Null; referenced.columns.len()];
    for (value, &column) in values.iter().zip(&key.referenced_columns) {
        row[column] = value.clone();
    }
    let routing = Routing::of(referenced, context)?;
    let Some(at) = routing.route(&row, context)? else { return Ok(None) };
    let Some(partition) = context.catalog.table(routing.children[at]) else { return Ok(None) };
    let map = places(referenced, &partition);
    let mut key = key.clone();
    for column in &mut key.referenced_columns {
        *column = place(&map, *column).unwrap_or(*column);
    }
    let part = partition.indexes.iter().find(|index| index.parent == key.index);
    key.index = part.map_or(key.index, |index| index.oid);
    Ok(Some((partition, key)))
}

/// Finds the referenced row in the latest state and locks it FOR KEY SHARE; false: there is none.
fn lock_referenced(
    referenced: &Arc<Table>,
    key: &ForeignKey,
    values: &[Datum],
    context: &ExecContext<'_>,
) -> Result<bool> {
    if referenced.is_partitioned() {
        return match referenced_partition(referenced, key, values, context)? {
            Some((partition, key)) => lock_referenced(&partition, &key, values, context),
            None => Ok(false),
        };
    }
    let shape = Shape::of(referenced, context)?;
    let (position, entry) = referenced_entry(&shape, referenced, key, values)?;
    let index = &shape.indexes[position];
    let tree = &index.tree;
    loop {
        context.eval.services.check_interrupt()?;
        let mut transaction = context.transaction.borrow_mut();
        // A look first: a row that somebody is only about to insert is no reason to wait.
        let Some(found) = transaction.catalog_get(tree, &entry)? else {
            if transaction.isolation() == Isolation::ReadCommitted || transaction.get(tree, &entry)?.is_none()
            {
                return Ok(false);
            }
            // The protocol made us wait for it, or only our snapshot still has it.
            if transaction.catalog_get(tree, &entry)?.is_some() {
                continue;
            }
            return Err(concurrent_update());
        };
        let place: &[u8] = if index.clustered { &entry } else { &found };
        let latest = transaction.get_latest_locked(&shape.tree, place, RowLockMode::KeyShare)?;
        if latest.is_some() && !is_known(&mut transaction, &shape, place)? {
            return Ok(false);
        }
        if index.clustered {
            if latest.is_some() {
                return Ok(true);
            }
            if referenced.is_partition() {
                context.catalog.runtime().moved.check(&transaction, &shape.tree, place)?;
            }
            continue;
        }
        if latest.is_none() && referenced.is_partition() {
            context.catalog.runtime().moved.check(&transaction, &shape.tree, place)?;
        }
        drop(transaction);
        if let Some(bytes) = latest {
            let row = shape.decode_row(&bytes)?;
            let columns = &key.referenced_columns;
            if encoded(&pick(&row, columns), columns, &shape.types) == encoded(values, columns, &shape.types)
            {
                return Ok(true);
            }
        }
    }
}

/// REPEATABLE READ: whether the snapshot has the row, or the transaction made it. One that somebody else has inserted since does not
/// exist yet, as in PostgreSQL. (SERIALIZABLE has failed with 40001 by now.)
fn is_known(transaction: &mut Transaction, shape: &Shape, place: &[u8]) -> Result<bool> {
    if transaction.isolation() != Isolation::RepeatableRead || transaction.get(&shape.tree, place)?.is_some()
    {
        return Ok(true);
    }
    // Not in view: newer than the snapshot, or of this very command.
    match transaction.lock_row(&shape.tree, place, RowLockMode::KeyShare, WaitPolicy::Block) {
        Ok(RowLock::Unchanged | RowLock::SelfModified { .. } | RowLock::Skipped) => Ok(true),
        Ok(RowLock::Changed(latest)) => Ok(latest.is_some()),
        Err(serin_txn::Error::ConcurrentUpdate { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn concurrent_update() -> Error {
    Error::new(SqlState::SERIALIZATION_FAILURE, "could not serialize access due to concurrent update")
}

/// The event of the referencing side: 23503 if the row, as it is now, references nothing.
pub fn check_row(
    table: &Arc<Table>,
    constraint: &Constraint,
    key: &[u8],
    context: &ExecContext<'_>,
) -> Result<()> {
    let Some(foreign) = constraint.foreign_key() else { return Ok(()) };
    let shape = Shape::of(table, context)?;
    let Some(bytes) = context.transaction.borrow_mut().catalog_get(&shape.tree, key)? else { return Ok(()) };
    let row = shape.decode_row(&bytes)?;
    let position = table.constraints.iter().position(|other| other.oid == constraint.oid).unwrap_or(0);
    let mut outgoing = Outgoing::new(table, position, foreign, context)?;
    match outgoing.holds(&row, context)? {
        true => Ok(()),
        false => Err(not_present(table, constraint, foreign, &outgoing.referenced, &row, context)),
    }
}

/// ALTER TABLE … ADD and VALIDATE CONSTRAINT: every row is checked. The caller's relation locks keep writers away from both tables.
pub fn check_all(
    table: &Arc<Table>,
    referenced: &Arc<Table>,
    constraint: usize,
    context: &ExecContext<'_>,
) -> Result<()> {
    let constraint = &table.constraints[constraint];
    let Some(key) = constraint.foreign_key() else { return Ok(()) };
    let shape = Shape::of(table, context)?;
    let target = Shape::of(referenced, context)?;
    let outgoing = Outgoing {
        constraint: 0,
        key: key.clone(),
        types: table.types(),
        referenced: referenced.clone(),
        last: None,
    };
    crate::table::loader::scan_all(&shape.tree, context, |_, value| {
        let row = shape.decode_row(value)?;
        if !outgoing.references(&row) {
            return Ok(());
        }
        let has_null = key.columns.iter().any(|&column| row[column].is_null());
        let values = as_referenced(key, &row, &shape.types, &target.types, &context.eval)?;
        if let (false, Some(values)) = (has_null, values) {
            let mut found = (referenced.clone(), key.clone());
            while found.0.is_partitioned() {
                match referenced_partition(&found.0, &found.1, &values, context)? {
                    Some(deeper) => found = deeper,
                    None => return Err(not_present(table, constraint, key, referenced, &row, context)),
                }
            }
            let (referenced, key) = (&found.0, &found.1);
            let target = Shape::of(referenced, context)?;
            let (position, entry) = referenced_entry(&target, referenced, key, &values)?;
            let tree = &target.indexes[position].tree;
            if context.transaction.borrow_mut().catalog_get(tree, &entry)?.is_some() {
                return Ok(());
            }
        }
        Err(not_present(table, constraint, key, referenced, &row, context))
    })
}

/// DETACH PARTITION: 23503 if a row references one of the leaf, which is leaving the referenced (partitioned) table.
pub fn check_none_references(
    table: &Arc<Table>,
    constraint: Oid,
    referenced: &Arc<Table>,
    leaf: &Arc<Table>,
    context: &ExecContext<'_>,
) -> Result<()> {
    let Some(constraint) = table.constraint(constraint) else { return Ok(()) };
    let Some(key) = constraint.foreign_key() else { return Ok(()) };
    let shape = Shape::of(table, context)?;
    let types = referenced.types();
    crate::table::loader::scan_all(&shape.tree, context, |_, value| {
        let row = shape.decode_row(value)?;
        if key.columns.iter().any(|&column| row[column].is_null()) {
            return Ok(());
        }
        let Some(values) = as_referenced(key, &row, &shape.types, &types, &context.eval)? else {
            return Ok(());
        };
        let mut found = (referenced.clone(), key.clone());
        while found.0.is_partitioned() {
            match referenced_partition(&found.0, &found.1, &values, context)? {
                Some(deeper) => found = deeper,
                None => return Ok(()),
            }
        }
        if found.0.oid != leaf.oid {
            return Ok(());
        }
        let message = format!(
            "removing partition \"{}\" violates foreign key constraint \"{}\"",
            leaf.name, constraint.name
        );
        let shown = description(referenced, &key.referenced_columns, values.into_iter(), context);
        Err(violation(message, table, constraint, context)
            .detail(format!("Key {shown} is still referenced from table \"{}\".", table.name)))
    })
}

// ---- the referenced side ----

/// The values of a key's columns, in the constraint's order.
pub type Key = Box<[Datum]>;

/// A foreign key that references a table whose rows are being changed.
pub struct Incoming {
    pub table: Arc<Table>,
    /// Position in its `constraints`.
    constraint: usize,
    key: ForeignKey,
}

impl Incoming {
    pub fn new(table: Oid, constraint: Oid, context: &ExecContext<'_>) -> Option<Incoming> {
        let table = context.catalog.table(table)?;
        // Its partitions have the constraint too, and the rows.
        if table.is_partitioned() {
            return None;
        }
        let position = table.constraints.iter().position(|other| other.oid == constraint)?;
        let key = table.constraints[position].foreign_key()?.clone();
        Some(Incoming { table, constraint: position, key })
    }
    pub fn constraint(&self) -> &Constraint {
        &self.table.constraints[self.constraint]
    }
    /// The referenced rows are those of a partition that has the columns at other places.
    pub fn carry(&mut self, places: &Places) {
        for column in &mut self.key.referenced_columns {
            *column = place(places, *column).unwrap_or(*column);
        }
    }
    /// Only NO ACTION can be deferred.
    pub fn can_wait(&self, is_update: bool) -> bool {
        let action = if is_update { self.key.on_update } else { self.key.on_delete };
        action == ReferentialAction::NoAction
    }
    /// The key that a deleted row had; None: with nulls in it, nothing references it.
    pub fn deleted(&self, old: &[Datum]) -> Option<Key> {
        let old = pick(old, &self.key.referenced_columns);
        (!old.iter().any(Datum::is_null)).then_some(old)
    }
    /// The key before and after, if it has changed in any way: 1.0 to 1.00 is for a cascade to pass on.
    pub fn updated(&self, old: &[Datum], new: &[Datum]) -> Option<(Key, Key)> {
        let old = self.deleted(old)?;
        let new = pick(new, &self.key.referenced_columns);
        // As PostgreSQL's datum_image_eq.
        let image = |values: &[Datum]| format!("{values:?}");
        (image(&old) != image(&new)).then_some((old, new))
    }
}

/// The event of the referenced side: what the constraint says shall become of the rows that reference `old`.
pub fn act(
    table: &Arc<Table>,
    constraint: &Constraint,
    old: &[Datum],
    new: Option<&[Datum]>,
    rt: &Runtime<'_>,
) -> Result<()> {
    let Some(key) = constraint.foreign_key() else { return Ok(()) };
    let context = rt.context;
    let referenced = referenced_table(key, context)?;
    let action = if new.is_some() { key.on_update } else { key.on_delete };
    let search = Search::new(table, key, &referenced, old, context)?;
    search.compare_with_snapshot(context)?;
    match action {
        // Another row may have taken the key over.
        ReferentialAction::NoAction if lock_referenced(&referenced, key, old, context)? => Ok(()),
        ReferentialAction::NoAction | ReferentialAction::Restrict => {
            restrict(&search, table, constraint, key, &referenced, old, context)
        }
        ReferentialAction::Cascade | ReferentialAction::SetNull | ReferentialAction::SetDefault => {
            let modify = Arc::new(change(table, key, action, new, &referenced, context)?);
            let mut changer = Changer::new(&modify, rt)?;
            changer.moves = table.is_partition();
            let input: Vec<Datum> = new.map(<[Datum]>::to_vec).unwrap_or_default();
            changer.begin(rt)?;
            search.each(context, |place, _| {
                cascade(&search, &mut changer, place, &input, rt)?;
                Ok(true)
            })?;
            changer.end(rt);
            if action != ReferentialAction::SetDefault {
                return Ok(());
            }
            // Rows whose key is the default already were "changed" to what they were: they may reference what is gone.
            rt.context.transaction.borrow_mut().next_command();
            match lock_referenced(&referenced, key, old, context)? {
                true => Ok(()),
                false => restrict(&search, table, constraint, key, &referenced, old, context),
            }
        }
    }
}

fn restrict(
    search: &Search,
    table: &Arc<Table>,
    constraint: &Constraint,
    key: &ForeignKey,
    referenced: &Arc<Table>,
    old: &[Datum],
    context: &ExecContext<'_>,
) -> Result<()> {
    search.each(context, |place, _| {
        // Its writer, if it has one, decides whether it references the row.
        let tree = &search.shape.tree;
        let latest =
            context.transaction.borrow_mut().get_latest_locked(tree, place, RowLockMode::KeyShare)?;
        match latest {
            Some(bytes) if search.matches(&bytes, context)? => {
                Err(still_referenced(table, constraint, key, referenced, old, context))
            }
            _ => Ok(true),
        }
    })
}

/// Locks one referencing row and changes it, if it still references the key.
fn cascade(
    search: &Search,
    changer: &mut Changer,
    place: &[u8],
    input: &[Datum],
    rt: &Runtime<'_>,
) -> Result<()> {
    let tree = &search.shape.tree;
    let mut transaction = rt.context.transaction.borrow_mut();
    let latest = match transaction.lock_row(tree, place, changer.lock_mode, WaitPolicy::Block)? {
        RowLock::Unchanged => transaction.catalog_get(tree, place)?,
        RowLock::Changed(latest) => latest,
        RowLock::SelfModified { .. } | RowLock::Skipped => None,
    };
    drop(transaction);
    if let Some(bytes) = latest
        && search.matches(&bytes, rt.context)?
    {
        let row = search.shape.decode_row(&bytes)?;
        changer.apply(place, row, input, rt)?;
        if let Some(moved) = changer.moved.take() {
            let leaf = changer.modify.table.clone();
            super::targets::relocate_from(&leaf, moved, rt)?;
        }
    }
    Ok(())
}

/// The statement that an action is: `DELETE FROM referencing`, `UPDATE referencing SET …`. Its input is the new key.
fn change(
    table: &Arc<Table>,
    key: &ForeignKey,
    action: ReferentialAction,
    new: Option<&[Datum]>,
    referenced: &Table,
    context: &ExecContext<'_>,
) -> Result<node::Modify> {
    let columns = match (new, key.delete_columns.is_empty()) {
        (None, false) => &key.delete_columns,
        _ => &key.columns,
    };
    let is_delete = action == ReferentialAction::Cascade && new.is_none();
    let mut assignments = Vec::new();
    if !is_delete {
        for (at, &column) in columns.iter().enumerate() {
            let target = table.columns[column].data_type();
            let value = match action {
                ReferentialAction::Cascade => {
                    let source = referenced.columns[key.referenced_columns[at]].data_type();
                    assigned(Expr::column(at, source), target, table.columns[column].modifier)?
                }
                ReferentialAction::SetDefault => default_of(table, column, context)?,
                _ => Expr::null(target),
            };
            assignments.push((column, value));
        }
    }
    Ok(node::Modify {
        kind: if is_delete { ModifyKind::Delete } else { ModifyKind::Update },
        table: table.clone(),
        alias: table.name.as_str().into(),
        key: 0,
        row: 0,
        table_oid: None,
        targets_others: false,
        columns: Vec::new(),
        recheck: Vec::new(),
        assignments,
        on_conflict: None,
        merge: None,
        returning: None,
        checks: Vec::new(),
        instead: None,
    })
}

fn assigned(value: Expr, to: Type, modifier: i32) -> Result<Expr> {
    let from = value.data_type();
    if from == to {
        return Ok(value);
    }
    let method = find_cast(from, to, CastContext::Assignment).ok_or_else(|| {
        let message = format!("cannot cast type {} to {}", from.display(), to.display());
        Error::new(SqlState::CANNOT_COERCE, message)
    })?;
    Ok(Expr::Cast { operand: Box::new(value), method, to, modifier, explicit: false })
}

fn default_of(table: &Table, column: usize, context: &ExecContext<'_>) -> Result<Expr> {
    let column = &table.columns[column];
    let Some(text) = &column.default else { return Ok(Expr::null(column.data_type())) };
    let search_path = context.eval.services.search_path();
    let settings = PlannerSettings::for_catalog();
    let plan = PlanContext {
        catalog: context.catalog,
        search_path: &search_path,
        eval: &context.eval,
        settings,
        variables: None,
    };
    let expr = crate::parse::parse_expression(text)?;
    crate::bind::standalone_expression(&expr, (column.data_type(), column.modifier), &plan)
}

/// How to find the rows that reference a key.
struct Search {
    shape: Arc<Shape>,
    key: ForeignKey,
    referenced_types: Vec<Type>,
    /// The key, encoded as values of the referenced table.
    wanted: Vec<u8>,
    /// The part of an index (None: of the table's own tree) in which they all are; None: there can't be any.
    part: Option<(Option<usize>, KeyRange)>,
}

impl Search {
    fn new(
        table: &Arc<Table>,
        key: &ForeignKey,
        referenced: &Table,
        old: &[Datum],
        context: &ExecContext<'_>,
    ) -> Result<Search> {
        let shape = Shape::of(table, context)?;
        let referenced_types = referenced.types();
        let wanted = encoded(old, &key.referenced_columns, &referenced_types);
        let everything = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
        let reversible = key
            .columns
            .iter()
            .zip(&key.referenced_columns)
            .all(|(&column, &target)| is_reversible(shape.types[column], referenced_types[target]));
        let usable = |at: &usize| {
            let index = &shape.indexes[*at];
            let leading: Vec<Option<usize>> =
                index.parts.iter().take(key.columns.len()).map(|part| part.column()).collect();
            index.predicate.is_none()
                && index.entries.is_none()
                && leading.len() == key.columns.len()
                && key.columns.iter().all(|column| leading.contains(&Some(*column)))
        };
        let index = (0..shape.indexes.len()).find(usable).filter(|_| reversible);
        let part = match index {
            None => Some((None, everything)),
            Some(index) => {
                let mut row = vec![Datum::Null; shape.types.len()];
                let mut possible = true;
                for ((&column, &target), value) in key.columns.iter().zip(&key.referenced_columns).zip(old) {
                    match convert(value, referenced_types[target], shape.types[column], &context.eval)? {
                        Some(value) => row[column] = value,
                        None => possible = false,
                    }
                }
                let mut prefix = Vec::new();
                let parts = &shape.indexes[index].parts[..key.columns.len()];
                parts.iter().for_each(|part| part.encode_column(&row, &mut prefix));
                possible.then(|| (Some(index), all_with(&prefix)))
            }
        };
        Ok(Search { shape, key: key.clone(), referenced_types, wanted, part })
    }

    /// Whether a row references the key.
    fn matches(&self, bytes: &[u8], context: &ExecContext<'_>) -> Result<bool> {
        let mut row = vec![Datum::Null; self.shape.types.len()];
        for &column in &self.key.columns {
            let stored = row::decode_column(bytes, &self.shape.types, column)?;
            let value = stored.unwrap_or_else(|| self.shape.missing[column].clone());
            if value.is_null() {
                return Ok(false);
            }
            row[column] = value;
        }
        let values =
            as_referenced(&self.key, &row, &self.shape.types, &self.referenced_types, &context.eval)?;
        Ok(values.is_some_and(|values| {
            encoded(&values, &self.key.referenced_columns, &self.referenced_types) == self.wanted
        }))
    }

    /// Calls `visit` with the key and bytes of each row that references the key in the latest state, until it answers false.
    fn each(
        &self,
        context: &ExecContext<'_>,
        mut visit: impl FnMut(&[u8], &Value) -> Result<bool>,
    ) -> Result<()> {
        let Some((index, range)) = &self.part else { return Ok(()) };
        let mut scan = context.transaction.borrow_mut().catalog_scan(self.tree(*index), range.clone())?;
        loop {
            let mut found: Vec<(Vec<u8>, Value)> = Vec::new();
            let more = scan.next_batch(&mut context.transaction.borrow_mut(), BATCH, &mut |key, value| {
                found.push((key.to_vec(), value.clone()));
                true
            })?;
            context.eval.services.check_interrupt()?;
            for (key, value) in found {
                let (place, bytes) = match self.secondary(*index) {
                    None => (key, Some(value)),
                    Some(index) => {
                        let place = self.place(&key, &value, index)?;
                        let bytes = context.transaction.borrow_mut().catalog_get(&self.shape.tree, &place)?;
                        (place, bytes)
                    }
                };
                if let Some(bytes) = bytes
                    && self.matches(&bytes, context)?
                    && !visit(&place, &bytes)?
                {
                    return Ok(());
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// SERIALIZABLE: a row that references the key by the snapshot and no longer does would tell of a transaction that the snapshot
    /// doesn't know. (One that has come to reference it is met by whoever locks it.)
    fn compare_with_snapshot(&self, context: &ExecContext<'_>) -> Result<()> {
        let Some((index, range)) = &self.part else { return Ok(()) };
        if context.transaction.borrow().isolation() != Isolation::Serializable {
            return Ok(());
        }
        let tree = self.tree(*index);
        let mut scan = context.transaction.borrow_mut().scan(tree, range.clone(), Direction::Forward)?;
        loop {
            let mut found: Vec<(Vec<u8>, Value)> = Vec::new();
            let more = scan.next_batch(&mut context.transaction.borrow_mut(), BATCH, &mut |key, value| {
                found.push((key.to_vec(), value.clone()));
                true
            })?;
            context.eval.services.check_interrupt()?;
            for (key, value) in found {
                if self.secondary(*index).is_none() && !self.matches(&value, context)? {
                    continue;
                }
                let place = match self.secondary(*index) {
                    None => key,
                    Some(index) => self.place(&key, &value, index)?,
                };
                let latest = context.transaction.borrow_mut().catalog_get(&self.shape.tree, &place)?;
                let still = latest.map_or(Ok(false), |bytes| self.matches(&bytes, context))?;
                if !still {
                    return Err(concurrent_update());
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn secondary(&self, index: Option<usize>) -> Option<usize> {
        index.filter(|&index| !self.shape.indexes[index].clustered)
    }
    fn tree(&self, index: Option<usize>) -> &Arc<serin_storage::Tree> {
        self.secondary(index).map_or(&self.shape.tree, |index| &self.shape.indexes[index].tree)
    }
    fn place(&self, key: &[u8], value: &[u8], index: usize) -> Result<Vec<u8>> {
        let place = self.shape.indexes[index].table_key(key, value);
        place.map(<[u8]>::to_vec).ok_or_else(|| Error::internal("a malformed index entry"))
    }
}

/// Rows looked at under one borrow of the transaction.
const BATCH: usize = 256;

// ---- which relations a change may lead to ----

/// What is done to a table's rows.
#[derive(Clone, Copy)]
pub enum Effect<'a> {
    Insert,
    Delete,
    /// Of these columns.
    Update(&'a [usize]),
}

/// The relations to be locked for the foreign keys of a statement, as PostgreSQL's RI queries would lock them. Locked with the statement's own,
/// so that their descriptors stand while it runs.
pub fn relations(
    catalog: &crate::catalog::Catalog,
    table: &Table,
    effect: Effect<'_>,
    out: &mut Vec<(Oid, RelationLockMode)>,
) {
    let mut lock = |oid: Oid, mode: RelationLockMode| -> bool {
        match out.iter_mut().find(|(known, _)| *known == oid) {
            Some((_, held)) if *held >= mode => false,
            Some((_, held)) => {
                *held = mode;
                true
            }
            None => {
                out.push((oid, mode));
                true
            }
        }
    };
    let touches = |columns: &[usize]| match effect {
        Effect::Insert | Effect::Delete => true,
        Effect::Update(changed) => columns.iter().any(|column| changed.contains(column)),
    };
    if !matches!(effect, Effect::Delete) {
        for key in table.constraints.iter().filter_map(|constraint| constraint.foreign_key()) {
            if touches(&key.columns) {
                lock(key.referenced, RelationLockMode::RowShare);
                if let Some(referenced) = catalog.table(key.referenced).filter(|table| table.is_partitioned())
                {
                    for partition in catalog.descendants(&referenced) {
                        lock(partition.oid, RelationLockMode::RowShare);
                    }
                }
            }
        }
    }
    if matches!(effect, Effect::Insert) {
        return;
    }
    let mut next = Vec::new();
    let ancestors = catalog.partition_ancestors(table);
    let above = ancestors.iter().flat_map(|ancestor| {
        catalog.references_to(ancestor.oid).iter().map(move |found| (Some(ancestor), *found))
    });
    let incoming = catalog.references_to(table.oid).iter().map(|found| (None, *found));
    for (ancestor, (oid, constraint)) in incoming.chain(above) {
        let Some(referencing) = catalog.table(oid) else { continue };
        // Its partitions have the constraint too.
        if referencing.is_partitioned() {
            continue;
        }
        let Some(key) = referencing.constraint(constraint).and_then(|c| c.foreign_key()) else { continue };
        let carried: Vec<usize> = match ancestor {
            None => key.referenced_columns.clone(),
            Some(ancestor) => {
                let map = places(ancestor, table);
                key.referenced_columns.iter().filter_map(|column| place(&map, *column)).collect()
            }
        };
        if !touches(&carried) {
            continue;
        }
        let action = if matches!(effect, Effect::Delete) { key.on_delete } else { key.on_update };
        let (mode, effect) = match action {
            ReferentialAction::NoAction | ReferentialAction::Restrict => (RelationLockMode::RowShare, None),
            ReferentialAction::Cascade if matches!(effect, Effect::Delete) => {
                (RelationLockMode::RowExclusive, Some(None))
            }
            _ => (RelationLockMode::RowExclusive, Some(Some(key.columns.clone()))),
        };
        // To check again, after NO ACTION, whether another row has the key.
        if ancestor.is_some() {
            for partition in ancestors.iter().flat_map(|ancestor| catalog.descendants(ancestor)) {
                lock(partition.oid, RelationLockMode::RowShare);
            }
        }
        // What was known already has been followed, and so cycles end.
        if lock(oid, mode)
            && let Some(effect) = effect
            && oid != table.oid
        {
            next.push((referencing.clone(), effect));
        }
    }
    for (referencing, changed) in next {
        let effect = changed.as_deref().map_or(Effect::Delete, Effect::Update);
        relations(catalog, &referencing, effect, out);
    }
}

// ---- errors ----

fn description(
    table: &Table,
    columns: &[usize],
    values: impl Iterator<Item = Datum>,
    context: &ExecContext<'_>,
) -> String {
    let names: Vec<&str> = columns.iter().map(|&column| table.columns[column].name.as_str()).collect();
    let shown = columns.iter().zip(values).map(|(&column, value)| {
        to_text(&value, table.columns[column].data_type(), &context.eval).unwrap_or_else(|| "null".into())
    });
    format!("({})=({})", names.join(", "), shown.collect::<Vec<_>>().join(", "))
}

fn violation(message: String, table: &Table, constraint: &Constraint, context: &ExecContext<'_>) -> Error {
    let schema = context.catalog.schema(table.schema).map_or("", |schema| &schema.name);
    Error::new(SqlState::FOREIGN_KEY_VIOLATION, message)
        .on_constraint(&constraint.name)
        .on_table(schema, &table.name)
}

fn not_present(
    table: &Table,
    constraint: &Constraint,
    key: &ForeignKey,
    referenced: &Table,
    row: &[Datum],
    context: &ExecContext<'_>,
) -> Error {
    let message = format!(
        "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
        table.name, constraint.name
    );
    let error = violation(message, table, constraint, context);
    if key.columns.iter().any(|&column| row[column].is_null()) {
        return error.detail("MATCH FULL does not allow mixing of null and nonnull key values.");
    }
    let values = key.columns.iter().map(|&column| row[column].clone());
    if !may_show(table, key.columns.iter().copied().map(Some), context) {
        return error.detail(format!("Key is not present in table \"{}\".", referenced.name));
    }
    let shown = description(table, &key.columns, values, context);
    error.detail(format!("Key {shown} is not present in table \"{}\".", referenced.name))
}

/// The constraint of the partitioned table that this one is a part of.
fn topmost(table: &Table, constraint: &Constraint, context: &ExecContext<'_>) -> Option<(Arc<Table>, usize)> {
    let mut parent = constraint.parent;
    let mut found = None;
    for ancestor in context.catalog.partition_ancestors(table) {
        let Some(at) = ancestor.constraints.iter().position(|above| above.oid == parent) else { break };
        parent = ancestor.constraints[at].parent;
        found = Some((ancestor, at));
    }
    found
}

fn still_referenced(
    table: &Table,
    constraint: &Constraint,
    key: &ForeignKey,
    referenced: &Table,
    old: &[Datum],
    context: &ExecContext<'_>,
) -> Error {
    let top = topmost(table, constraint, context);
    let (table, constraint) =
        top.as_ref().map_or((table, constraint), |(table, at)| (&**table, &table.constraints[*at]));
    let message = format!(
        "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
        referenced.name, constraint.name, table.name
    );
    if !may_show(referenced, key.referenced_columns.iter().copied().map(Some), context) {
        let detail = format!("Key is still referenced from table \"{}\".", table.name);
        return violation(message, table, constraint, context).detail(detail);
    }
    let shown = description(referenced, &key.referenced_columns, old.iter().cloned(), context);
    violation(message, table, constraint, context)
        .detail(format!("Key {shown} is still referenced from table \"{}\".", table.name))
}
