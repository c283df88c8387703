//! Statements that change rows of several tables under one name: of a partitioned table, or of a table with children.
//!
//! Every table that has rows gets a [`Changer`] of its own, made when its first row comes; what the statement says in terms of the named
//! table's columns is carried over to the table's own ([`Places`]). A new row is routed from the named table down, level by level. Row triggers are
//! those of the tables, statement triggers those of the named one.
//!
//! # Rows that move
//!
//! An UPDATE that leaves a row outside of its partition's bounds deletes it there and inserts it where it belongs, with the triggers of both
//! (as in PostgreSQL). Whoever waits for the old row meanwhile finds it gone, and must not take it for deleted (`moved.rs`).

use super::modify::{Changer, Moved};
use super::runtime::Runtime;
use crate::catalog::{Relation, Table};
use crate::error::{Error, Result};
use crate::plan::logical::ModifyKind;
use crate::plan::node;
use crate::table::TableWriter;
use crate::table::partition::{Places, Routing, carried, place, places};
use crate::types::{Datum, Oid};
use std::collections::HashMap;
use std::sync::Arc;

/// Finds the partition for a row of a partitioned table.
pub struct Router {
    root: Arc<Table>,
    levels: HashMap<Oid, Level>,
    /// Of a root that is a partition itself: its own constraint comes first.
    own: Option<TableWriter>,
}

struct Level {
    table: Arc<Table>,
    routing: Arc<Routing>,
    /// Where the root has this table's columns.
    places: Places,
}

impl Router {
    pub fn new(root: &Arc<Table>) -> Router {
        Router { root: root.clone(), levels: HashMap::new(), own: None }
    }

    /// The table that takes the row, which has the root's columns.
    pub fn route(&mut self, row: &[Datum], rt: &Runtime<'_>) -> Result<Oid> {
        if self.root.is_partition() {
            let own = match &mut self.own {
                Some(own) => own,
                own => own.insert(TableWriter::new(&self.root, rt.context)?),
            };
            own.check_partition(row, rt.context)?;
        }
        let mut at = self.root.oid;
        loop {
            if !self.levels.contains_key(&at) {
                let table =
                    rt.context.catalog.table(at).ok_or_else(|| Error::internal("a partition is gone"))?;
                if !table.is_partitioned() {
                    return Ok(at);
                }
                let routing = Routing::of(&table, rt.context)?;
                let places = places(&table, &self.root);
                self.levels.insert(at, Level { table, routing, places });
            }
            let level = &self.levels[&at];
            let own;
            let row = match &level.places {
                None => row,
                places => {
                    own = carried(row, places);
                    &own
                }
            };
            let Some(child) = level.routing.route(row, rt.context)? else {
                return Err(level.routing.no_partition(&level.table, row, rt.context));
            };
            at = level.routing.children[child];
            // A leaf, unless it is known as a level.
            if !self.levels.contains_key(&at)
                && !rt.context.catalog.table(at).is_some_and(|t| t.is_partitioned())
            {
                return Ok(at);
            }
        }
    }
}

/// The changers of one statement.
pub struct Targets {
    named: Arc<Table>,
    router: Router,
    changers: HashMap<(Oid, ModifyKind), Changer>,
    /// In the order in which they were made, for their AFTER triggers.
    order: Vec<(Oid, ModifyKind)>,
    /// Clauses of MERGE as they are for one table.
    actions: HashMap<(Oid, usize), Arc<node::Modify>>,
}

impl Targets {
    pub fn new(named: &Arc<Table>) -> Targets {
        Targets {
            named: named.clone(),
            router: Router::new(named),
            changers: HashMap::new(),
            order: Vec::new(),
            actions: HashMap::new(),
        }
    }

    /// The changer for a table's rows. `base` is the change in terms of the named table.
    pub fn changer(
        &mut self,
        base: &Arc<node::Modify>,
        table: Oid,
        rt: &Runtime<'_>,
    ) -> Result<&mut Changer> {
        let key = (table, base.kind);
        if !self.changers.contains_key(&key) {
            let table =
                rt.context.catalog.table(table).ok_or_else(|| Error::internal("a partition is gone"))?;
            let modify = Arc::new(for_table(base, &self.named, &table, rt)?);
            let mut changer = Changer::of_child(&modify, places(&self.named, &table), self.named.oid, rt)?;
            changer.moves = base.kind == ModifyKind::Update && self.named.is_partitioned();
            self.changers.insert(key, changer);
            self.order.push(key);
        }
        self.changers.get_mut(&key).ok_or_else(|| Error::internal("a changer was not kept"))
    }

