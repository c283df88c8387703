//! CREATE, ALTER SEQUENCE; sequences that belong to columns.

use super::{Ddl, names};
use crate::catalog::{Change, Kind, ObjectClass, Relation, Sequence, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{ObjectName, SequenceOptions, TypeName};
use crate::sequence::{Position, type_range};
use crate::types::{Oid, Type};
use serin_txn::RelationLockMode;

impl Ddl<'_> {
    pub(super) fn create_sequence(
        &self,
        name: &ObjectName,
        if_not_exists: bool,
        temporary: bool,
        options: &SequenceOptions,
        data_type: Option<&TypeName>,
        owned_by: Option<&ObjectName>,
    ) -> Result<()> {
        let (schema, name) = self.new_relation_name(name, temporary)?;
        if names::is_relation_name_taken(&self.catalog(), schema.oid, &name) {
            if if_not_exists {
                self.notice_existing(
                    SqlState::DUPLICATE_TABLE,
                    &format!("relation \"{name}\" already exists"),
                );
                return Ok(());
            }
            return Err(names::relation_exists(&name));
        }
        let data_type = data_type.map_or(Ok(Type::INT8), |name| self.resolve_sequence_type(name))?;
        let mut sequence = self.new_sequence(schema.oid, name, data_type, options)?;
        if let Some(owner) = owned_by {
            sequence.owned_by = self.owner_column(owner)?;
        }
        self.put_sequence(sequence)
    }

    fn resolve_sequence_type(&self, name: &TypeName) -> Result<Type> {
        let data_type = self.with_plan_context(|context| crate::bind::resolve_type(name, context))?.0;
        known_range(data_type).map(|_| data_type)
    }

    /// A descriptor with its name taken.
    fn new_sequence(
        &self,
        schema: Oid,
        name: String,
        data_type: Type,
        options: &SequenceOptions,
    ) -> Result<Sequence> {
        let (type_min, type_max) = known_range(data_type)?;
        let increment = options.increment.unwrap_or(1);
        let (min, max) = if increment > 0 { (1, type_max) } else { (type_min, -1) };
        let oid = self.new_oid()?;
        let mut sequence = Sequence {
            oid,
            database: self.core.database_oid,
            schema,
            name,
            owner: self.core.role.get(),
            data_type: data_type.0,
            start: 0,
            increment,
            min,
            max,
            cache: 1,
            cycle: false,
            owned_by: None,
            state: oid,
            comment: None,
            acl: self.new_acl(ObjectClass::Sequence, schema)?,
        };
        let start = if increment > 0 {
            options.min.flatten().unwrap_or(min)
        } else {
            options.max.flatten().unwrap_or(max)
        };
        sequence.start = options.start.unwrap_or(start);
        apply(&mut sequence, options)?;
        self.take_relation_name(schema, &sequence.name, oid)?;
        Ok(sequence)
    }

    /// The sequence of a serial or identity column: `t_a_seq`, in the table's schema.
    pub(super) fn owned_sequence(
        &self,
        table: &Table,
        position: usize,
        data_type: Type,
        options: &SequenceOptions,
    ) -> Result<Sequence> {
        let column = &table.columns[position];
        let catalog = self.catalog();
        let is_taken = |name: &str| names::is_relation_name_taken(&catalog, table.schema, name);
        let name = names::choose_name(&table.name, Some(&column.name), "seq", is_taken);
        let mut sequence = self.new_sequence(table.schema, name, data_type, options)?;
        sequence.owned_by = Some((table.oid, column.number));
        self.put_sequence(sequence.clone())?;
        Ok(sequence)
    }

    /// The default of a serial column. With its schema, so that it means the same under every search path.
    pub(super) fn nextval_text(&self, sequence: &Sequence) -> String {
        let catalog = self.catalog();
        let schema = catalog.schema(sequence.schema).map_or("", |schema| &schema.name);
        let name = format!("{}.{}", names::quote_identifier(schema), names::quote_identifier(&sequence.name));
        format!("nextval('{}'::regclass)", name.replace('\'', "''"))
    }

    /// `table.column`, or NONE.
    fn owner_column(&self, owner: &ObjectName) -> Result<Option<(Oid, i16)>> {
        let [table @ .., column] = &owner.parts[..] else { return Ok(None) };
        if table.is_empty() {
            if column.eq_ignore_ascii_case("none") {
                return Ok(None);
            }
            let message = "invalid OWNED BY option";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message)
                .hint("Specify OWNED BY table.column or OWNED BY NONE."));
        }
        let name = ObjectName { parts: table.to_vec(), position: owner.position };
        let table = self.open_table(&name, RelationLockMode::ShareUpdateExclusive)?;
        let position = table.column_index(column).ok_or_else(|| names::no_column(&table, column))?;
        Ok(Some((table.oid, table.columns[position].number)))
    }

    pub(super) fn alter_sequence(
        &self,
        name: &ObjectName,
        if_exists: bool,
        data_type: Option<&TypeName>,
        options: &SequenceOptions,
        restart: Option<Option<i64>>,
        owned_by: Option<&ObjectName>,
    ) -> Result<()> {
        let sequence = match self.open_relation(name, RelationLockMode::ShareRowExclusive)? {
            Some(Relation::Sequence(sequence)) => sequence,
            Some(_) => return Err(names::wrong_kind(name, "a sequence")),
            None if if_exists => {
                let name = name.parts.last().map_or("", String::as_str);
                self.notice(format!("relation \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            None => return Err(names::no_relation(name)),
        };
        self.require_owner(sequence.owner, "sequence", &sequence.name)?;
        let mut changed = (*sequence).clone();
        if let Some(name) = data_type {
            change_type(&mut changed, self.resolve_sequence_type(name)?);
        }
        change(&mut changed, options)?;
        if let Some(owner) = owned_by {
            changed.owned_by = self.owner_column(owner)?;
        }
        if let Some(value) = restart {
            self.restart_sequence(&mut changed, value)?;
        }
        self.put_sequence(changed)
    }

    /// Gives the sequence a fresh state, so that a rollback brings the old one back.
    pub(super) fn restart_sequence(&self, sequence: &mut Sequence, value: Option<i64>) -> Result<()> {
        let value = value.unwrap_or(sequence.start);
        check_value(sequence, "RESTART", value)?;
        sequence.state = self.new_oid()?;
        let position = Position { value, is_called: false };
        let written = self.core.engine.sequences.set(sequence, position)?;
        self.core.await_durable(written);
        Ok(())
    }

    pub(super) fn remove_sequence(&self, sequence: &Sequence) -> Result<()> {
        self.give_relation_name(sequence.schema, &sequence.name)?;
        self.write(Change::remove(Kind::Sequence, sequence.oid))
    }
}

fn known_range(data_type: Type) -> Result<(i64, i64)> {
    type_range(data_type).ok_or_else(|| {
        let message = "sequence type must be smallint, integer, or bigint";
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })
}

/// ALTER SEQUENCE … AS: limits that were the old type's become the new one's; others were chosen and stay.
fn change_type(sequence: &mut Sequence, data_type: Type) {
    let old = type_range(Type(sequence.data_type));
    if let (Some((old_min, old_max)), Some((min, max))) = (old, type_range(data_type)) {
        sequence.max = if sequence.max == old_max { max } else { sequence.max };
        sequence.min = if sequence.min == old_min { min } else { sequence.min };
    }
    sequence.data_type = data_type.0;
}

/// ALTER SEQUENCE, and ALTER COLUMN of an identity column.
pub(super) fn change(sequence: &mut Sequence, options: &SequenceOptions) -> Result<()> {
    if let Some(start) = options.start {
        sequence.start = start;
    }
    if let Some(increment) = options.increment {
        sequence.increment = increment;
    }
    apply(sequence, options)
}

fn apply(sequence: &mut Sequence, options: &SequenceOptions) -> Result<()> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    if sequence.increment == 0 {
        return invalid("INCREMENT must not be zero".to_string());
    }
    let (type_min, type_max) = type_range(Type(sequence.data_type)).unwrap_or((i64::MIN, i64::MAX));
    let ascending = sequence.increment > 0;
    if let Some(min) = options.min {
        sequence.min = min.unwrap_or(if ascending { 1 } else { type_min });
    }
    if let Some(max) = options.max {
        sequence.max = max.unwrap_or(if ascending { type_max } else { -1 });
    }
    for (what, value) in [("MINVALUE", sequence.min), ("MAXVALUE", sequence.max)] {
        if value < type_min || value > type_max {
            let name = Type(sequence.data_type).display();
            return invalid(format!("{what} ({value}) is out of range for sequence data type {name}"));
        }
    }
    if sequence.min >= sequence.max {
        return invalid(format!("MINVALUE ({}) must be less than MAXVALUE ({})", sequence.min, sequence.max));
    }
    sequence.cycle = options.cycle.unwrap_or(sequence.cycle);
    if let Some(cache) = options.cache {
        if cache <= 0 {
            return invalid(format!("CACHE ({cache}) must be greater than zero"));
        }
        sequence.cache = cache;
    }
    check_value(sequence, "START", sequence.start)
}

fn check_value(sequence: &Sequence, what: &str, value: i64) -> Result<()> {
    let message = if value < sequence.min {
        format!("{what} value ({value}) cannot be less than MINVALUE ({})", sequence.min)
    } else if value > sequence.max {
        format!("{what} value ({value}) cannot be greater than MAXVALUE ({})", sequence.max)
    } else {
        return Ok(());
    };
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
}