    /// A clause of MERGE for a table's rows.
    pub fn action(
        &mut self,
        action: &Arc<node::Modify>,
        table: Oid,
        rt: &Runtime<'_>,
    ) -> Result<Arc<node::Modify>> {
        let key = (table, Arc::as_ptr(action) as usize);
        if let Some(known) = self.actions.get(&key) {
            return Ok(known.clone());
        }
        let found = rt.context.catalog.table(table).ok_or_else(|| Error::internal("a partition is gone"))?;
        let made = Arc::new(for_table(action, &self.named, &found, rt)?);
        self.actions.insert(key, made.clone());
        Ok(made)
    }

    /// Inserts a row that has the named table's columns. Answers RETURNING's values.
    pub fn insert(
        &mut self,
        base: &Arc<node::Modify>,
        row: Vec<Datum>,
        input: &[Datum],
        rt: &Runtime<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        let target = match self.named.is_partitioned() {
            true => self.router.route(&row, rt)?,
            false => self.named.oid,
        };
        let named = self.named.clone();
        let changer = self.changer(base, target, rt)?;
        let row = match target == named.oid {
            true => row,
            false => carried(&row, &places(&changer.modify.table, &named)),
        };
        match changer.insert_row(row, rt)? {
            Some(row) => changer.returned(row, input, rt).map(Some),
            None => Ok(None),
        }
    }

    /// Takes a row that an UPDATE has moved to where it belongs.
    pub fn relocate(
        &mut self,
        base: &Arc<node::Modify>,
        from: Oid,
        moved: Moved,
        input: &[Datum],
        rt: &Runtime<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        let plain = |kind| {
            Arc::new(node::Modify {
                kind,
                table: base.table.clone(),
                alias: base.alias.clone(),
                key: base.key,
                row: base.row,
                table_oid: None,
                targets_others: false,
                columns: Vec::new(),
                recheck: Vec::new(),
                assignments: Vec::new(),
                on_conflict: None,
                merge: None,
                returning: base.returning.clone(),
                checks: base.checks.clone(),
                instead: None,
            })
        };
        let deleter = self.changer(&plain(ModifyKind::Delete), from, rt)?;
        let table = deleter.modify.table.clone();
        if !deleter.delete_moved(&moved, rt)? {
            return Ok(None);
        }
        let map = places(&self.named, &table);
        let row = carried(&moved.new, &map);
        rt.state.moving.replace(Some(carried(&moved.old, &map)));
        let inserted = self.insert(&plain(ModifyKind::Insert), row, input, rt);
        rt.state.moving.take();
        inserted
    }

    pub fn end(&mut self, rt: &Runtime<'_>) {
        for key in std::mem::take(&mut self.order) {
            if let Some(mut changer) = self.changers.remove(&key) {
                changer.end(rt);
            }
        }
    }
}

/// A change in terms of one of the tables.
fn for_table(
    base: &node::Modify,
    named: &Arc<Table>,
    table: &Arc<Table>,
    rt: &Runtime<'_>,
) -> Result<node::Modify> {
    let map = places(named, table);
    let carry = |assignments: &[(usize, crate::expr::Expr)]| {
        let carried = assignments.iter().filter_map(|(at, expr)| Some((place(&map, *at)?, expr.clone())));
        carried.collect::<Vec<_>>()
    };
    let on_conflict = match &base.on_conflict {
        None => None,
        Some(clause) => {
            let arbiters = match &clause.arbiters {
                None => None,
                Some(indexes) if table.oid == named.oid => Some(indexes.clone()),
                Some(indexes) => {
                    let wanted: Vec<Oid> = indexes.iter().map(|at| named.indexes[*at].oid).collect();
                    let part_of_one = |index: &crate::catalog::Index| {
                        index_ancestors(index, rt.context.catalog).iter().any(|oid| wanted.contains(oid))
                    };
                    let found: Vec<usize> =
                        (0..table.indexes.len()).filter(|at| part_of_one(&table.indexes[*at])).collect();
                    Some(found)
                }
            };
            let update = clause.update.as_ref().map(|update| node::ConflictUpdate {
                assignments: carry(&update.assignments),
                filter: update.filter.clone(),
            });
            Some(node::OnConflict { arbiters, update })
        }
    };
    let columns = base.columns.iter().filter_map(|(input, at)| Some((*input, place(&map, *at)?)));
    Ok(node::Modify {
        kind: base.kind,
        table: table.clone(),
        alias: base.alias.clone(),
        key: base.key,
        row: base.row,
        table_oid: None,
        targets_others: false,
        columns: columns.collect(),
        recheck: base.recheck.clone(),
        assignments: carry(&base.assignments),
        on_conflict,
        merge: None,
        returning: base.returning.clone(),
        checks: base.checks.clone(),
        instead: None,
    })
}

/// The indexes of partitioned tables that an index is a part of.
pub fn index_ancestors(index: &crate::catalog::Index, catalog: &crate::catalog::Catalog) -> Vec<Oid> {
    let mut found = Vec::new();
    let mut at = index.parent;
    while at != 0 {
        found.push(at);
        at = match catalog.relation(at) {
            Some(Relation::Index(table, position)) => table.indexes[position].parent,
            _ => 0,
        };
    }
    found
}

/// A referencing row that a foreign key's action has moved out of its partition.
pub fn relocate_from(leaf: &Arc<Table>, moved: Moved, rt: &Runtime<'_>) -> Result<()> {
    let ancestors = rt.context.catalog.partition_ancestors(leaf);
    let root =
        ancestors.last().ok_or_else(|| Error::internal("a row moved out of a table that is no partition"))?;
    let base = Arc::new(node::Modify {
        kind: ModifyKind::Update,
        table: root.clone(),
        alias: root.name.as_str().into(),
        key: 0,
        row: 0,
        table_oid: None,
        targets_others: false,
        columns: Vec::new(),
        recheck: Vec::new(),
        assignments: Vec::new(),
        on_conflict: None,
        merge: None,
        returning: None,
        checks: Vec::new(),
        instead: None,
    });
    let mut targets = Targets::new(root);
    targets.relocate(&base, leaf.oid, moved, &[], rt)?;
    targets.end(rt);
    Ok(())
}

/// Inserts the rows of a COPY where that takes more than writing them: into partitions, past triggers.
pub struct Inserter {
    base: Arc<node::Modify>,
    named: Changer,
    targets: Option<Targets>,
}

impl Inserter {
    /// None: the rows only have to be written.
    pub fn new(table: &Arc<Table>, rt: &Runtime<'_>) -> Result<Option<Inserter>> {
        let replica = super::trigger::is_replica(rt.context);
        let fires = table.triggers.iter().any(|trigger| trigger.insert && trigger.fires(replica));
        if !fires && !table.is_partitioned() {
            return Ok(None);
        }
        let base = Arc::new(node::Modify {
            kind: ModifyKind::Insert,
            table: table.clone(),
            alias: table.name.as_str().into(),
            key: 0,
            row: 0,
            table_oid: None,
            targets_others: table.is_partitioned(),
            columns: Vec::new(),
            recheck: Vec::new(),
            assignments: Vec::new(),
            on_conflict: None,
            merge: None,
            returning: None,
            checks: Vec::new(),
            instead: None,
        });
        let named = Changer::new(&base, rt)?;
        named.begin(rt)?;
        let targets = table.is_partitioned().then(|| Targets::new(table));
        Ok(Some(Inserter { base, named, targets }))
    }

    /// Whether the row was inserted.
    pub fn insert(&mut self, row: Vec<Datum>, rt: &Runtime<'_>) -> Result<bool> {
        match &mut self.targets {
            Some(targets) => Ok(targets.insert(&self.base, row, &[], rt)?.is_some()),
            None => Ok(self.named.insert_row(row, rt)?.is_some()),
        }
    }

    pub fn finish(&mut self, rt: &Runtime<'_>) -> Result<()> {
        if let Some(targets) = &mut self.targets {
            targets.end(rt);
        }
        self.named.end(rt);
        super::constraint::finish(rt)?;
        super::trigger::fire_after(rt)
    }
}
